// Where the cluster's record lives: read, compare-and-swap, watch. Callbacks, for the agent's single-threaded loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cluster/node.h"

namespace keel::consensus {

// Every call ends with exactly one answer, never from inside the call itself, always on the loop's thread. A store that
// is destroyed gives no more answers. Operations of one store are carried out in the order they were asked for.
class Store {
  public:
    using Answer = std::function<void(cluster::StoreAnswer)>;
    using Watcher = std::function<void(cluster::Record const&)>;

    Store() = default;
    Store(Store const&) = delete;
    Store& operator=(Store const&) = delete;
    virtual ~Store() = default;

    // Linearizable: done with the record (without one when none was ever written), else unknown: no majority, no
    // answer.
    virtual void read(Answer answer) = 0;
    // Replaces the record of revision `expected` (0: there is none yet) by `record`, which gets revision `expected`
    // + 1. done: it happened (the record given may be a later one). conflict: it did not and will not; the record is
    // the one that stands. unknown: it may have happened, or may still.
    virtual void swap(std::uint64_t expected, cluster::Record record, Answer answer) = 0;
    // Called with every newer record that became known, own writes too; revisions only grow. One watcher.
    virtual void watch(Watcher watcher) = 0;
    // Why the store does not answer now, with a mend, for people; empty when it does.
    virtual std::string trouble() const = 0;
};

}  // namespace keel::consensus
