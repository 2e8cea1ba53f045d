// What the API's requests and answers say, as described structs for both sides: the server in this folder and the
// command line. GET /status, /history and /explain answer cluster::ClusterStatus, a list of cluster::HistoryEvent and
// cluster::Explanation; GET /doctor a list of Finding. POST /switchover and /failover take the requests of
// cluster/operations.h; POST /pause, /resume and /reload take nothing. Every POST but those named below answers Done.
#pragma once

#include <boost/describe.hpp>

#include "base/result.h"
#include "cluster/record.h"
#include "config/settings.h"

namespace keel {
BOOST_DESCRIBE_ENUM(Code, invalid, not_found, conflict, unavailable, timeout, denied, exhausted, corrupt, internal)
BOOST_DESCRIBE_ENUM(Outcome, not_done, unknown)
}  // namespace keel

namespace keel::web {

// Of every answer with a status of 400 and above.
struct Refusal {
    Code code = Code::internal;
    std::string text;
    std::string mend;
    Outcome outcome = Outcome::not_done;
};
BOOST_DESCRIBE_STRUCT(Refusal, (), (code, text, mend, outcome))

struct Done {
    std::string text;            // one sentence; may be empty
    std::uint64_t revision = 0;  // of the record in which it stands
};
BOOST_DESCRIBE_STRUCT(Done, (), (text, revision))

// POST /restart, /reinit, /leave: a member's name, as of cluster::find_member.
struct MemberRequest {
    std::string member;
};
BOOST_DESCRIBE_STRUCT(MemberRequest, (), (member))

// POST /members: changes tags ("priority" -> "10", "clonefrom" -> "": the default again), and with `sound` takes the
// mark `broken` away.
struct MemberChange {
    std::string member;
    std::map<std::string, std::string> tags;
    bool sound = false;
};
BOOST_DESCRIBE_STRUCT(MemberChange, (), (member, tags, sound))

// GET /config.
struct ConfigAnswer {
    cluster::Settings settings;
    std::uint64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(ConfigAnswer, (), (settings, revision))
// POST /config: each change is made when the setting still has the value `before`, else none is (conflict). `scope` is
// not read. Answers Done.
struct ConfigChanges {
    std::vector<config::Change> changes;
};
BOOST_DESCRIBE_STRUCT(ConfigChanges, (), (changes))

// POST /token.
struct TokenRequest {
    cluster::Kind kind = cluster::Kind::data;
    std::int64_t valid_s = 86400;
    std::uint32_t uses = 1;
    std::string revoke;  // non-empty: the id of a token to take back; the rest is not read, the answer is Done
};
BOOST_DESCRIBE_STRUCT(TokenRequest, (), (kind, valid_s, uses, revoke))
// The secret travels this once; the record keeps its hash (hex SHA-256 of the text).
struct TokenAnswer {
    std::string id;
    std::string secret;
    std::string authority_fingerprint;  // runtime::fingerprint of ca.crt
    std::int64_t expires_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(TokenAnswer, (), (id, secret, authority_fingerprint, expires_unix_ms))
// GET /token: a list of cluster::JoinToken, the hashes left out.

// POST /join, over TLS and without a client certificate: the token's secret is the permission.
struct JoinRequest {
    std::string secret;
    NodeId node;
    std::string signing_request;  // PEM, for `node`
    cluster::Member member;       // the certificate is made for the hosts in its addresses
};
BOOST_DESCRIBE_STRUCT(JoinRequest, (), (secret, node, signing_request, member))

// Where the cluster's record lives: what a joining node cannot guess of node.toml's [store].
struct StoreHint {
    std::string kind;  // "embedded" or "etcd"; empty: not known
    std::vector<std::string> endpoints;
    std::string prefix;
    std::string user;
    bool client_certificate = false;
    bool private_authority = false;  // ca_file is set
};
BOOST_DESCRIBE_STRUCT(StoreHint, (), (kind, endpoints, prefix, user, client_certificate, private_authority))

struct JoinAnswer {
    std::string certificate;    // of the new node, PEM
    std::string authority;      // ca.crt
    std::string authority_key;  // ca.key; empty for a witness
    cluster::Record record;     // with the new member in it
    StoreHint store;
};
BOOST_DESCRIBE_STRUCT(JoinAnswer, (), (certificate, authority, authority_key, record, store))

}  // namespace keel::web
