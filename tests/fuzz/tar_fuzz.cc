// The tar of a base backup: no path may lead out of the directory, no size may be believed.
#include "archive/tar.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() { return {std::string(1024, '\0'), std::string(512, 'a')}; }

void eat(std::string_view bytes) {
    std::uint64_t left = 0;
    archive::TarReader reader({[&](archive::TarEntry const& one) -> Status {
                                   must(!one.path.starts_with('/') && !("/" + one.path + "/").contains("/../"));
                                   left = one.size;
                                   return {};
                               },
                               [&](std::string_view part) -> Status {
                                   must(part.size() <= left);
                                   left -= part.size();
                                   return {};
                               },
                               [] { return Status{}; }});
    for (std::size_t at = 0; at < bytes.size(); at += 100) {
        if (!reader.feed(bytes.substr(at, 100))) return;
    }
}

}  // namespace keel::fuzz
