// The text of a join token: what lets a new node in, and how it knows that it speaks to the right cluster.
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

// 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace keel::web
