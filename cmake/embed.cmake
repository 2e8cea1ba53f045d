# cmake -DFOLDER=... -DOUT=... -P embed.cmake: the files of a folder as bytes in one C++ source (src/web/page.h).
file(GLOB files ${FOLDER}/*)
list(SORT files)
set(arrays "")
set(table "")
set(number 0)
foreach(path IN LISTS files)
  get_filename_component(name ${path} NAME)
  file(READ ${path} hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "constexpr char k${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", {k${number}, sizeof k${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "#include \"web/page.h\"

namespace keel::web {
namespace {
${arrays}constexpr PageFile kFiles[] = {
${table}};
}  // namespace
std::span<PageFile const> page_files() { return kFiles; }
}  // namespace keel::web
")
