#include "cluster/outlook.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "cluster/election.h"
#include "cluster/node_mind.h"

namespace keel::cluster {

namespace {

constexpr double kLongTransactionSeconds = 5;

Disk disk_of(Sight const& sight, NodeId const& id) {
    if (id == sight.self) return sight.seen.disk;
    auto const peer = sight.peers.find(id);
    return peer == sight.peers.end() ? Disk::sound : peer->second.last.disk;
}

// Why the leader would refuse to hand over to this member, by the rules of its own look; empty when it would not.
std::string unready(Sight const& sight, MemberStatus const& member) {
    if (!may_be_promoted(sight.record->members.at(member.id))) return "may not be promoted";
    if (!member.streaming) return "does not stream from the leader";
    if (disk_of(sight, member.id) == Disk::useless) return "has a disk that takes no writes";
    if (member.lag_bytes && *member.lag_bytes > kNearBytes)
        return fmt::format("lacks {} of WAL, more than the {} that a leader waits for", bytes_text(*member.lag_bytes),
                           bytes_text(kNearBytes));
    return {};
}

// As an election among nodes that all have the same WAL would choose; a handover makes them so.
MemberStatus const* likely(Sight const& sight, ClusterStatus const& status) {
    Record const& record = *sight.record;
    auto const old = record.members.find(record.leader);
    auto const rank = [&](MemberStatus const& member) {
        Member const& one = record.members.at(member.id);
        bool const doubtful = !one.broken.empty() || one.leaving || disk_of(sight, member.id) != Disk::sound;
        bool const near =
            old != record.members.end() && !member.tags.domain.empty() && member.tags.domain == old->second.tags.domain;
        return std::tuple(doubtful, -member.tags.priority, near, member.id);
    };
    MemberStatus const* best = nullptr;
    for (auto const& member : status.members) {
        if (member.id == record.leader || member.kind == Kind::witness || !unready(sight, member).empty()) continue;
        if (best == nullptr || rank(member) < rank(*best)) best = &member;
    }
    return best;
}

std::vector<std::string> steps_of(ClusterStatus const& status, Outlook const& out, std::int64_t at_unix_ms,
                                  Timeline timeline) {
    std::vector<std::string> steps;
    if (at_unix_ms != 0) steps.push_back(fmt::format("Nothing happens until {}.", utc_text(at_unix_ms)));
    steps.push_back(fmt::format(
        "{} makes a checkpoint and stops its PostgreSQL; transactions that are open there are broken off.", out.from));
    steps.push_back("Before it ends, it sends its last WAL to every standby that streams: nothing is lost.");
    steps.push_back(fmt::format("The nodes elect epoch {}; {} is promoted onto timeline {}.", status.epoch.value + 1,
                                out.to, timeline.value + 1));
    steps.push_back(fmt::format("Writes wait meanwhile, ordinarily for about a second; then they go to {}.", out.to));
    steps.push_back(fmt::format("{} starts again as a standby and streams from {}.", out.from, out.to));
    return steps;
}

void warn_of_target(Sight const& sight, ClusterStatus const& status, MemberStatus const& target, Outlook& out) {
    Member const& member = sight.record->members.at(target.id);
    if (!member.broken.empty()) out.cautions.push_back(fmt::format("{} is broken: {}", target.name, member.broken));
    if (disk_of(sight, target.id) == Disk::tight)
        out.cautions.push_back(target.name + "'s disk is nearly full: it may have to hand over again");
    if (status.mode != Mode::async && !target.in_sync_set)
        out.cautions.push_back(target.name + " is not in the sync set");
    if (target.lag_seconds && *target.lag_seconds > 1)
        out.cautions.push_back(fmt::format("{} replays {:.1f} s late; it must replay everything before it can lead",
                                           target.name, *target.lag_seconds));
}

void warn_of_cluster(Sight const& sight, ClusterStatus const& status, Outlook& out) {
    std::size_t left = 0;  // standbys of the new leader, the old one among them
    for (auto const& member : status.members) {
        if (member.kind == Kind::witness) continue;
        bool const other = member.name != out.to && member.name != out.from;
        if (other && !member.healthy)
            out.cautions.push_back(fmt::format("{} is not well: {}", member.name, member.problem));
        if (member.name == out.from || (other && member.streaming)) ++left;
    }
    if (status.mode != Mode::async && left - 1 < status.quorum)
        out.cautions.push_back(fmt::format(
            "until {} is back, {} of the {} standbys asked for can acknowledge commits{}", out.from, left - 1,
            status.quorum, status.mode == Mode::strict ? ": strict mode, so every write waits for it" : ""));
    if (status.voters_alive <= majority(status.voters))
        out.cautions.push_back(fmt::format("{} of {} voters answer: if one more fails, nobody can be elected",
                                           status.voters_alive, status.voters));
    if (status.paused)
        out.cautions.emplace_back("the cluster is paused: if something fails on the way, nobody mends it");
    if (!sight.vitals || status.leader != sight.name) return;
    if (sight.vitals->longest_transaction_seconds > kLongTransactionSeconds)
        out.cautions.push_back(fmt::format("a transaction that has been open for {:.0f} s is broken off ({})",
                                           sight.vitals->longest_transaction_seconds,
                                           sight.vitals->longest_transaction));
}

}  // namespace

Outlook outlook_of(Sight const& sight, SwitchoverRequest const& request) {
    Outlook out;
    if (!sight.record) {
        out.refusal = "this node does not know the cluster's record yet";
        out.mend = "ask another member";
        return out;
    }
    auto const status = status_of(sight);
    out.from = status.leader;
    Record tried = *sight.record;
    View const view = view_of(sight, tried);
    if (auto const done = request_switchover(tried, view, request, {sight.self, {}, sight.clock.unix_ms}); !done) {
        out.refusal = done.error().text;
        out.mend = done.error().mend;
        return out;
    }
    NodeId const& named = tried.handover->target;
    auto const same = [&](MemberStatus const& member) { return member.id == named; };
    auto const found = std::ranges::find_if(status.members, same);
    MemberStatus const* const target = found != status.members.end() ? &*found : likely(sight, status);
    std::string const why = target == nullptr ? "" : unready(sight, *target);
    if (target == nullptr || (!why.empty() && request.at_unix_ms == 0)) {
        out.refusal = target == nullptr ? "no standby is close enough behind to take over" : target->name + " " + why;
        out.mend = "wait until it has caught up, or choose another member";
        return out;
    }
    out.possible = true;
    out.to = target->name;
    out.steps = steps_of(status, out, request.at_unix_ms, newest_timeline(tried.lineage));
    if (!why.empty()) out.cautions.push_back(fmt::format("{} {} now; it must not be so then", target->name, why));
    warn_of_target(sight, status, *target, out);
    warn_of_cluster(sight, status, out);
    return out;
}

std::string render_outlook(Outlook const& outlook) {
    if (!outlook.possible)
        return fmt::format("It would be refused: {}.\n{}", outlook.refusal,
                           outlook.mend.empty() ? "" : "    mend: " + outlook.mend + "\n");
    std::string text = fmt::format("{} would hand over to {}:\n", outlook.from, outlook.to);
    for (std::size_t i = 0; i < outlook.steps.size(); ++i) text += fmt::format("  {}. {}\n", i + 1, outlook.steps[i]);
    if (outlook.cautions.empty()) return text + "Nothing speaks against it.\n";
    text += "Think of this first:\n";
    for (auto const& caution : outlook.cautions) text += fmt::format("  - {}\n", caution);
    return text;
}

}  // namespace keel::cluster
