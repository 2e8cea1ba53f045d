#include "cli/drill_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::cli::drill {

namespace {

using cluster::ClusterStatus;
using cluster::Kind;
using cluster::MemberStatus;
using cluster::Mode;

void add(std::vector<Error>& out, std::string text, std::string mend) {
    out.push_back({Code::unavailable, std::move(text), std::move(mend)});
}

// A standby that the leader takes into the sync set when it can.
bool belongs_in_sync_set(MemberStatus const& member) {
    return member.kind == Kind::data && !member.tags.nosync && !member.tags.spare && member.tags.delayed_s == 0;
}

void check_leadership(ClusterStatus const& status, std::vector<Error>& out) {
    if (status.phase != cluster::Phase::stable)
        add(out, fmt::format("an election is under way, epoch {}", status.epoch.value),
            "wait until `pgkeel status` shows a leader");
    else if (status.leader.empty() || !status.leader_alive)
        add(out, status.leader.empty() ? "nobody leads" : status.leader + " does not answer as the leader",
            "pgkeel explain");
    if (status.paused) add(out, "the cluster is paused: nobody would take over", "pgkeel resume");
    if (!status.handover.empty())
        add(out, "a switchover is asked for: " + status.handover,
            "wait for it, or take it back: pgkeel switchover --cancel");
    if (!status.store_trouble.empty())
        add(out, "the store does not answer: " + status.store_trouble,
            "mend it first: nobody can be elected without it");
    if (status.voters_alive < status.voters)
        add(out, fmt::format("{} of {} voters are heard", status.voters_alive, status.voters),
            "start the missing nodes: pgkeel status names them");
}

void check_member(ClusterStatus const& status, MemberStatus const& member, std::vector<Error>& out) {
    if (member.leaving) return add(out, member.name + " is leaving the cluster", "wait until it has left");
    if (!member.errand.empty())
        return add(out, fmt::format("{} has work to do: {}", member.name, member.errand), "wait until it is done");
    if (!member.healthy || !member.problem.empty()) {
        auto const state = boost::describe::enum_to_string(member.state, "?");
        return add(out, fmt::format("{} is not well: {}", member.name, member.problem.empty() ? state : member.problem),
                   fmt::format("start or mend {}, then try again; if it is gone for good: pgkeel leave", member.name));
    }
    if (member.name == status.leader || status.mode == Mode::async || !belongs_in_sync_set(member)) return;
    if (!member.in_sync_set)
        add(out, member.name + " streams, but is not in the sync set yet", "wait until it has caught up");
}

}  // namespace

std::vector<Error> not_whole(ClusterStatus const& status) {
    std::vector<Error> out;
    if (!status.member) {
        add(out, "this node knows no cluster: " + status.reason, "pgkeel doctor");
        return out;
    }
    check_leadership(status, out);
    for (auto const& member : status.members) check_member(status, member, out);
    auto const in_sync = std::ranges::count_if(status.members, [&](MemberStatus const& member) {
        return member.in_sync_set && member.streaming && member.name != status.leader;
    });
    bool const fewer = in_sync < static_cast<std::int64_t>(status.quorum) || status.sync.quorum < status.quorum;
    if (status.mode != Mode::async && fewer)
        add(out,
            fmt::format("commits wait for {} of the {} standbys asked for",
                        std::min<std::int64_t>(in_sync, status.sync.quorum), status.quorum),
            "bring the standbys back, or lower `quorum` with pgkeel config set");
    return out;
}

std::vector<std::string> candidates(ClusterStatus const& status) {
    std::vector<std::string> out;
    for (auto const& member : status.members) {
        bool const may = member.kind == Kind::data && !member.tags.nofailover && member.tags.delayed_s == 0;
        bool const can = member.healthy && member.problem.empty() && member.streaming && !member.leaving;
        bool const complete = member.in_sync_set || status.mode == Mode::async;
        if (member.name != status.leader && may && can && complete) out.push_back(member.name);
    }
    return out;
}

std::vector<Error> objections(ClusterStatus const& status, Order const& order) {
    auto out = not_whole(status);
    if (!status.member) return out;
    auto const able = candidates(status);
    if (able.empty())
        add(out, "nobody could take over from " + (status.leader.empty() ? "the leader" : status.leader),
            "add a standby (pgkeel token create, then pgkeel join), or take the tag nofailover away");
    else if (!order.target.empty() && std::ranges::find(able, order.target) == able.end())
        add(out,
            order.target == status.leader ? order.target + " leads already"
                                          : order.target + " cannot take over: it is none of the candidates",
            fmt::format("--target {}", fmt::join(able, ", or --target ")));
    if (status.leader.empty() || order.self == status.leader) {
    } else if (order.fault != Fault::switchover) {
        add(out,
            fmt::format("{} is the primary, and this node is {}: a drill kills only where it runs", status.leader,
                        order.self),
            fmt::format("run it on {}", status.leader));
    } else if (!order.own_role) {
        add(out,
            fmt::format("{} is the primary, and this node is {}: only there the drill can make its schema",
                        status.leader, order.self),
            fmt::format("run it on {}, or name a role that may make a schema: --user ROLE", status.leader));
    }
    // The agent comes back within its lease; a node may stay away.
    if (order.fault == Fault::node && status.voters - 1 < cluster::majority(status.voters))
        add(out,
            fmt::format("without {} the voters that are left are no majority: nobody could be elected", status.leader),
            "add a third voter: pgkeel witness, or another data node");
    return out;
}

std::string fault_text(Order const& order, std::string const& leader, std::vector<Process> const& processes) {
    std::string const pid = processes.empty() ? "?" : std::to_string(processes.front().pid);
    switch (order.fault) {
        case Fault::switchover:
            return fmt::format("{} hands the leadership to {}; nothing is killed", leader,
                               order.target.empty() ? "the best standby" : order.target);
        case Fault::postmaster:
            return fmt::format("SIGKILL to process {}, the postmaster of {}, the primary", pid, leader);
        case Fault::agent:
            return fmt::format("SIGKILL to process {}, the agent of {}, the primary; its node starts it again", pid,
                               leader);
        case Fault::node:
            return fmt::format("SIGKILL to all {} processes of {}, the primary", processes.size(), leader);
    }
    return {};
}

std::vector<std::string> risks(ClusterStatus const& status, Fault fault) {
    std::vector<std::string> out;
    auto const& leader = status.leader;
    if (fault == Fault::agent)
        out.push_back(
            fmt::format("if its agent is not back in time, {} loses the lease: open transactions are broken off "
                        "and writes are refused until another node leads",
                        leader));
    else
        out.push_back(
            fmt::format("open transactions and all connections to {} are broken off; writes are refused until "
                        "another node leads",
                        leader));
    if (fault == Fault::switchover)
        out.emplace_back("no acknowledged commit: the leader stops in order, and the next one has all its WAL");
    else if (status.mode == Mode::async)
        out.emplace_back(
            "ACKNOWLEDGED COMMITS OF YOUR APPLICATIONS: the mode is async, and what the next primary has not "
            "received by then is lost for good");
    else
        out.push_back(fmt::format(
            "no acknowledged commit: the mode is {}, and each is on {} standby{} too (not one whose "
            "client cancelled its COMMIT, or had synchronous_commit off)",
            boost::describe::enum_to_string(status.mode, "?"), status.sync.quorum, status.sync.quorum == 1 ? "" : "s"));
    auto const able = candidates(status).size();
    if (fault != Fault::agent && status.mode == Mode::strict && able <= status.quorum)
        out.push_back(
            fmt::format("writes wait until {} is back: the mode is strict, and no standby is to spare", leader));
    if (fault != Fault::agent && able == 1)
        out.push_back(
            fmt::format("until {} is back there is no second copy, and a second failure is an outage", leader));
    if (fault == Fault::node)
        out.push_back(
            fmt::format("{} stays away until its service manager or you start it again: pgkeel node", leader));
    return out;
}

std::string render(Plan const& plan) {
    std::string out =
        fmt::format("A drill of the cluster {}, mode {}: nothing is done now (--dry-run)\n", plan.cluster, plan.mode);
    out += fmt::format("  fault      {}\n", plan.action);
    if (plan.processes.size() > 1) {
        for (auto const& process : plan.processes)
            out += fmt::format("             {:>8} {}\n", process.pid, process.what);
    }
    out += fmt::format("  then       {} may take over\n",
                       plan.candidates.empty() ? "nobody" : fmt::format("{}", fmt::join(plan.candidates, " or ")));
    for (std::size_t i = 0; i < plan.risks.size(); ++i)
        out += fmt::format("  {:<10} {}\n", i == 0 ? "at risk" : "", plan.risks[i]);
    out += fmt::format("  load       {}\n", plan.load);
    for (std::size_t i = 0; i < plan.objections.size(); ++i)
        out += fmt::format("  {:<10} {}\n", i == 0 ? "refused" : "", plan.objections[i]);
    if (plan.objections.empty()) out += "  checks     all passed; without --dry-run it would begin\n";
    return out;
}

}  // namespace keel::cli::drill
