// The node in an election: suspects a leader, takes the next epoch, collects grants, appoints.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

NodeId const& Node::Mind::responsible() const {
    return record->phase == Phase::revoking ? record->coordinator : record->leader;
}

// One node that cannot hear the other may be the one that is cut off; two are evidence.
std::optional<NodeId> Node::Mind::also_missing_it() const {
    for (auto const& [id, sight] : peers) {
        if (id == responsible() || !fresh_peer(id) || member(id) == nullptr) continue;
        if (sight.last.leader_silence > 4 * time().heartbeat || sight.last.leader_silence < Duration{}) return id;
    }
    return std::nullopt;
}

bool Node::Mind::suspects_leader(std::string& why) const {
    if (released.contains(record->epoch)) {
        why = fmt::format("{} gave up epoch {}: its server is down", name_of(record->leader), record->epoch.value);
        return true;
    }
    if (record->leader == me()) return false;
    Duration const silence = clock.now - leader_heard;
    if (silence <= 4 * time().heartbeat) return false;
    auto const other = also_missing_it();
    if (!other) return false;
    why = fmt::format("{} and {} have not heard {} for {} ms", name_of(me()), name_of(*other), name_of(record->leader),
                      to_ms(silence));
    return true;
}

// An election whose coordinator or chosen leader fell silent, or takes too long, is begun again in a newer epoch. Where
// one node alone misses it, it is given the time that an election takes: else two sides that hear a majority each, but
// not each other, would take the office from one another for ever.
bool Node::Mind::term_is_stuck(std::string& why) const {
    bool const revoking = record->phase == Phase::revoking;
    Duration const age = clock.now - record_since;
    if (age < 4 * time().heartbeat) return false;
    if (responsible() == me()) return false;
    bool const evident = also_missing_it() || age > 2 * time().lease + 4 * time().heartbeat;
    if (!fresh_peer(responsible()) && evident) {
        why = fmt::format("{} fell silent while it {} epoch {}", name_of(responsible()),
                          revoking ? "ran the election of" : "took over", record->epoch.value);
        return true;
    }
    Duration const patience = std::chrono::milliseconds(2 * record->settings.promote_timeout_ms) + 2 * time().lease;
    if (!revoking && age > patience) {
        why = fmt::format("{} did not finish its promotion in epoch {}", name_of(responsible()), record->epoch.value);
        return true;
    }
    return false;
}

// Nodes take turns, so that one election is begun and not five: standbys first, then the witness, then whoever led.
Duration Node::Mind::my_turn() const {
    auto const order = [&](NodeId const& id) {
        Member const* one = member(id);
        bool const led = id == record->leader || id == record->sync.owner;
        return std::tuple(led, one == nullptr || one->kind == Kind::witness, id);
    };
    int ahead = 0;
    for (auto const& [id, unused] : record->members) {
        if (id != me() && fresh_peer(id) && order(id) < order(me())) ++ahead;
    }
    return ahead * time().heartbeat;
}

Prospect Node::Mind::outlook() const {
    std::set<NodeId> alive{me()};
    std::set<NodeId> promotable;
    if (seen.server == Server::recovery && !needs_rewind && !needs_clone) promotable.insert(me());
    for (auto const& [id, sight] : peers) {
        if (!fresh_peer(id) || member(id) == nullptr) continue;
        alive.insert(id);
        bool const whole = sight.last.state != State::diverged && sight.last.state != State::rewinding &&
                           sight.last.state != State::cloning;
        if (sight.last.running && sight.last.in_recovery && whole) promotable.insert(id);
    }
    return prospect(*record, alive, promotable);
}

void Node::Mind::elect() {
    if (record->paused && !record->handover) return;
    std::string why;
    bool const stable = record->phase == Phase::stable;
    if (record->phase == Phase::revoking && record->coordinator == me()) {
        if (record->epoch == floor) coordinate();
        return;
    }
    if (is_leader() && (!stable || seen.server == Server::primary || busy)) return;
    if (!(stable ? suspects_leader(why) : term_is_stuck(why))) {
        suspected_since = {};
        return;
    }
    if (suspected_since == Instant{}) suspected_since = clock.now;
    // A spent epoch costs a leader that may still be alive behind a cut its lease; not without a prospect of another.
    Prospect const chance = outlook();
    if (!chance.good) {
        blocked = true;
        reason = chance.reason + " (" + why + ")";
        return;
    }
    if (clock.now - suspected_since >= my_turn()) take_epoch(why);
}

void Node::Mind::take_epoch(std::string why) {
    Record next = *record;
    next.epoch.value = std::max(record->epoch.value, floor.value) + 1;
    next.phase = Phase::revoking;
    next.leader = {};
    next.coordinator = me();
    swap(std::move(next), "revoke", std::move(why));
}

// Who was asked for is worth more than a moment, while it is heard and about to answer.
bool Node::Mind::awaits_target() const {
    if (!record->handover || record->handover->target.value.empty()) return false;
    auto const& target = record->handover->target;
    auto const grant = grants.find(target);
    return (target == me() || fresh_peer(target)) && (grant == grants.end() || !grant->second.fenced);
}

void Node::Mind::coordinate() {
    if (clock.now - revoke_sent >= time().heartbeat) {
        revoke_sent = clock.now;
        if (released.contains(Epoch{record->epoch.value - 1})) broadcast(Release{Epoch{record->epoch.value - 1}});
        broadcast(Revoke{record->epoch, promises_are_firm(*record)});
    }
    // A better candidate may answer a moment later; whoever is heard gets that moment. The deposed leader's report is
    // never needed.
    Duration const age = clock.now - record_since;
    bool const all_in = std::ranges::all_of(record->members, [&](auto const& entry) {
        auto const& [id, one] = entry;
        if (one.kind == Kind::witness || !fresh_peer(id) || (id == record->sync.owner && id != me())) return true;
        auto const found = grants.find(id);
        return found != grants.end() && (found->second.fenced || peers[id].last.state == State::cloning);
    });
    if (!all_in && age <= (awaits_target() ? time().lease : 2 * time().heartbeat)) return;
    // Votes that come late, from nodes that have to wait out what they cannot remember, leave as much time for it.
    auto const plan = plan_catch_up(*record, {me(), grants, last_known_flush, mutation});
    if (plan && catch_up_from == Instant{}) catch_up_from = clock.now;
    if (!plan || (!plan->needed && clock.now - catch_up_from > 2s)) {
        appoint();
    } else if (clock.now - catch_up_sent >= time().heartbeat) {
        catch_up_sent = clock.now;
        send(plan->candidate, plan->order);
    }
}

void Node::Mind::appoint() {
    Ballot const ballot{me(), grants, last_known_flush, mutation};
    Choice const choice = choose(*record, ballot);
    if (choice.winner.value.empty()) {
        if (clock.now - record_since > 4 * time().heartbeat) {
            blocked = true;
            reason = choice.reason;
        }
        return;
    }
    Grant const& grant = grants.at(choice.winner);
    Record next = *record;
    next.phase = Phase::promoting;
    next.leader = choice.winner;
    next.sync = sync_after(*record, ballot, choice.winner);
    for (auto& branch : next.lineage) {
        if (branch.timeline == grant.timeline && branch.fate == Fate::planned && grant.fork != Lsn{})
            branch.fork = grant.fork;
    }
    auto const& counted = mutation == Mutation::reuse_timelines ? live_path(record->lineage) : record->lineage;
    Timeline const planned{newest_timeline(counted).value + 1};
    next.lineage.push_back({planned, grant.timeline, {}, record->epoch, choice.winner, Fate::planned});
    std::string text = choice.reason;
    if (choice.loses_commits)
        text += "; an operator accepted that acknowledged commits may be lost";
    else if (record->sync.mode == Mode::async && last_known_flush > grant.flush) {
        text += fmt::format("; async: up to {} bytes of the old primary's WAL are not on it",
                            last_known_flush.value - grant.flush.value);
    }
    swap(std::move(next), choice.loses_commits ? "loss" : "appoint", std::move(text));
}

}  // namespace keel::cluster
