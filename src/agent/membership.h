// Who belongs to the cluster, as this node knows it: whom to be connected to, and whose connection to accept.
#pragma once

#include <map>
#include <string>

#include "cluster/record.h"

namespace keel::runtime {
class Worker;
class Scope;
}  // namespace keel::runtime

namespace keel::agent {

class Membership {
  public:
    // Keeps state/known-record of the directory up to date, on the worker.
    Membership(NodeId self, std::string directory, runtime::Scope& scope, runtime::Worker& disk)
        : self_(std::move(self)), directory_(std::move(directory)), scope_(&scope), disk_(&disk) {}

    bool contains(NodeId const& id) const { return names_.contains(id); }
    std::string name_of(NodeId const& id) const;
    // Members or their peer addresses differ from what was adopted.
    bool changed_by(cluster::Record const& record) const;
    // The others' addresses, for peer::Channel::set_peers.
    std::map<NodeId, std::string> const& adopt(cluster::Record const& record);

  private:
    NodeId self_;
    std::string directory_;
    runtime::Scope* scope_;
    runtime::Worker* disk_;
    std::map<NodeId, std::string> names_;
    std::map<NodeId, std::string> addresses_;
};

}  // namespace keel::agent
