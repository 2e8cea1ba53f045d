// From root to the ordinary user that a node runs as.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace keel::agent {

struct Account {
    uid_t user = 0;
    gid_t group = 0;
};
// not_found: no such user. denied: it is root.
Result<Account> find_account(std::string const& user);

// Becomes `user` for good (supplementary groups, group, user) when this process is root; else nothing happens.
Status become_user(std::string const& user);

}  // namespace keel::agent
