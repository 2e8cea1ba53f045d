// The store that node.toml names, over the peer channel or a cluster of etcd.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "agent/local_state.h"
#include "config/node_config.h"
#include "consensus/embedded.h"
#include "runtime/asio.h"

namespace keel::runtime {
class Worker;
class Scope;
}  // namespace keel::runtime

namespace keel::agent {

struct StoreParts {
    runtime::Io* io = nullptr;
    runtime::Scope* scope = nullptr;  // for its timers and writes
    runtime::Worker* disk = nullptr;
    std::function<void(NodeId const&, std::string)> send;  // on the channel's topic `store`
};

struct ChosenStore {
    std::unique_ptr<consensus::Store> store;
    consensus::Embedded* embedded = nullptr;  // the same one, when it is that
};

// `cluster_name` is needed for etcd's key only; it is the known record's.
Result<ChosenStore> open_store(config::NodeConfig const& config, NodeIdentity const& identity,
                               std::optional<cluster::Record> const& known, StoreParts parts);

}  // namespace keel::agent
