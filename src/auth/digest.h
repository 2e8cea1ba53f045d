// OpenSSL's digests, keyed digests, base64 and comparison in constant time, as the logins need them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace keel::auth {

inline constexpr std::size_t kSha256Bytes = 32;

Result<std::string> sha256(std::string_view bytes);
Result<std::string> hmac_sha256(std::string_view key, std::string_view bytes);
Result<Secret> pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations);
// 32 lower-case hex digits. Fails where OpenSSL forbids MD5 (FIPS).
Result<std::string> md5_hex(std::string_view bytes);

std::string to_base64(std::string_view bytes);
// Strict: no blanks, right padding.
std::optional<std::string> from_base64(std::string_view text);

// Takes as long whatever differs. The lengths are no secret.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace keel::auth
