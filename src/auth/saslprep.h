// What PostgreSQL makes of a password before it hashes it for SCRAM.
#pragma once

#include "base/secret.h"

namespace keel::auth {

// RFC 4013's profile as a stored string; the bytes as they are when they are ASCII, no UTF-8, or not allowed by it.
Secret saslprep(Secret const& password);

}  // namespace keel::auth
