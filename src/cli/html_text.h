// Foreign text as text of an HTML page, in elements and in quoted attributes.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace keel::cli {

inline std::string escaped(std::string_view text) {
    std::string out;
    for (char const c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                // Control characters mean nothing on a page, and some browsers stumble over them.
                out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
        }
    }
    return out;
}

// A report's page up to its colours. The policy keeps even a page with a fault in it from loading or running anything.
inline constexpr char const* kPageTop = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c2128; --soft: #57606a; --line: #d0d7de; --paper: #ffffff;
  --good: #116329; --bad: #a40e26; --bar: #0969da; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --soft: #9aa4af; --line: #3b434b; --paper: #12161b;
  --good: #56d364; --bad: #ff8182; --bar: #58a6ff; }} }}
)";

// With the rest of the style and the page's beginning; braces are doubled in both, `title` is escaped already.
inline std::string page_top(std::string const& title, std::string_view style) {
    return fmt::format(fmt::runtime(std::string(kPageTop).append(style)), fmt::arg("title", title));
}

}  // namespace keel::cli
