// The cluster's record behind compare-and-swap, as a linearizable service with delays, lost requests and lost answers.
#pragma once

#include <functional>
#include <memory>

#include "cluster/node.h"
#include "rng.h"

namespace keel::sim {

class World;
using SharedRecord = std::shared_ptr<cluster::Record const>;

class Store {
  public:
    virtual ~Store() = default;
    using Done = std::function<void(cluster::Swapped, SharedRecord)>;
    // Ends with exactly one call of `done`, perhaps `unknown`, unless the node that asks dies. `author`: for the
    // checkers; -1 is an operator who works through that node's agent.
    virtual void read(int node, Done done) = 0;
    virtual void swap(int node, int author, std::uint64_t expected, SharedRecord next, Done done) = 0;
    // The newest committed record: the truth that the checkers see.
    virtual SharedRecord truth() const = 0;
    // An agent died, came up, goes on after a pause.
    virtual void node_stopped(int) {}
    virtual void node_started(int) {}
    virtual void node_resumed(int) {}
};

// One copy somewhere in the network (as etcd is); nodes may be cut from it.
class MemoryStore : public Store {
  public:
    MemoryStore(World& world, SharedRecord first) : world_(world), record_(std::move(first)) {}
    void read(int node, Done done) override;
    void swap(int node, int author, std::uint64_t expected, SharedRecord next, Done done) override;
    SharedRecord truth() const override { return record_; }

  private:
    bool reachable(int node) const;
    World& world_;
    SharedRecord record_;
};

}  // namespace keel::sim
