#include "auth/saslprep.h"

#include <stringprep.h>

#include <algorithm>
#include <cstdlib>

namespace keel::auth {

Secret saslprep(Secret const& password) {
    std::string const& text = password.reveal();
    // PostgreSQL leaves ASCII alone, control characters too, and cannot see behind a NUL.
    if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return password;
    if (text.find('\0') != std::string::npos) return password;
    char* prepared = nullptr;
    int const status = stringprep_profile(text.c_str(), &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED);
    if (status != STRINGPREP_OK || prepared == nullptr) return password;
    Secret out{std::string(prepared)};
    for (volatile char* byte = prepared; *byte != 0; ++byte) *byte = 0;
    std::free(prepared);
    return out.empty() ? password : out;
}

}  // namespace keel::auth
