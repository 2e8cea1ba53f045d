#include "cli/token_text.h"

#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "runtime/files.h"

namespace keel::cli {

namespace {

Result<Secret> read_secret(std::string const& file) {
    if (file == "-") {
        std::string line;
        std::getline(std::cin, line);
        return Secret(std::move(line));
    }
    auto text = runtime::read_file(file, 4096);
    if (!text)
        return fail(Code::invalid, "--token-file: " + text.error().text,
                    "name a file that has a token and is open to you");
    return Secret(std::move(*text));
}

char const* token_of_environment() {
    char const* const text = ::getenv("PGKEEL_TOKEN");
    return text != nullptr && *text != '\0' ? text : nullptr;
}

}  // namespace

void add_token_options(CLI::App& command, std::string& token, std::string& file) {
    auto const group = "Token";
    command
        .add_option("--token", token,
                    "The token itself. Everybody on this machine can see it in the list of processes: better use "
                    "--token-file or the variable PGKEEL_TOKEN")
        ->group(group);
    command.add_option("--token-file", file, "File with the token; - for standard input")->group(group);
}

Result<web::TokenText> read_token(std::string const& from_option, std::string const& from_file) {
    if (!from_option.empty() && !from_file.empty())
        return fail(Code::invalid, "--token and --token-file were both given", "give one token");
    if (!from_option.empty()) return web::parse_token(from_option);
    if (!from_file.empty()) {
        KEEL_TRY(auto const text, read_secret(from_file));
        return web::parse_token(text.reveal());
    }
    if (char const* const text = token_of_environment()) return web::parse_token(text);
    return fail(Code::invalid, "a join token is needed",
                "make one on a member with `pgkeel token create`, and give it by --token-file F (or -), by "
                "$PGKEEL_TOKEN, or by --token");
}

Result<AccessText> read_access_token(std::string const& from_file) {
    Secret given;
    if (!from_file.empty()) {
        KEEL_TRY(given, read_secret(from_file));
    } else if (char const* const text = token_of_environment()) {
        given = Secret(text);
    } else {
        return AccessText{};
    }
    KEEL_TRY(auto const token, web::parse_access_token(given.reveal()));
    return AccessText{token.authority_fingerprint, Secret(web::to_access_text(token))};
}

}  // namespace keel::cli
