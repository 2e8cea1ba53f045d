// Who a request comes from, what that one may do, and the tokens that say so.
#pragma once

#include "web/api.h"

namespace keel::web {

struct Guest {
    cluster::Role role = cluster::Role::read;
    std::string who;  // "an operator on anna", "access token ci": for the history
};

// Of a bearer token when the request carries one, which then alone counts; else of the log-in that the dashboard found;
// else the Unix socket (its mode is the check) and a member's certificate are an administrator's. denied: nobody that
// is known here.
Result<Guest> identify(cluster::Sight const& sight, runtime::HttpRequest const& request);

// What a guest without the role is told.
Error lacks_role(Guest const& guest, cluster::Role needed, std::string const& path);

// "read", "operate", "admin".
std::string role_text(cluster::Role role);

// POST /access.
struct AccessRequest {
    std::string name;
    cluster::Role role = cluster::Role::read;
    std::int64_t valid_s = 0;  // 0: until it is removed
};
BOOST_DESCRIBE_STRUCT(AccessRequest, (), (name, role, valid_s))
struct AccessAnswer {
    std::string token;  // shown once, stored nowhere
    std::int64_t expires_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(AccessAnswer, (), (token, expires_unix_ms))
// POST /access/remove.
struct AccessName {
    std::string name;
};
BOOST_DESCRIBE_STRUCT(AccessName, (), (name))

runtime::Task<Result<AccessAnswer>> make_access(Desk const& desk, AccessRequest request, cluster::Caller caller);

}  // namespace keel::web
