// How a node joins: what it sends, what it gets, and what is checked in between.
#pragma once

#include "web/api.h"

namespace keel::web {

struct JoinRequest {
    std::string secret;   // of the token
    std::string request;  // PKCS #10, PEM; its common name is the node's UUID
    NodeId node;
    cluster::Member member;
    // Whose archive its data comes out of: the cluster's and the database cluster's identifier. Empty: of no archive.
    std::string archive_owner = {}, archive_system = {};
    bool only_check = false;  // the answer says nothing: the same request would be granted now
};
BOOST_DESCRIBE_STRUCT(JoinRequest, (), (secret, request, node, member, archive_owner, archive_system, only_check))

struct JoinAnswer {
    std::string certificate;    // PEM
    std::string authority;      // ca.crt
    std::string authority_key;  // ca.key, for data nodes, so that each of them can let others in; else empty
    cluster::Record record;
    StoreHint store;
};
BOOST_DESCRIBE_STRUCT(JoinAnswer, (), (certificate, authority, authority_key, record, store))

// Nothing is changed unless all is well; then the token has one use less and the member is in the record.
runtime::Task<Result<JoinAnswer>> admit(Desk const& desk, JoinRequest request);

}  // namespace keel::web
