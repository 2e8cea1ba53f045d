// PostgreSQL's md5 passwords, for clusters that still have them: both sides.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace keel::auth {

// The four random bytes of AuthenticationMD5Password.
using Md5Salt = std::array<char, 4>;

// "md5" and 32 lower-case hex digits: what pg_authid holds.
bool is_md5_verifier(Secret const& text);
Result<Secret> make_md5_verifier(Secret const& password, std::string_view user);
// The answer of a client that has the verifier (or made it from the password): the body of PasswordMessage, without
// NUL.
Result<std::string> md5_answer(Secret const& verifier, Md5Salt const& salt);
// Whether a client's answer fits. Compares in constant time.
Result<bool> md5_accepts(Secret const& verifier, Md5Salt const& salt, std::string_view answer);

}  // namespace keel::auth
