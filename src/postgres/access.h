// pg_hba.conf and pg_ident.conf: a managed block in front, the user's lines behind it untouched. Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace keel::postgres {

// The text with `block` between the markers at its beginning, in place of an older block.
std::string with_block(std::string_view text, std::string_view block);

// Between nodes: certificates of the cluster's authority only, mapped by pg_ident to the replication roles; these roles
// can come in no other way. The agent: its operating system user, by peer.
std::string hba_block();
// `members`: whose certificates are good. One of the authority that is not among them, such as that of a node that has
// left, opens nothing.
std::string ident_block(std::string const& os_user, std::set<NodeId> const& members);

// pg_hba.conf of a new cluster, before with_block(): applications by password (SCRAM).
std::string hba_of_new_cluster();

}  // namespace keel::postgres
