// Where a command gets its token from. The token's form is web/token.h.
#pragma once

#include <string>

#include "base/result.h"
#include "web/token.h"

namespace CLI {
class App;
}

namespace keel::cli {

// The options --token and --token-file of a command that lets this machine into a cluster.
void add_token_options(CLI::App& command, std::string& token, std::string& file);
// --token, --token-file (a path, or - for standard input), or $PGKEEL_TOKEN. invalid when none or two are given.
Result<web::TokenText> read_token(std::string const& from_option, std::string const& from_file);

// An access token, checked for its form, from the file (- for standard input) or else $PGKEEL_TOKEN; empty when there
// is neither. Never from the command line, which everybody on the machine can read.
struct AccessText {
    std::string authority_fingerprint;
    Secret text;  // the whole of it
};
Result<AccessText> read_access_token(std::string const& from_file);

}  // namespace keel::cli
