#include "web/page.h"

#include <algorithm>

#include "web/token.h"

namespace keel::web {

PageFile const* find_page_file(std::string_view name) {
    auto const files = page_files();
    auto const found = std::ranges::find(files, name, &PageFile::name);
    return found == files.end() ? nullptr : &*found;
}

std::string content_type(std::string_view name) {
    if (name.ends_with(".html")) return "text/html; charset=utf-8";
    if (name.ends_with(".css")) return "text/css; charset=utf-8";
    if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
    if (name.ends_with(".svg")) return "image/svg+xml";
    return "application/octet-stream";
}

std::string page_mark(std::string_view version) {
    std::string all(version);
    for (auto const& file : page_files()) {
        all += file.name;
        all += file.bytes;
    }
    constexpr std::size_t kDigits = 16;
    return sha256_hex(all).substr(0, kDigits);
}

}  // namespace keel::web
