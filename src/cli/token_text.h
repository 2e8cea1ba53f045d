// Where a command gets its join token from. The token's form is web/token.h.
#pragma once

#include <string>

#include "base/result.h"
#include "web/token.h"

namespace keel::cli {

// --token, --token-file (a path, or - for standard input), or $PGKEEL_TOKEN. invalid when none or two are given.
Result<web::TokenText> read_token(std::string const& from_option, std::string const& from_file);

}  // namespace keel::cli
