// `pgkeel restart`: PostgreSQL of every member, standbys first, then a switchover, then the old leader; one at a time,
// and each step waits until the cluster is as whole as before.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/errand.h"
#include "cli/terminal.h"
#include "cluster/operations.h"

namespace keel::cli {

namespace {

struct RestartOptions {
    std::vector<std::string> members;
    bool yes = false, no_wait = false;
};

constexpr Duration kStep = 300s;

// Members with a PostgreSQL that answer, the leader last.
std::vector<std::string> order_of(cluster::ClusterStatus const& status, std::vector<std::string> const& wanted) {
    std::vector<std::string> out;
    bool leader = false;
    for (auto const& member : status.members) {
        bool const named = wanted.empty() || std::ranges::find(wanted, member.name) != wanted.end();
        if (!named || member.kind != cluster::Kind::data || !member.healthy) continue;
        if (member.name == status.leader)
            leader = true;
        else
            out.push_back(member.name);
    }
    if (leader) out.push_back(status.leader);
    return out;
}

Done restart_one(Agent const& agent, std::string const& name, RestartOptions const& options) {
    fmt::print("{}: restart\n", name);
    KEEL_TRY(auto const asked, agent.post("/restart", web::MemberRequest{name, {}}));
    if (options.no_wait) return {};
    return wait_for_errand(agent, name, asked, kStep);
}

// The leader is not restarted while it leads, unless there is nobody to take over.
Done hand_over(Agent const& agent, std::string const& leader, Wholeness const& whole) {
    KEEL_TRY(auto const before, agent.status());
    if (before.leader != leader) return {};
    bool const alone = std::ranges::none_of(before.members, [&](auto const& member) {
        return member.kind == cluster::Kind::data && member.name != leader && member.healthy;
    });
    if (alone) return {};
    fmt::print("{}: hands the leadership over first\n", leader);
    KEEL_TRY(auto const asked, agent.post("/switchover", cluster::SwitchoverRequest{}));
    KEEL_CHECK(follow(agent, 60s, "the switchover", until_leader_changed(before, "", asked.revision)));
    return wait_until_whole(agent, whole, kStep);
}

Done restart(Agent const& agent, RestartOptions const& options) {
    KEEL_TRY(auto const before, agent.status());
    for (auto const& name : options.members) KEEL_CHECK(member_named(before, name));
    auto const order = order_of(before, options.members);
    if (order.empty())
        return stop(kNotSafe, Code::unavailable, "none of these members runs and is healthy", "pgkeel status");
    bool const leader = order.back() == before.leader;
    KEEL_CHECK(confirm(fmt::format("PostgreSQL is restarted on {}, one after the other{}", fmt::join(order, ", "),
                                   leader ? fmt::format("; {} hands over before its turn", before.leader) : ""),
                       options.yes));
    if (options.no_wait && order.size() > 1)
        return stop(kUsage, Code::invalid, "--no-wait cannot go with several members: each step waits for the last",
                    "name one member, or leave --no-wait out");
    auto const whole = wholeness_of(before);
    for (auto const& name : order) {
        if (name == before.leader) KEEL_CHECK(hand_over(agent, name, whole));
        KEEL_CHECK(restart_one(agent, name, options));
        if (!options.no_wait) KEEL_CHECK(wait_until_whole(agent, whole, kStep));
    }
    fmt::print("{}\n", options.no_wait ? "Asked for; `pgkeel status --watch` shows it." : "All of them are back.");
    return {};
}

}  // namespace

void add_restart(Commands& commands) {
    auto const options = std::make_shared<RestartOptions>();
    auto& command = commands.add("restart", "Restart PostgreSQL, one member after the other, without an outage");
    command.add_option("members", options->members, "Names; else all: the standbys, a switchover, the old leader");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--no-wait", options->no_wait, "Do not wait for the result");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return restart(agent, *options);
    });
}

}  // namespace keel::cli
