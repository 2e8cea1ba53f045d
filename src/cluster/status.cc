#include "cluster/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/operations.h"

namespace keel::cluster {

namespace {

constexpr char const* kFence = "degraded (extension not loaded)";
constexpr std::size_t kEventsShown = 5;

std::string name_in(Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() || found->second.name.empty() ? id.value : found->second.name;
}

// Where a member's positions come from: itself, its heartbeat, or, on the leader, its walsender.
struct Facts {
    bool known = false;
    bool alive = false;
    std::int64_t heard_ms_ago = -1;
    State state = State::fresh;
    bool up = false;
    bool streaming = false;
    Timeline timeline;
    Lsn flush, replay;
    Duration replay_delay{-1};
    std::string problem;
};

Facts own_facts(Sight const& sight) {
    Observation const& seen = sight.seen;
    bool const up = seen.server == Server::recovery || seen.server == Server::primary;
    return {true,
            true,
            0,
            sight.opinion.state,
            up,
            seen.streaming,
            seen.timeline,
            seen.flush,
            seen.replay,
            seen.replay_delay,
            problem_of(seen)};
}

Facts facts_of(Sight const& sight, NodeId const& id) {
    if (id == sight.self) return own_facts(sight);
    auto const found = sight.peers.find(id);
    if (found == sight.peers.end()) return {};
    Heartbeat const& last = found->second.last;
    Duration const age = sight.clock.now - found->second.heard;
    Facts facts{true,          age <= 4 * timing(sight.record->settings.profile).heartbeat,
                to_ms(age),    last.state,
                last.running,  last.streaming,
                last.timeline, last.flush,
                last.replay,   last.replay_delay,
                last.problem};
    for (auto const& sender : sight.seen.senders) {
        if (sender.node != id) continue;
        facts.flush = std::max(facts.flush, sender.flush);
        facts.replay = std::max(facts.replay, sender.replay);
    }
    return facts;
}

std::string role_of(Record const& record, NodeId const& id, Member const& member) {
    if (member.kind == Kind::witness) return "witness";
    if (id == record.leader) return record.phase == Phase::stable ? "leader" : "taking over";
    if (member.tags.spare) return "spare";
    if (record.sync.members.contains(id) && record.sync.owner != id) return "sync standby";
    return "standby";
}

bool is_healthy(MemberStatus const& member, Facts const& facts) {
    if (!facts.alive || !facts.problem.empty() || member.leaving) return false;
    if (member.kind == Kind::witness) return true;
    if (member.role == "leader") return facts.state == State::primary;
    return facts.state == State::standby && facts.streaming;
}

std::string problem_of(Record const& record, MemberStatus const& member, Facts const& facts) {
    if (!facts.known) return "not heard since this agent started";
    if (!facts.alive) return fmt::format("silent for {:.1f} s", static_cast<double>(facts.heard_ms_ago) / 1000);
    if (auto const& broken = record.members.at(member.id).broken; !broken.empty()) return "broken: " + broken;
    if (!facts.problem.empty()) return facts.problem;
    if (facts.state == State::standby && !facts.streaming && member.role != "leader") return "does not stream";
    return {};
}

MemberStatus member_status(Sight const& sight, NodeId const& id, Lsn leader_flush) {
    Record const& record = *sight.record;
    Member const& member = record.members.at(id);
    Facts const facts = facts_of(sight, id);
    MemberStatus out;
    out.id = id;
    out.name = member.name;
    out.kind = member.kind;
    out.role = role_of(record, id, member);
    out.known = facts.known;
    out.state = facts.state;
    out.heard_ms_ago = facts.heard_ms_ago;
    out.timeline = facts.timeline;
    out.flush = facts.flush;
    out.replay = facts.replay;
    out.streaming = facts.alive && facts.streaming;
    out.voter = record.voters.contains(id);
    out.in_sync_set = record.sync.members.contains(id);
    out.tags = member.tags;
    out.peer = member.peer;
    out.api = member.api;
    out.postgres = member.postgres;
    out.leaving = member.leaving;
    if (auto const errand = record.errands.find(id); errand != record.errands.end())
        out.errand = errand->second.work == Work::restart ? "restart" : "reinit";
    out.problem = problem_of(record, out, facts);
    out.healthy = is_healthy(out, facts);
    if (member.kind == Kind::witness || id == record.leader) return out;
    if (out.streaming) {
        NodeId const upstream = id == sight.self ? sight.seen.upstream : record.leader;
        if (!upstream.value.empty()) out.upstream = name_in(record, upstream);
    }
    if (facts.known && leader_flush.value != 0) {
        out.lag_bytes = leader_flush > facts.flush ? leader_flush.value - facts.flush.value : 0;
        if (leader_flush > facts.replay && facts.replay_delay >= Duration{})
            out.lag_seconds = to_seconds(facts.replay_delay);
    }
    return out;
}

std::string handover_text(Record const& record, std::int64_t unix_ms) {
    if (!record.handover) return {};
    Handover const& handover = *record.handover;
    std::string const to = handover.target.value.empty() ? "the best standby" : name_in(record, handover.target);
    if (handover.accept_data_loss) return fmt::format("forced failover to {}", to);
    if (handover.at_unix_ms > unix_ms) return fmt::format("to {} at {}", to, utc_text(handover.at_unix_ms));
    return fmt::format("to {}, under way", to);
}

// What is not as it should be, in the order of its weight.
std::vector<std::string> worries(ClusterStatus const& status) {
    std::vector<std::string> out;
    std::vector<std::string> sick;
    for (auto const& member : status.members) {
        if (!member.healthy && !member.leaving)
            sick.push_back(fmt::format("{} {}", member.name,
                                       member.problem.empty()
                                           ? fmt::format("is {}", boost::describe::enum_to_string(member.state, "?"))
                                           : member.problem));
    }
    if (!sick.empty()) out.push_back(fmt::format("{}", fmt::join(sick, "; ")));
    bool const alone = status.sync.members == std::set{status.sync.owner};
    if (status.mode != Mode::async && (alone || status.sync.quorum < status.quorum))
        out.push_back(fmt::format("commits wait for {} of the {} standbys asked for", alone ? 0 : status.sync.quorum,
                                  status.quorum));
    if (status.paused) out.emplace_back("paused by an operator: failures are not handled");
    if (!status.store_trouble.empty()) out.push_back("the store does not answer: " + status.store_trouble);
    return out;
}

void judge(ClusterStatus& status) {
    if (!status.member) {
        status.health = "down";
        status.verdict =
            "This node knows no cluster yet: " + (status.store_trouble.empty() ? status.reason : status.store_trouble);
        return;
    }
    if (!status.leader_alive) {
        status.health = "down";
        status.verdict = status.blocked                  ? "No primary. " + status.reason
                         : status.phase != Phase::stable ? "No primary now: an election is under way."
                         : status.voters_alive < majority(status.voters)
                             ? fmt::format("No primary can be told: {} of {} voters answer here.", status.voters_alive,
                                           status.voters)
                             : status.leader + " does not answer as the primary.";
        return;
    }
    auto const wrong = worries(status);
    std::size_t const standbys = static_cast<std::size_t>(
        std::ranges::count_if(status.members, [](MemberStatus const& m) { return m.streaming; }));
    if (!wrong.empty()) {
        status.health = "degraded";
        status.verdict = fmt::format("{} leads, but: {}.", status.leader, fmt::join(wrong, "; "));
        return;
    }
    status.health = "ok";
    status.verdict = fmt::format("Fine: {} leads, {} standby{} stream{}", status.leader, standbys,
                                 standbys == 1 ? "" : "s", standbys == 1 ? "s" : "");
    if (status.mode == Mode::async)
        status.verdict += "; async: the last moments before a failure may be lost.";
    else
        status.verdict += fmt::format("; any {} node{} may fail without losing a commit.", status.sync.quorum,
                                      status.sync.quorum == 1 ? "" : "s");
}

void fill_from_record(ClusterStatus& out, Sight const& sight, View const& view) {
    Record const& record = *sight.record;
    out.member = record.members.contains(sight.self);
    out.cluster = record.name;
    out.cluster_id = record.cluster_id;
    out.revision = record.revision;
    out.epoch = record.epoch;
    out.phase = record.phase;
    if (!record.leader.value.empty()) out.leader = name_in(record, record.leader);
    out.leader_alive = view.leader_alive && record.phase == Phase::stable;
    out.mode = record.settings.mode;
    out.quorum = record.settings.quorum;
    out.sync = record.sync;
    for (auto const& id : record.sync.members) out.sync_names.push_back(name_in(record, id));
    std::ranges::sort(out.sync_names);
    out.profile = boost::describe::enum_to_string(record.settings.profile, "?");
    out.paused = record.paused;
    out.voters = record.voters.size();
    out.voters_alive = static_cast<std::size_t>(
        std::ranges::count_if(record.voters, [&](NodeId const& id) { return view.alive.contains(id); }));
    out.handover = handover_text(record, sight.clock.unix_ms);
    Lsn leader_flush;
    if (!record.leader.value.empty()) leader_flush = facts_of(sight, record.leader).flush;
    for (auto const& [id, unused] : record.members) out.members.push_back(member_status(sight, id, leader_flush));
    // A standby's archiver looks now and then; the leader knows it to the byte.
    if (out.backup && !out.backup->lag_bytes && leader_flush >= out.backup->archive.archived_to &&
        out.backup->archive.archived_to != Lsn{})
        out.backup->lag_bytes = leader_flush.value - out.backup->archive.archived_to.value;
    std::ranges::sort(out.members, {}, [&](MemberStatus const& m) {
        return std::tuple(m.id != record.leader, m.kind == Kind::witness, m.name);
    });
    auto const first = record.history.size() > kEventsShown ? record.history.size() - kEventsShown : 0;
    out.events.assign(record.history.begin() + static_cast<std::ptrdiff_t>(first), record.history.end());
}

}  // namespace

View view_of(Sight const& sight, Record const& record) {
    View view = view_of(sight.self, sight.clock, record, sight.opinion, sight.peers);
    if (sight.opinion.state == State::standby && sight.seen.streaming) view.streaming.insert(sight.self);
    return view;
}

ClusterStatus status_of(Sight const& sight) {
    ClusterStatus out;
    out.self = sight.self;
    out.told_by = sight.name;
    out.unix_ms = sight.clock.unix_ms;
    out.blocked = sight.opinion.blocked;
    out.reason = sight.opinion.reason;
    out.fence = sight.fence.empty() ? kFence : sight.fence;
    out.guardian = sight.guardian;
    if (sight.opinion.lease_deadline != Instant{})
        out.lease_ms = std::max<std::int64_t>(0, to_ms(sight.opinion.lease_deadline - sight.clock.now));
    out.store_trouble = sight.store_trouble;
    out.activity = sight.activity;
    out.pending_restart = sight.pending_restart;
    if (sight.certificate_until_unix_ms != 0)
        out.certificate_days = (sight.certificate_until_unix_ms - sight.clock.unix_ms) / 86'400'000;
    out.backup = sight.backup;
    if (sight.record) fill_from_record(out, sight, view_of(sight, *sight.record));
    judge(out);
    return out;
}

}  // namespace keel::cluster
