#include "cli/token_text.h"

#include <stdlib.h>

#include <iostream>

#include "runtime/files.h"

namespace keel::cli {

Result<web::TokenText> read_token(std::string const& from_option, std::string const& from_file) {
    if (!from_option.empty() && !from_file.empty())
        return fail(Code::invalid, "--token and --token-file were both given", "give one token");
    if (!from_option.empty()) return web::parse_token(from_option);
    if (from_file == "-") {
        std::string line;
        std::getline(std::cin, line);
        return web::parse_token(Secret(std::move(line)).reveal());
    }
    if (!from_file.empty()) {
        auto text = runtime::read_file(from_file, 4096);
        if (!text)
            return fail(Code::invalid, "--token-file: " + text.error().text,
                        "name a file that has a token and is open to you");
        return web::parse_token(Secret(std::move(*text)).reveal());
    }
    if (char const* const text = ::getenv("PGKEEL_TOKEN"); text != nullptr && *text != '\0')
        return web::parse_token(text);
    return fail(Code::invalid, "a join token is needed",
                "make one on a member with `pgkeel token create`, and give it by --token-file F (or -), by "
                "$PGKEEL_TOKEN, or by --token");
}

}  // namespace keel::cli
