// What an operator may ask through the API: bodies, and what comes back. The command line speaks with these too.
#pragma once

#include "config/settings.h"
#include "web/api.h"

namespace keel::web {

// POST /restart /reinit /leave /sound, POST /tags with `set`.
struct MemberRequest {
    std::string member;                      // name or id; empty: the node that is asked
    std::map<std::string, std::string> set;  // tags: name -> value as text
};
BOOST_DESCRIBE_STRUCT(MemberRequest, (), (member, set))

// POST /config.
struct ConfigRequest {
    std::map<std::string, std::string> set;     // an empty value takes postgres.<parameter> away
    std::map<std::string, std::string> before;  // conflict unless these still have these values; empty: not set
};
BOOST_DESCRIBE_STRUCT(ConfigRequest, (), (set, before))
struct ConfigAnswer {
    std::vector<config::Change> changes;
    std::string advice;  // what must follow; empty when nothing
};
BOOST_DESCRIBE_STRUCT(ConfigAnswer, (), (changes, advice))

// POST /token.
struct TokenRequest {
    cluster::Kind kind = cluster::Kind::data;
    std::int64_t valid_s = 86400;
    std::uint32_t uses = 1;
};
BOOST_DESCRIBE_STRUCT(TokenRequest, (), (kind, valid_s, uses))
struct TokenAnswer {
    std::string token;  // shown once, stored nowhere
    std::string id;
    std::int64_t expires_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(TokenAnswer, (), (token, id, expires_unix_ms))
struct TokenName {
    std::string id;
};
BOOST_DESCRIBE_STRUCT(TokenName, (), (id))

// Every refusal: what, why, how to mend. `outcome` is "unknown" when it may have happened all the same.
struct Refusal {
    std::string error;
    std::string mend;
    std::string code;
    std::string outcome;
};
BOOST_DESCRIBE_STRUCT(Refusal, (), (error, mend, code, outcome))

// Every action that is done.
struct Done {
    std::string text;
    std::uint64_t revision = 0;
    std::uint64_t errand = 0;  // restart, reinit: its number; it is done when the record has it no more
};
BOOST_DESCRIBE_STRUCT(Done, (), (text, revision, errand))

// One way of asking that is not open to everybody, and the role it needs.
struct Route {
    char const* method;  // GET or POST
    char const* path;
    cluster::Role role;
    runtime::Task<Result<std::string>> (*run)(Desk const&, runtime::HttpRequest const&);  // gives JSON
    bool (*only_admin)(runtime::HttpRequest const&) = nullptr;  // this very request needs an administrator
};
// THE table. nullptr: no such route.
Route const* find_route(std::string const& method, std::string const& path);
cluster::Role role_needed(Route const& route, runtime::HttpRequest const& request);

// Sets one tag by its text.
Status set_tag(cluster::Tags& tags, std::string const& name, std::string const& value);

}  // namespace keel::web
