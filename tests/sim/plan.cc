#include "plan.h"

namespace keel::sim {

char const* name_of(Fault fault) {
    static constexpr char const* kNames[kFaults] = {
        "agent crash",   "agent pause",    "postmaster crash", "machine crash",  "power loss",     "machine pause",
        "blind pause",   "postgres pause", "partition",        "isolation",      "one way",        "wal link cut",
        "peer link cut", "store cut",      "slow fsync",       "slow promotion", "stuck receiver", "disk full",
        "lossy network", "late network",   "switchover",       "mode change",    "quorum change",  "pause",
        "member change", "tags",           "settings",         "disk stall",     "disk tight"};
    return kNames[static_cast<int>(fault)];
}

// Swarm testing: which kinds exist at all is drawn first, so that rare mixtures of few kinds come up as well.
Plan draw_plan(std::uint64_t seed) {
    Rng rng(seed);
    Plan plan;
    plan.seed = seed;
    static constexpr int kData[] = {2, 3, 3, 3, 3, 4, 5};
    plan.data = kData[rng.pick(7)];
    plan.witnesses = plan.data == 2 ? 1 : plan.data == 4 ? rng.pick(2) : 0;
    plan.fresh = rng.chance(0.2) ? rng.pick(plan.data) : 0;
    int const mode = rng.pick(10);
    plan.mode = mode < 6 ? cluster::Mode::quorum : mode < 8 ? cluster::Mode::strict : cluster::Mode::async;
    plan.quorum = plan.data > 3 && rng.chance(0.5) ? 2 : 1;
    plan.profile = rng.chance(0.1) ? cluster::Profile::standard : cluster::Profile::lan;
    plan.register_store = rng.chance(0.5);
    plan.watch = rng.chance(0.7);
    double const density = rng.chance(0.3) ? 0.6 : 0.2;
    for (int fault = 0; fault < kFaults; ++fault) {
        if (rng.chance(density)) plan.faults |= 1U << static_cast<unsigned>(fault);
    }
    // The machine's clock may stand still unseen only where durability does not rest on clocks.
    bool const clocks_matter = plan.mode == cluster::Mode::async || plan.has(Fault::mode_change);
    if (clocks_matter) plan.faults &= ~(1U << static_cast<unsigned>(Fault::blind_pause));
    plan.fault_interval = rng.between(300, 5000) * kMs;
    plan.trouble = rng.between(15, 45) * kSecond;
    plan.client_interval = rng.between(15, 120) * kMs;
    plan.loss = rng.chance(0.3) ? 0.02 * rng.pick(10) : 0;
    plan.duplicate = rng.chance(0.3) ? 0.1 : 0;
    plan.late = rng.chance(0.3) ? 0.05 : 0;
    plan.lost_answers = rng.chance(0.3) ? 0.15 : 0;
    plan.stubborn = rng.chance(0.3) ? 0.3 : 0;
    plan.clock_ppm = rng.chance(0.5) ? 990 : 0;
    return plan;
}

}  // namespace keel::sim
