// What a node keeps in its directory besides PostgreSQL's data and the register's file: who it is, the floor below
// which it helps nobody, and the last record it knew. All calls block.
#pragma once

#include <optional>
#include <string>

#include "cluster/routes.h"

namespace keel::agent {

// identity.json, written once by init or join.
struct NodeIdentity {
    NodeId node;
    std::string cluster_id;
};
BOOST_DESCRIBE_STRUCT(NodeIdentity, (), (node, cluster_id))

// not_found: this directory has not been through init or join. corrupt: not such a file.
Result<NodeIdentity> read_identity(std::string const& directory);
Status write_identity(std::string const& directory, NodeIdentity const& identity);

// state/floor. Epoch 0 when there is none yet; an unreadable one is an error, never 0.
Result<Epoch> read_floor(std::string const& directory);
Status write_floor(std::string const& directory, Epoch floor);

// state/known-record: a hint, so that a node which starts knows whom to ask. `pgkeel join` writes the record that it
// was given; the agent replaces it when members change. Empty when there is none or it cannot be read.
std::optional<cluster::Record> read_known_record(std::string const& directory);
Status write_known_record(std::string const& directory, cluster::Record const& record);

// state/sources of a proxy host: the data nodes that it may listen to. not_found: `pgkeel proxy join` was not here.
Result<std::vector<cluster::RouteSource>> read_sources(std::string const& directory);
Status write_sources(std::string const& directory, std::vector<cluster::RouteSource> const& sources);

inline std::string acceptor_file(std::string const& directory) { return directory + "/state/acceptor"; }

}  // namespace keel::agent
