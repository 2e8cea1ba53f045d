// `pgkeel failover`: a new leader where the old one is lost and the cluster may not choose one by itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/follow.h"
#include "cli/terminal.h"
#include "cluster/operations.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {

struct FailoverOptions {
    cluster::FailoverRequest request;
    bool yes = false, no_wait = false;
};

constexpr Duration kBlockedFor = 5s;  // this long blocked: it will not come by itself

// As for a switchover, but a cluster that says that it is blocked is believed after a while.
Look until_leader_or_blocked(cluster::ClusterStatus const& before, cluster::FailoverRequest const& request,
                             std::uint64_t asked) {
    auto const blocked_since = std::make_shared<std::optional<Instant>>();
    return [changed = until_leader_changed({}, request.to, asked), epoch = before.epoch, request,
            blocked_since](cluster::ClusterStatus const& status) -> std::optional<Done> {
        bool const reigns = status.phase == cluster::Phase::stable && status.leader_alive;
        if (reigns && status.epoch > epoch) return changed(status);
        if (!status.blocked) {
            blocked_since->reset();
            return std::nullopt;
        }
        auto const now = runtime::boot_now();
        if (!*blocked_since) *blocked_since = now;
        if (now - **blocked_since < kBlockedFor) return std::nullopt;
        return stop(kNotSafe, Code::unavailable, "nobody may be promoted: " + status.reason,
                    request.accept_data_loss
                        ? "start more of the nodes"
                        : "start the missing nodes; if they are gone for good and the loss of acknowledged commits is "
                          "accepted: pgkeel failover --to NAME --accept-data-loss");
    };
}

Done failover(Agent const& agent, FailoverOptions const& options) {
    KEEL_TRY(auto const before, agent.status());
    auto const& request = options.request;
    std::string const who = request.to.empty() ? "the best member" : request.to;
    KEEL_CHECK(confirm(request.accept_data_loss
                           ? fmt::format("{} is promoted although acknowledged commits of {} may be LOST for good", who,
                                         before.leader.empty() ? "the old leader" : before.leader)
                           : fmt::format("{} is to be promoted in the place of the lost leader", who),
                       options.yes));
    KEEL_TRY(auto const asked, agent.post("/failover", request));
    if (options.no_wait) {
        fmt::print("The failover was asked for; `pgkeel status --watch` shows it.\n");
        return {};
    }
    KEEL_CHECK(follow(agent, 120s, "the failover", until_leader_or_blocked(before, request, asked.revision)));
    KEEL_TRY(auto const after, agent.status());
    fmt::print("{} leads now, epoch {}.\n", after.leader, after.epoch.value);
    return {};
}

}  // namespace

void add_failover(Commands& commands) {
    auto const options = std::make_shared<FailoverOptions>();
    auto& command = commands.add("failover", "Ask for a new leader where the old one is lost and none is elected");
    command.add_option("--to", options->request.to, "The member that shall lead; else the best one");
    command.add_flag("--accept-data-loss", options->request.accept_data_loss,
                     "Promote although acknowledged commits may be lost; the history records it");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--no-wait", options->no_wait, "Do not wait for the result");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return failover(agent, *options);
    });
}

}  // namespace keel::cli
