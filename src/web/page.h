// The dashboard's files as they are in src/web/page/, embedded when the program is built.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace keel::web {

struct PageFile {
    std::string_view name;  // "app.js"
    std::string_view bytes;
};
// Made by cmake/embed.cmake.
std::span<PageFile const> page_files();

// nullptr: no such file.
PageFile const* find_page_file(std::string_view name);
std::string content_type(std::string_view name);
// One word for all of the files and for this version of the program: a browser's page of another one is stale.
std::string page_mark(std::string_view version);

}  // namespace keel::web
