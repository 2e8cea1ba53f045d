// What a run is made of: drawn from the seed before it begins, so that every seed is another kind of cluster and
// trouble.
#pragma once

#include <cstdint>

#include "cluster/mutation.h"
#include "cluster/record.h"
#include "rng.h"

namespace keel::sim {

enum class Fault {
    agent_crash,
    agent_pause,
    postmaster_crash,
    machine_crash,
    power_loss,
    machine_pause,
    blind_pause,
    postgres_pause,
    partition,
    isolate,
    one_way,
    wal_cut,
    peer_cut,
    store_cut,
    slow_fsync,
    slow_promotion,
    stuck_receiver,
    disk_full,
    lossy_network,
    late_network,
    switchover,
    mode_change,
    quorum_change,
    pause_cluster,
    member_change,
    tags,
    settings,
    disk_stall,
    disk_tight,
};
inline constexpr int kFaults = static_cast<int>(Fault::disk_tight) + 1;
char const* name_of(Fault fault);

// Faults put into the driver or the models on purpose; those of the machine itself are cluster::Mutation.
enum class Defect {
    none,
    skip_barrier,        // set_names answers before every walsender has the new setting
    ignore_persist,      // the floor never reaches the disk, and a restarted node starts from zero
    promise_forgotten,   // a restarted acceptor knows what it accepted, not what it promised
    wall_clock_lease,    // the machine is handed a clock that steps
    no_cut,              // F0: "cut" is reported, the receiver goes on
    unplanned_timeline,  // promotion takes PostgreSQL's own next number
    lsn_from_memory,     // positions that a restart of the receiver may take back: received, not yet on disk
    no_guardian,         // nobody kills the server of a dead agent
};

struct Plan {
    std::uint64_t seed = 0;
    int data = 3;
    int witnesses = 0;
    int fresh = 0;  // data nodes that begin without a directory
    cluster::Mode mode = cluster::Mode::quorum;
    std::uint32_t quorum = 1;
    cluster::Profile profile = cluster::Profile::lan;
    bool register_store = false;
    bool watch = true;         // records are pushed, besides being polled
    std::uint32_t faults = 0;  // bit per Fault
    Time fault_interval = 3 * kSecond;
    Time trouble = 40 * kSecond;     // how long faults happen
    Time restart_max = 4 * kSecond;  // an agent is started again within this
    Time client_interval = 40 * kMs;
    double loss = 0;
    double duplicate = 0;
    double late = 0;
    double lost_answers = 0;
    double stubborn = 0;  // processes that need the SIGKILL
    std::int64_t clock_ppm = 900;
    Defect defect = Defect::none;
    cluster::Mutation mutation = cluster::Mutation::none;

    bool has(Fault fault) const { return (faults >> static_cast<unsigned>(fault) & 1U) != 0; }
};

Plan draw_plan(std::uint64_t seed);

}  // namespace keel::sim
