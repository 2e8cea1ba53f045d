// The call of somebody who has a token and no certificate yet.
#pragma once

#include <string>

#include "cli/commands.h"
#include "web/token.h"

namespace keel::cli {

struct TokenCall {
    std::string member;  // HOST[:8008] of one that is in the cluster
    std::string path;
    std::string body;          // JSON
    std::string if_unknown;    // the mend when it may have happened
    std::string how_to_token;  // makes a new token: "pgkeel token create"
};
// The answer's body. Nobody but a holder of a certificate of the token's cluster gets to see what is sent.
Answer<std::string> call_with_token(TokenCall const& call, web::TokenText const& token);

}  // namespace keel::cli
