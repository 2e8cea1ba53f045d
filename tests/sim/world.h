// One simulated cluster: everything that exists in a run, and the only way its parts reach each other.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clients.h"
#include "faults.h"
#include "host.h"
#include "invariants.h"
#include "liveness.h"
#include "network.h"
#include "plan.h"
#include "register_store.h"
#include "scheduler.h"
#include "store.h"
#include "trace.h"
#include "wal.h"

namespace keel::sim {

// What a run covered; summed over seeds.
struct Counts {
    std::uint64_t steps = 0;
    std::uint64_t elections = 0;  // leaders chosen
    std::uint64_t promotions = 0;
    std::uint64_t failovers = 0;    // another node than before leads
    std::uint64_t switchovers = 0;  // of them: asked for
    std::uint64_t rewinds = 0;
    std::uint64_t clones = 0;
    std::uint64_t blocked = 0;  // times a node found no safe candidate
    std::uint64_t guardian_kills = 0;
    std::uint64_t kills = 0;
    std::uint64_t sync_changes = 0;
    std::uint64_t commits = 0;       // acknowledged
    std::uint64_t sync_commits = 0;  // of them: waited for standbys
    std::uint64_t lost_async = 0;    // acknowledged commits given up where the mode allows it
    std::uint64_t late_async = 0;    // acknowledged by an older epoch within the clock bound
    std::uint64_t messages_lost = 0;
    std::uint64_t persist_failures = 0;
    std::uint64_t agent_starts = 0;
    std::uint64_t faults[kFaults]{};
    std::uint64_t states[16]{};

    void add(Counts const& other);
};

struct Failure {
    std::string invariant;
    std::string text;
    Time when = 0;
};

class World {
  public:
    explicit World(Plan plan, bool tell = false, bool live = false);
    World(World const&) = delete;
    World& operator=(World const&) = delete;
    ~World();

    // Runs trouble, healing and the liveness check; false when an invariant broke.
    bool run();
    std::optional<Failure> const& failure() const { return failure_; }

    Plan plan;
    Rng rng;
    Scheduler scheduler;
    Trace trace;
    Counts counts;
    WalTree wal;
    Network network;
    Invariants invariants;
    Clients clients;
    Faults faults;
    Liveness liveness;
    std::unique_ptr<Store> store;
    bool healing = false;

    int size() const { return static_cast<int>(hosts_.size()); }
    Host& host(int node) { return *hosts_[static_cast<std::size_t>(node)]; }
    Host const& host(int node) const { return *hosts_[static_cast<std::size_t>(node)]; }
    int index(NodeId const& id) const;  // -1: nobody
    std::uint64_t next_link() { return ++links_; }

    // ---- what the parts tell; the checkers listen
    void acknowledged(int node, Position commit, bool waited);
    void names_changed(int node);
    void record_written(int author, cluster::Record const& before, cluster::Record const& after);
    void promoted(int node, int branch);
    void directory_changed(int node);
    void fail(char const* invariant, std::string text);
    void tell(std::string text) { trace.add(scheduler.now(), std::move(text)); }

  private:
    void found_cluster();
    void spread(int author);

    std::vector<std::unique_ptr<Host>> hosts_;
    std::uint64_t links_ = 0;
    std::optional<Failure> failure_;
};

// Costs nothing while nobody listens.
#define SIM_TELL(world, ...)                                          \
    do {                                                              \
        if ((world).trace.on) (world).tell(fmt::format(__VA_ARGS__)); \
    } while (false)

// A datagram between two agents: lost, delayed, repeated, reordered.
template <class F>
void Network::post(int from, int to, F arrive) {
    Rng& rng = world_.rng;
    if (!open(Traffic::peer, from, to)) return;
    if (loss > 0 && rng.chance(loss)) {
        ++world_.counts.messages_lost;
        return;
    }
    int const copies = duplicate > 0 && rng.chance(duplicate) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        world_.scheduler.after(delay(), [this, from, to, arrive] {
            if (open(Traffic::peer, from, to)) arrive();
        });
    }
}

}  // namespace keel::sim
