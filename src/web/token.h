// The text of a token: what lets a new node in, or a request through, and how its holder knows that it speaks to the
// right cluster.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace keel::web {

// keel1.<SHA-256 of the authority's certificate>.<secret>: the first pins the cluster, the second is known to it by its
// hash only.
struct TokenText {
    std::string authority_fingerprint;  // 64 lower-case hex digits
    Secret secret;
};
std::string to_text(TokenText const& token);
// invalid, without repeating the text.
Result<TokenText> parse_token(std::string_view text);

// Of an access token: the same with keelaccess1. in front, so that neither is taken for the other.
std::string to_access_text(TokenText const& token);
Result<TokenText> parse_access_token(std::string_view text);

// 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace keel::web
