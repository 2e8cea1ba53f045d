#include "campaign.h"

#include <cstdlib>

namespace keel::sim {

namespace {

using cluster::Mutation;

struct Named {
    char const* name;
    Defect defect;
    Mutation mutation;
    // Bends the drawn plan to the kinds of trouble in which the fault can matter.
    void (*bend)(Plan& plan) = nullptr;
};

void add(Plan& plan, std::initializer_list<Fault> faults) {
    for (Fault const fault : faults) plan.faults |= 1U << static_cast<unsigned>(fault);
}

// Many writers at once, and acceptors that die between a promise and the next accept.
void busy_register(Plan& plan) {
    plan.register_store = true;
    plan.faults = 0;
    add(plan, {Fault::agent_crash, Fault::settings, Fault::tags});
    plan.loss = 0.2;
    plan.late = 0.3;
    plan.fault_interval = 15 * kMs;
    plan.restart_max = 60 * kMs;
    plan.trouble = 8 * kSecond;
}

// Old news of a record arrive at a node that has just been restarted in the middle of an election.
void stale_news(Plan& plan) {
    plan.register_store = true;
    plan.mode = cluster::Mode::quorum;
    plan.faults = 0;
    add(plan, {Fault::agent_crash, Fault::settings, Fault::tags, Fault::switchover, Fault::peer_cut});
    plan.late = 0.4;
    plan.duplicate = 0.5;
    plan.fault_interval = 40 * kMs;
    plan.restart_max = 60 * kMs;
    plan.trouble = 15 * kSecond;
}

// One leader after another, each cut short.
void many_elections(Plan& plan) {
    plan.faults = 0;
    add(plan, {Fault::postmaster_crash, Fault::machine_crash, Fault::power_loss, Fault::isolate, Fault::agent_crash});
    plan.fault_interval = 400 * kMs;
    plan.client_interval = 15 * kMs;
    if (plan.mode == cluster::Mode::async) plan.mode = cluster::Mode::quorum;
}

constexpr Named kDefects[] = {
    {"skip_barrier", Defect::skip_barrier, Mutation::none},
    {"ignore_persist", Defect::ignore_persist, Mutation::none, stale_news},
    {"promise_forgotten", Defect::promise_forgotten, Mutation::none, busy_register},
    {"wall_clock_lease", Defect::wall_clock_lease, Mutation::none},
    {"no_cut", Defect::no_cut, Mutation::none},
    {"unplanned_timeline", Defect::unplanned_timeline, Mutation::none},
    {"no_guardian", Defect::no_guardian, Mutation::none},
    {"compare_lsn_only", Defect::none, Mutation::compare_lsn_only, many_elections},
    {"sync_order_reversed", Defect::none, Mutation::sync_order_reversed},
    {"skip_catch_up", Defect::none, Mutation::skip_catch_up},
    {"no_coverage", Defect::none, Mutation::no_coverage},
    {"soft_promises", Defect::none, Mutation::soft_promises},
    {"reuse_timelines", Defect::none, Mutation::reuse_timelines, many_elections},
    // No fault of ours: the same trouble with everything in order.
    {"busy_register", Defect::none, Mutation::none, busy_register},
    {"stale_news", Defect::none, Mutation::none, stale_news},
    {"many_elections", Defect::none, Mutation::none, many_elections},
};

Plan plan_of(std::uint64_t seed, std::string_view defect) {
    Plan plan = draw_plan(seed);
    if (defect.empty()) return plan;
    for (auto const& known : kDefects) {
        if (defect != known.name) continue;
        plan.defect = known.defect;
        plan.mutation = known.mutation;
        if (known.bend != nullptr) known.bend(plan);
        return plan;
    }
    fmt::print(stderr, "unknown defect {}\n", defect);
    std::exit(2);
}

}  // namespace

std::vector<std::string> defect_names() {
    std::vector<std::string> names;
    for (auto const& known : kDefects) {
        if (known.defect != Defect::none || known.mutation != Mutation::none) names.emplace_back(known.name);
    }
    return names;
}

Outcome run_seed(std::uint64_t seed, std::string_view defect, bool live) {
    World world(plan_of(seed, defect), live, live);
    world.run();
    return {world.failure(), world.counts};
}

std::string headline(std::uint64_t seed, Failure const& failure) {
    return fmt::format("seed {} at {:.3f} s: {}: {}", seed, static_cast<double>(failure.when) / 1e6, failure.invariant,
                       failure.text);
}

std::string retell(std::uint64_t seed, std::string_view defect) {
    World world(plan_of(seed, defect), true);
    world.run();
    std::string story;
    for (auto const& line : world.trace.lines()) story += line + "\n";
    if (!world.failure())
        return story + fmt::format("seed {} did not fail again: the run is not a function of its seed", seed);
    return story + headline(seed, *world.failure()) +
           fmt::format("\nagain: pgkeel_sim --seed {}{}{} --verbose", seed, defect.empty() ? "" : " --defect ", defect);
}

std::string summary(Counts const& c, std::uint64_t seeds, double seconds) {
    std::string text = fmt::format("{} seeds", seeds);
    if (seconds > 0)
        text += fmt::format(" in {:.1f} s ({:.0f} per second)", seconds, static_cast<double>(seeds) / seconds);
    text += fmt::format(
        "\n  {} steps, {} agent starts, {} kills, {} by the guardian\n"
        "  {} elections, {} promotions, {} failovers, {} switchovers, {} times blocked, {} sync set changes\n"
        "  {} rewinds, {} clones, {} failed writes of the floor, {} messages lost\n"
        "  {} acknowledged commits, {} of them waited for standbys; {} given up in async mode, {} within the clock "
        "bound\n  faults:",
        c.steps, c.agent_starts, c.kills, c.guardian_kills, c.elections, c.promotions, c.failovers, c.switchovers,
        c.blocked, c.sync_changes, c.rewinds, c.clones, c.persist_failures, c.messages_lost, c.commits, c.sync_commits,
        c.lost_async, c.late_async);
    for (int fault = 0; fault < kFaults; ++fault)
        text += fmt::format(" {} {},", c.faults[fault], name_of(static_cast<Fault>(fault)));
    text += "\n  states entered:";
    for (int state = 0; state < 16; ++state) {
        if (c.states[state] != 0)
            text += fmt::format(" {} {},", c.states[state], word(static_cast<cluster::State>(state)));
    }
    return text + "\n";
}

}  // namespace keel::sim
