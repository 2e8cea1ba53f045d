#include "cluster/operations.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/election.h"

namespace keel::cluster {

namespace {

std::string const& name_of(Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() || found->second.name.empty() ? id.value : found->second.name;
}

std::string leader_name(Record const& record) {
    return record.leader.value.empty() ? std::string("nobody") : name_of(record, record.leader);
}

void tell(Record& record, Caller const& caller, char const* kind, std::string const& text) {
    note(record, caller.node, caller.unix_ms, kind, caller.who.empty() ? text : text + ", by " + caller.who);
}

std::size_t data_members(Record const& record) {
    return static_cast<std::size_t>(std::ranges::count_if(
        record.members, [](auto const& entry) { return entry.second.kind == Kind::data && !entry.second.leaving; }));
}

Result<Member*> known(Record& record, NodeId const& id) {
    auto const found = record.members.find(id);
    if (found == record.members.end())
        return fail(Code::not_found, fmt::format("{} is not a member of the cluster", id.value), "pgkeel status");
    return &found->second;
}

// Why this member cannot become the leader now; empty when it can.
std::string unfit(Record const& record, View const& view, NodeId const& id) {
    Member const& member = record.members.at(id);
    if (member.kind == Kind::witness) return "is a witness and has no PostgreSQL";
    if (member.leaving) return "is leaving the cluster";
    if (member.tags.nofailover) return "has the tag nofailover";
    if (member.tags.delayed_s > 0) return fmt::format("replays {} s late on purpose", member.tags.delayed_s);
    if (!view.alive.contains(id)) return "does not answer";
    return {};
}

// The member named, checked; empty for "the best one".
Result<NodeId> target_of(Record const& record, View const& view, std::string const& name) {
    if (name.empty()) {
        for (auto const& [id, unused] : record.members) {
            if (id != record.leader && unfit(record, view, id).empty()) return NodeId{};
        }
        return fail(Code::unavailable, "no other member could become the leader now",
                    "`pgkeel status` shows the members; start one, or add one with `pgkeel join`");
    }
    KEEL_TRY(NodeId const target, find_member(record, name));
    if (target == record.leader)
        return fail(Code::conflict, name + " is the leader already", "name another member, or none");
    if (auto const why = unfit(record, view, target); !why.empty())
        return fail(Code::unavailable, fmt::format("{} {}", name_of(record, target), why), "choose another member");
    return target;
}

// A restart or a reinit of the leader would be an outage, or worse.
Status refuse_for_leader(Record const& record, NodeId const& id, char const* what) {
    if (id != record.leader) return {};
    return fail(Code::conflict, fmt::format("{} is the leader, which is not {}", name_of(record, id), what),
                "pgkeel switchover first");
}

Status ask(Record& record, View const& view, NodeId const& id, Work work, Caller const& caller) {
    KEEL_TRY(Member* const member, known(record, id));
    char const* const what = work == Work::restart ? "restart" : "reinit";
    if (member->kind == Kind::witness)
        return fail(Code::invalid, member->name + " is a witness and has no PostgreSQL", "name a data member");
    if (!view.alive.contains(id))
        return fail(Code::unavailable, fmt::format("{} does not answer, so nobody would do it", member->name),
                    "start it with `pgkeel node` first");
    if (auto const under_way = record.errands.find(id); under_way != record.errands.end())
        return fail(Code::conflict,
                    fmt::format("a {} of {} is under way already",
                                under_way->second.work == Work::restart ? "restart" : "reinit", member->name),
                    "wait until `pgkeel status` no longer shows it");
    tell(record, caller, "errand", fmt::format("{} of {} asked for", what, member->name));
    record.errands[id] = {record.history.back().number, work, caller.unix_ms, caller.who};
    return {};
}

}  // namespace

View view_of(NodeId const& self, Clock clock, Record const& record, Opinion const& opinion,
             std::map<NodeId, PeerSight> const& peers) {
    View view;
    view.alive.insert(self);
    Duration const patience = 4 * timing(record.settings.profile).heartbeat;
    for (auto const& [id, sight] : peers) {
        if (clock.now - sight.heard > patience) continue;
        view.alive.insert(id);
        if (sight.last.state == State::standby && sight.last.streaming) view.streaming.insert(id);
        if (id == record.leader && sight.last.leads == record.epoch) view.leader_alive = true;
    }
    if (record.leader == self && opinion.lease_deadline > clock.now) view.leader_alive = true;
    if (record.leader.value.empty()) view.leader_alive = false;
    return view;
}

Result<NodeId> find_member(Record const& record, std::string const& name) {
    std::vector<NodeId> found;
    for (auto const& [id, member] : record.members) {
        if (member.name == name || id.value == name) return id;
        if (name.size() >= 4 && id.value.starts_with(name)) found.push_back(id);
    }
    if (found.size() == 1) return found.front();
    std::vector<std::string> names;
    for (auto const& [id, member] : record.members) names.push_back(member.name);
    return fail(Code::not_found, fmt::format("there is no member \"{}\"", name),
                fmt::format("the members are {}", fmt::join(names, ", ")));
}

// ---- leadership -----------------------------------------------------------------------------------------------------

Status request_switchover(Record& record, View const& view, SwitchoverRequest const& request, Caller const& caller) {
    if (record.phase != Phase::stable || record.leader.value.empty())
        return fail(Code::conflict, "an election is under way", "wait for its end: pgkeel status --watch");
    if (!view.leader_alive)
        return fail(Code::unavailable, fmt::format("{} does not answer, so it cannot hand over", leader_name(record)),
                    "the cluster elects by itself; if it is blocked: pgkeel failover");
    if (record.handover)
        return fail(Code::conflict, "a switchover is planned or under way already",
                    "wait for it, or take it back: pgkeel switchover --cancel");
    if (request.at_unix_ms != 0 && request.at_unix_ms <= caller.unix_ms)
        return fail(Code::invalid, "the time of the switchover has passed",
                    "name a time in the future, or leave --at out");
    KEEL_TRY(NodeId const target, target_of(record, view, request.to));
    if (request.at_unix_ms == 0 && !target.value.empty() && !view.streaming.contains(target))
        return fail(Code::unavailable, fmt::format("{} does not stream from the leader now", name_of(record, target)),
                    "wait until it does, or choose another member");
    if (request.at_unix_ms == 0 && target.value.empty() && view.streaming.empty())
        return fail(Code::unavailable, "no standby streams from the leader now", "wait until one does: pgkeel status");
    record.handover = Handover{target, request.at_unix_ms, false, caller.who};
    tell(record, caller, "switchover",
         fmt::format("switchover from {} to {} asked for{}", leader_name(record),
                     target.value.empty() ? std::string("the best standby") : name_of(record, target),
                     request.at_unix_ms == 0 ? "" : ", planned"));
    return {};
}

Status cancel_switchover(Record& record, Caller const& caller) {
    if (!record.handover) return fail(Code::not_found, "no switchover is planned", "");
    if (record.phase != Phase::stable)
        return fail(Code::conflict, "the switchover is under way", "wait for its end: pgkeel status --watch");
    record.handover.reset();
    tell(record, caller, "switchover", "the planned switchover was taken back");
    return {};
}

Status request_failover(Record& record, View const& view, FailoverRequest const& request, Caller const& caller) {
    if (view.leader_alive)
        return fail(Code::conflict, fmt::format("{} leads and answers", leader_name(record)),
                    "to change the leader without loss: pgkeel switchover");
    std::size_t const votes = static_cast<std::size_t>(
        std::ranges::count_if(record.voters, [&](NodeId const& id) { return view.alive.contains(id); }));
    if (votes < majority(record.voters.size()))
        return fail(Code::unavailable,
                    fmt::format("only {} of {} voters answer: nobody may be promoted without a majority, since another "
                                "primary may live",
                                votes, record.voters.size()),
                    "start more nodes");
    KEEL_TRY(NodeId const target, target_of(record, view, request.to));
    if (record.handover && record.handover->accept_data_loss == request.accept_data_loss &&
        record.handover->target == target)
        return fail(Code::conflict, "the same failover was asked for already", "watch it: pgkeel status --watch");
    record.handover = Handover{target, 0, request.accept_data_loss, caller.who};
    tell(record, caller, request.accept_data_loss ? "loss" : "failover",
         fmt::format("failover{} asked for{}", target.value.empty() ? std::string() : " to " + name_of(record, target),
                     request.accept_data_loss ? ", accepting that acknowledged commits may be lost" : ""));
    return {};
}

Status pause(Record& record, Caller const& caller) {
    if (record.paused) return fail(Code::conflict, "the cluster is paused already", "");
    record.paused = true;
    tell(record, caller, "pause", "paused: no automatic elections and restarts");
    return {};
}

Status resume(Record& record, Caller const& caller) {
    if (!record.paused) return fail(Code::conflict, "the cluster is not paused", "");
    record.paused = false;
    tell(record, caller, "pause", "resumed: failures are handled again");
    return {};
}

// ---- settings -------------------------------------------------------------------------------------------------------

std::vector<Error> contradictions(Settings const& next, Record const& record) {
    std::vector<Error> out;
    std::size_t const standbys = data_members(record) == 0 ? 0 : data_members(record) - 1;
    std::size_t eligible = 0;
    for (auto const& [id, member] : record.members) {
        if (id != record.leader && sync_eligible(member)) ++eligible;
    }
    if (next.quorum == 0) out.push_back({Code::invalid, "quorum is 0", "1 is the least; without waiting: mode async"});
    if (next.mode == Mode::strict && next.quorum > eligible)
        out.push_back({Code::invalid,
                       fmt::format("strict mode with quorum {} needs {} standbys that commits may wait for, and the "
                                   "cluster has {}: every write would wait for ever",
                                   next.quorum, next.quorum, eligible),
                       "add members first, lower quorum, or use mode quorum"});
    else if (next.mode == Mode::quorum && next.quorum > std::max<std::size_t>(standbys, 1))
        out.push_back({Code::invalid,
                       fmt::format("quorum {} cannot be reached: the cluster has {} standbys", next.quorum, standbys),
                       "add members first, or lower quorum"});
    Timing const time = timing(next.profile);
    if (std::chrono::milliseconds(next.evict_after_ms) < 2 * time.heartbeat)
        out.push_back({Code::invalid,
                       fmt::format("evict_after_ms = {} is shorter than two heartbeats ({} ms) of this profile",
                                   next.evict_after_ms, to_ms(2 * time.heartbeat)),
                       fmt::format("raise it to {} or more", to_ms(2 * time.heartbeat))});
    if (std::chrono::milliseconds(next.promote_timeout_ms) < 2 * time.heartbeat)
        out.push_back({Code::invalid,
                       fmt::format("promote_timeout_ms = {} is shorter than two heartbeats ({} ms) of this profile",
                                   next.promote_timeout_ms, to_ms(2 * time.heartbeat)),
                       fmt::format("raise it to {} or more", to_ms(2 * time.heartbeat))});
    return out;
}

Status change_settings(Record& record, Settings const& next, std::string const& what, Caller const& caller) {
    if (auto const wrong = contradictions(next, record); !wrong.empty()) {
        Error all = wrong.front();
        for (std::size_t i = 1; i < wrong.size(); ++i) {
            all.text += "; " + wrong[i].text;
            all.mend += "; " + wrong[i].mend;
        }
        return fail(std::move(all));
    }
    record.longest_profile = std::max({record.longest_profile, record.settings.profile, next.profile});
    record.settings = next;
    tell(record, caller, "setting", what);
    return {};
}

// ---- members --------------------------------------------------------------------------------------------------------

Status add_member(Record& record, NodeId const& id, Member const& member, Caller const& caller) {
    if (member.kind == Kind::proxy || record.proxies.contains(id))
        return fail(Code::invalid, "a proxy host is no member", "pgkeel proxy join");
    for (auto const& [other, known_member] : record.members) {
        if (other == id) continue;
        if (known_member.name == member.name)
            return fail(
                Code::conflict, fmt::format("a member named {} exists already", member.name),
                fmt::format("choose another --name; to replace that node for good: pgkeel leave {}", member.name));
        auto const same = [](std::string const& a, std::string const& b) { return !a.empty() && a == b; };
        if (same(known_member.peer, member.peer) || same(known_member.api, member.api) ||
            same(known_member.postgres, member.postgres))
            return fail(Code::conflict, fmt::format("{} has one of these addresses already", known_member.name),
                        "choose another --address or other ports");
    }
    bool const returns = record.members.contains(id);
    Member& entry = record.members[id];
    if (returns && entry.kind != member.kind)
        return fail(Code::conflict, fmt::format("{} is a member of another kind", entry.name), "pgkeel leave first");
    std::string const broken = entry.broken;
    entry = member;
    entry.broken = broken;
    entry.leaving = false;
    tell(record, caller, "member",
         fmt::format("{} {} as {}", member.name, returns ? "came back" : "joined",
                     member.kind == Kind::witness ? "a witness"
                     : member.tags.spare          ? "a spare"
                                                  : "a data node"));
    return {};
}

Status request_leave(Record& record, View const& view, NodeId const& id, Caller const& caller) {
    KEEL_TRY(Member* const member, known(record, id));
    if (member->kind == Kind::data && data_members(record) <= 1)
        return fail(Code::conflict, fmt::format("{} is the only node with the data", member->name),
                    "to give the cluster up, stop its node and remove its directory");
    KEEL_CHECK(refuse_for_leader(record, id, "taken out"));
    if (!view.leader_alive)
        return fail(Code::unavailable, "there is no leader now that could take a member out",
                    "wait for the election: pgkeel status --watch");
    if (member->leaving) return fail(Code::conflict, member->name + " is leaving already", "");
    Record after = record;
    after.members.at(id).leaving = true;
    if (auto const wrong = contradictions(record.settings, after);
        !wrong.empty() && contradictions(record.settings, record).empty()) {
        Error error = wrong.front();
        return fail(std::move(error).in("without " + member->name));
    }
    member->leaving = true;
    record.errands.erase(id);
    tell(record, caller, "member", member->name + " is to leave the cluster");
    return {};
}

Status change_tags(Record& record, NodeId const& id, Tags const& tags, Caller const& caller) {
    KEEL_TRY(Member* const member, known(record, id));
    if (member->kind == Kind::witness) return fail(Code::invalid, member->name + " is a witness and has no tags", "");
    if (tags.delayed_s < 0) return fail(Code::invalid, "delayed_s is below 0", "name seconds, or 0 for no delay");
    if (!tags.clonefrom.empty() && tags.clonefrom != member->name) {
        KEEL_CHECK(find_member(record, tags.clonefrom));
    } else if (tags.clonefrom == member->name) {
        return fail(Code::invalid, "clonefrom names the member itself", "name another member");
    }
    bool const leads = id == record.leader;
    if (leads && (tags.spare || tags.delayed_s > 0))
        return fail(Code::conflict, fmt::format("{} leads, so it is neither spare nor delayed", member->name),
                    "pgkeel switchover first");
    Record after = record;
    after.members.at(id).tags = tags;
    if (auto const wrong = contradictions(record.settings, after);
        !wrong.empty() && contradictions(record.settings, record).empty())
        return fail(wrong.front());
    member->tags = tags;
    tell(record, caller, "member", "tags of " + member->name + " changed");
    return {};
}

Status clear_broken(Record& record, NodeId const& id, Caller const& caller) {
    KEEL_TRY(Member* const member, known(record, id));
    if (member->broken.empty()) return fail(Code::conflict, member->name + " is not marked as broken", "");
    member->broken.clear();
    tell(record, caller, "member", member->name + " was declared sound and may be promoted again");
    return {};
}

// ---- errands --------------------------------------------------------------------------------------------------------

Status request_restart(Record& record, View const& view, NodeId const& id, Caller const& caller) {
    if (data_members(record) > 1) KEEL_CHECK(refuse_for_leader(record, id, "restarted in place"));
    return ask(record, view, id, Work::restart, caller);
}

Status request_reinit(Record& record, View const& view, NodeId const& id, Caller const& caller) {
    KEEL_CHECK(refuse_for_leader(record, id, "cloned anew"));
    if (!view.leader_alive)
        return fail(Code::unavailable, "there is no leader now to clone from", "wait for the election");
    return ask(record, view, id, Work::reinit, caller);
}

void finish_errand(Record& record, NodeId const& id, std::uint64_t number, std::string const& problem,
                   Caller const& caller) {
    auto const found = record.errands.find(id);
    if (found == record.errands.end() || found->second.number != number) return;
    char const* const what = found->second.work == Work::restart ? "restart" : "reinit";
    record.errands.erase(found);
    tell(record, caller, "errand",
         problem.empty() ? fmt::format("{} of {} is done", what, name_of(record, id))
                         : fmt::format("{} of {} failed: {}", what, name_of(record, id), problem));
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

}  // namespace keel::cluster
