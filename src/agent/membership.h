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

inline constexpr char const* kLeft =
    "this node has left its cluster; PostgreSQL is stopped, and its data stays where it is "
    "(mend: to come back, pgkeel join with an empty directory)";

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

    // A peer said that this node is no member (who left is told nothing any more). True when most of the other voters
    // have said so for a while: a node that has just joined is a stranger only for a moment.
    bool disowned_by(NodeId const& peer, Instant now, cluster::Record const& record);
    // A peer said that another live process has this node's identity. True when it has said so for longer than what the
    // kernel still sends for this node's last process, which was killed, can look alive: the time of a dead host and
    // that of a peer's memory, 3.5 s at most.
    bool duplicate_for(NodeId const& peer, Instant now) {
        return now - duplicate_since_.try_emplace(peer, now).first->second >= 4s;
    }
    void accepted_by(NodeId const& peer) {
        disowned_.erase(peer);
        duplicate_since_.erase(peer);
    }

  private:
    NodeId self_;
    std::string directory_;
    runtime::Scope* scope_;
    runtime::Worker* disk_;
    std::map<NodeId, std::string> names_;
    std::map<NodeId, std::string> addresses_;
    std::map<NodeId, Instant> disowned_;
    std::map<NodeId, Instant> duplicate_since_;
};

}  // namespace keel::agent
