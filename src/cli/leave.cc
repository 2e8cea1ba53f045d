// `pgkeel leave`: a member goes, in order, and what remains of it is said.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "cli/errand.h"
#include "cli/terminal.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {

struct LeaveOptions {
    std::string member;
    bool yes = false, no_wait = false;
};

constexpr Duration kLimit = 120s;

Done wait_until_gone(Agent const& agent, std::string const& name) {
    return follow(agent, kLimit, "the leave of " + name, [&](auto const& status) -> std::optional<Done> {
        if (find_member(status, name) == nullptr) return Done{};
        return std::nullopt;
    });
}

// A node that has left is not told so: the others no longer speak with it. So they are asked.
Done wait_until_others_forget(cluster::ClusterStatus const& before, std::string const& name,
                              std::string const& directory) {
    auto const until = runtime::boot_now() + kLimit;
    do {
        // Every one that answers: a single one may not have heard of the newest record, or of the member at all.
        std::size_t gone = 0, counting = 0;
        for (auto const& member : before.members) {
            if (member.name == name || member.api.empty()) continue;
            if (auto const counted = Agent::counts_member(directory, member.api, name)) ++(*counted ? counting : gone);
        }
        if (gone > 0 && counting == 0) return {};
        std::this_thread::sleep_for(200ms);
    } while (runtime::boot_now() < until);
    return stop(kNotSafe, Code::timeout, fmt::format("{} is still counted as a member", name),
                "let its node run, and look at `pgkeel status` on another one");
}

Done leave(Agent const& agent, LeaveOptions const& options, Reach const& reach) {
    KEEL_TRY(auto const before, agent.status());
    KEEL_TRY(auto const member, member_named(before, options.member.empty() ? before.told_by : options.member));
    bool const own = member.name == before.told_by && reach.host.empty();
    KEEL_CHECK(confirm(fmt::format("{} leaves the cluster {} for good; its data stays on its disk but follows no more",
                                   member.name, before.cluster),
                       options.yes));
    KEEL_CHECK(agent.post("/leave", web::MemberRequest{member.name, {}}));
    if (options.no_wait) {
        fmt::print("{} was asked to leave; `pgkeel status --watch` shows it.\n", member.name);
        return {};
    }
    KEEL_CHECK(own ? wait_until_others_forget(before, member.name, reach.directory)
                   : wait_until_gone(agent, member.name));
    fmt::print("{} has left the cluster.\n", member.name);
    if (own)
        fmt::print(
            "What remains here: the node's processes, to be stopped, and {} with its data and keys, to be\n"
            "removed by you when nobody needs them any more.\n",
            reach.directory);
    else
        fmt::print(
            "What remains on its machine: its processes, to be stopped, and its directory with data and keys.\n");
    return {};
}

}  // namespace

void add_leave(Commands& commands) {
    auto const options = std::make_shared<LeaveOptions>();
    auto& command = commands.add("leave", "Take a node out of its cluster, for good");
    command.add_option("member", options->member, "Name; else the node that is asked");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--no-wait", options->no_wait, "Do not wait for the result");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return leave(agent, *options, commands.reach());
    });
}

}  // namespace keel::cli
