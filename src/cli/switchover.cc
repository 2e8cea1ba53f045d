// `pgkeel switchover`: the leader is changed on purpose, now or at a time, without loss.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/follow.h"
#include "cli/terminal.h"
#include "cli/time_text.h"
#include "cluster/operations.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {

struct SwitchoverOptions {
    std::string to, at;
    bool yes = false, no_wait = false, cancel = false;
};

Done switchover(Agent const& agent, SwitchoverOptions const& options) {
    if (options.cancel) {
        KEEL_CHECK(agent.send("POST", "/switchover/cancel", {}));
        fmt::print("The planned switchover is taken back.\n");
        return {};
    }
    cluster::SwitchoverRequest request{options.to, 0};
    if (!options.at.empty()) {
        KEEL_TRY(request.at_unix_ms, parse_moment(options.at, runtime::unix_ms_now()));
    }
    KEEL_TRY(auto const before, agent.status());
    KEEL_CHECK(confirm(fmt::format("{} hands the leadership to {}{}; open transactions there are broken off",
                                   before.leader.empty() ? "The leader" : before.leader,
                                   options.to.empty() ? "the best standby" : options.to,
                                   request.at_unix_ms == 0 ? "" : " at " + cluster::utc_text(request.at_unix_ms)),
                       options.yes));
    KEEL_TRY(auto const asked, agent.post("/switchover", request));
    if (request.at_unix_ms != 0) {
        fmt::print("The switchover is planned for {}. To take it back: pgkeel switchover --cancel\n",
                   cluster::utc_text(request.at_unix_ms));
        return {};
    }
    if (options.no_wait) {
        fmt::print("The switchover was asked for; `pgkeel status --watch` shows it.\n");
        return {};
    }
    auto const begin = runtime::boot_now();
    KEEL_CHECK(follow(agent, 60s, "the switchover", until_leader_changed(before, options.to, asked.revision)));
    KEEL_TRY(auto const after, agent.status());
    fmt::print("{} leads now, {:.1f} s after it was asked for.\n", after.leader,
               to_seconds(runtime::boot_now() - begin));
    return {};
}

}  // namespace

void add_switchover(Commands& commands) {
    auto const options = std::make_shared<SwitchoverOptions>();
    auto& command = commands.add("switchover", "Change the leader on purpose, without loss");
    command.add_option("--to", options->to, "The member that shall lead; else the best standby");
    command.add_option("--at", options->at, "When: 03:00, \"2026-11-22 03:00\" (local; with a Z UTC), +30m");
    command.add_flag("--cancel", options->cancel, "Take a planned one back");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--no-wait", options->no_wait, "Do not wait for the result");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return switchover(agent, *options);
    });
}

}  // namespace keel::cli
