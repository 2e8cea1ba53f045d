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
// can come in no other way. The agent: its operating system user, by peer. Roles of kProxied: over TLS by a node's
// certificate alone, which its proxy shows for who has proved to be that role in a way that gives no password on.
std::string hba_block();
// `members`: whose certificates are good. One of the authority that is not among them, such as that of a node that has
// left, opens nothing. `proxied`: the roles of kProxied, as pg_ident.conf takes no groups before PostgreSQL 16.
std::string ident_block(std::string const& os_user, std::set<NodeId> const& members,
                        std::set<std::string> const& proxied = {});

// The group of the roles for which nodes' proxies may log in. Nobody makes it but people.
inline constexpr char const* kProxied = "pgkeel_proxied";
// A name that stands for itself in pg_ident.conf, of every version.
bool is_plain_name(std::string_view role);

// pg_hba.conf of a new cluster, before with_block(): applications by password (SCRAM).
std::string hba_of_new_cluster();

}  // namespace keel::postgres
