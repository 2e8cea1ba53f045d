// What an agent needs before it may begin, and every reason why it must not, each with its mend.
#pragma once

#include <optional>

#include "agent/local_state.h"
#include "config/node_config.h"
#include "postgres/place.h"
#include "runtime/files.h"
#include "runtime/tls.h"

namespace keel::agent {

// Exit codes of the agent that mean: do not start it again, nothing will change by itself.
inline constexpr int kExitDuplicate = 70;  // another live node has this identity
inline constexpr int kExitLeft = 71;       // the node is no member of its cluster any more
inline constexpr int kExitRefused = 78;    // EX_CONFIG of sysexits.h

// <directory>/node.toml; the text lists every problem with its line.
Result<config::NodeConfig> load_config(std::string const& directory);

// The process's log as node.toml wants it.
Status set_up_log(config::NodeConfig const& config);

struct Prepared {
    NodeIdentity identity;
    Epoch floor;
    std::optional<cluster::Record> known;
    runtime::TlsIdentity tls;
    std::optional<postgres::Place> place;  // none: a witness
    runtime::FileLock lock;
};

// There is one in the node's directory while a server that `pgkeel recover --until` rolled back runs in its data
// directory, or may: then no agent starts.
std::string rolled_marker(std::string const& directory);

// The keys of node.toml that differ and take effect when the node is started again: "address, store"; empty: none.
std::string keys_for_restart(config::NodeConfig const& now, config::NodeConfig const& next);

// Reads and checks everything that is on this machine. Changes nothing but the modes of the node's own directories.
Result<Prepared> prepare(config::NodeConfig const& config);

// This program's file; after an upgrade the new one at the same path.
std::string own_program();

postgres::Place place_of(config::NodeConfig const& config, NodeId const& id);
// What to listen on: the node's address, or all when that is a name and not an IP address.
std::string listen_address(config::NodeConfig const& config);

// The record must be of this cluster, and the data directory, where there is one, too.
Status check_record(Prepared const& prepared, cluster::Record const& record);

}  // namespace keel::agent
