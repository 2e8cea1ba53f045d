#include "auth/md5.h"

#include <algorithm>

#include "auth/digest.h"

namespace keel::auth {

namespace {
constexpr std::string_view kPrefix = "md5";
constexpr std::size_t kDigits = 32;
}  // namespace

bool is_md5_verifier(Secret const& text) {
    std::string const& said = text.reveal();
    return said.size() == kPrefix.size() + kDigits && said.starts_with(kPrefix) &&
           said.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string::npos;
}

Result<Secret> make_md5_verifier(Secret const& password, std::string_view user) {
    Secret const salted{password.reveal() + std::string(user)};
    KEEL_TRY(std::string const digits, md5_hex(salted.reveal()));
    return Secret(std::string(kPrefix) + digits);
}

Result<std::string> md5_answer(Secret const& verifier, Md5Salt const& salt) {
    if (!is_md5_verifier(verifier))
        return fail(Code::corrupt, "a stored password is no md5 verifier", "set the role's password again");
    Secret const salted{verifier.reveal().substr(kPrefix.size()) + std::string(salt.data(), salt.size())};
    KEEL_TRY(std::string const digits, md5_hex(salted.reveal()));
    return std::string(kPrefix) + digits;
}

Result<bool> md5_accepts(Secret const& verifier, Md5Salt const& salt, std::string_view answer) {
    KEEL_TRY(std::string const expected, md5_answer(verifier, salt));
    return same_secret(expected, answer);
}

}  // namespace keel::auth
