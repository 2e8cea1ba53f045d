// The node as a follower: fenced while an election runs, else streaming from the leader, rewound or cloned when it must
// be.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

void Node::Mind::on_revoke(NodeId const& from, Revoke const& revoke) {
    if (revoke.epoch < floor) return;
    if (record && record->epoch == revoke.epoch && (record->leader == me() || record->phase == Phase::stable)) return;
    raise_floor(revoke.epoch);
    if (!revoked || revoked->epoch != revoke.epoch) {
        grant_sent.reset();
        catching_up.reset();
    }
    revoked = Revoked{revoke.epoch, from, revoke.firm};
    if (!record || record->epoch < revoke.epoch) must_refresh = true;
    // A repeated question means that the answer may be lost.
    if (grant_sent) {
        send(from, *grant_sent);
    }
}

// Only a record of that epoch or later surely knows every profile under which a promise was given.
bool Node::Mind::promise_is_over() const {
    return record && record->epoch >= revoked->epoch && promise.over(revoked->epoch, clock.now, longest_lease(*record));
}

Grant Node::Mind::make_grant() const {
    Grant grant;
    grant.epoch = revoked->epoch;
    bool const copying = busy && (busy->verb == Verb::clone || busy->verb == Verb::rewind);
    bool const no_server =
        self.kind == Kind::witness || seen.server == Server::absent || seen.server == Server::unusable || copying;
    // A command that may open a receiver makes everything that was seen before it worthless; one that closes it proves
    // that with its end, not before.
    bool const opening = busy && (busy->verb == Verb::cut || busy->verb == Verb::kill || busy->verb == Verb::start ||
                                  busy->verb == Verb::follow || busy->verb == Verb::promote);
    bool const alone = seen.upstream.value.empty() && !seen.receiver && !opening;
    bool const down = seen.server == Server::stopped && !copying && !opening;
    bool const cut = seen.server == Server::recovery && alone;
    bool const fenced_off = no_server || down || cut || (seen.server == Server::starting && alone);
    grant.vote = fenced_off && (!revoked->firm || mutation == Mutation::soft_promises || promise_is_over());
    grant.fenced = down || cut;
    grant.in_recovery = cut;
    grant.whole = grant.fenced && seen.whole && !needs_rewind && !needs_clone;
    grant.timeline = seen.timeline;
    grant.fork = seen.fork;
    grant.flush = seen.flush;
    grant.replay = seen.replay;
    grant.disk = seen.disk;
    return grant;
}

void Node::Mind::answer_revocation() {
    if (!revoked || !record || revoked->epoch < floor || is_leader()) return;
    if (record->epoch >= revoked->epoch && record->phase == Phase::stable) return;
    Grant grant = make_grant();
    if (!grant.vote && !grant.fenced) return;
    // While replay goes on the report changes with every observation; only news of substance are worth a message.
    Grant comparable = grant;
    if (grant_sent) comparable.replay = grant_sent->replay;
    if (grant_sent && comparable == *grant_sent) return;
    grant_sent = grant;
    send(revoked->coordinator, grant);
}

// Everything that may still take WAL from the old primary is cut off; a server that is down comes up without an
// upstream, to be ready and to say how far its WAL reaches.
void Node::Mind::stay_fenced() {
    std::string const why = fmt::format("epoch {} is electing a primary", floor.value);
    think(State::fenced, why);
    if (busy || fetch_missing()) return;
    // While promises are firm the old leader may go on acknowledging until they have run out, and nobody votes before:
    // cut off now, this node would lack all of that.
    bool const still_led = revoked && revoked->firm && record && record->phase == Phase::revoking && !promise_is_over();
    bool const connected = (!seen.upstream.value.empty() || seen.receiver) && !still_led;
    // Who just stepped down leaves the processors to the one that takes over.
    bool const hurry = !handing_over || clock.now - record_since > 4 * time().heartbeat;
    if ((seen.server == Server::recovery || seen.server == Server::starting) && connected)
        command(Verb::cut, why);
    else if (seen.server == Server::stopped && idle() && hurry && !needs_clone && !needs_rewind &&
             disk_takes_a_server())
        command(Verb::start, why);
}

// Takes WAL from another fenced standby: it cannot come from the old primary, so the fence stands. True while it goes
// on.
bool Node::Mind::fetch_missing() {
    if (!catching_up) return false;
    bool const useless = catching_up->epoch != floor || seen.server != Server::recovery || needs_clone || needs_rewind;
    bool const over = seen.flush >= catching_up->lsn || clock.now - catching_since > 3s;
    if (useless || over) {
        catching_up.reset();
        return false;
    }
    think(State::catchup,
          fmt::format("fetches WAL up to {} from {}", to_string(catching_up->lsn), name_of(catching_up->source)));
    Command filled;
    filled.peer = catching_up->source;
    if (seen.upstream != catching_up->source && idle()) command(Verb::follow, reason, filled);
    return true;
}

void Node::Mind::follow() {
    if (seen.server == Server::primary) return;  // the fence is at work
    if (record->epoch < floor) {
        must_refresh = true;
        stay_fenced();
        return;
    }
    if (record->phase != Phase::stable) {
        stay_fenced();
        return;
    }
    if (record->paused && seen.server == Server::stopped) {
        think(State::maintenance, "paused by the operator");
        return;
    }
    if (copy_if_needed()) return;
    stream_from_leader();
}

// Another node each time the former one failed: the preferred, the leader, then the others that stream.
NodeId Node::Mind::copy_source() const {
    std::vector<NodeId> sources;
    Member const* self_member = member(me());
    for (auto const& [id, other] : record->members) {
        bool const preferred = !self_member->tags.clonefrom.empty() && other.name == self_member->tags.clonefrom;
        if (preferred && id != me() && fresh_peer(id) && peers.at(id).last.running) sources.push_back(id);
    }
    if (fresh_peer(record->leader)) sources.push_back(record->leader);
    for (auto const& [id, sight] : peers) {
        bool const standby = sight.last.state == State::standby && sight.last.streaming && member(id) != nullptr;
        if (standby && fresh_peer(id)) sources.push_back(id);
    }
    return sources.empty() ? NodeId{} : sources[copy_attempts % sources.size()];
}

// A primary on a timeline that no epoch gave to this node. Its WAL looks like the leader's, even farther, and is
// another: as a standby it would acknowledge commits that it has not.
bool Node::Mind::ran_by_hand() const {
    if (seen.server != Server::stopped || !seen.was_primary) return false;
    auto const branch = std::ranges::find(record->lineage, seen.timeline, &Branch::timeline);
    return branch == record->lineage.end() || branch->node != me();
}

bool Node::Mind::copy_if_needed() {
    // A rewind at work has its marker there, too, and tells by itself how it ended.
    bool const rewinding = busy && busy->verb == Verb::rewind;
    if (!rewinding && (seen.server == Server::absent || seen.server == Server::unusable)) needs_clone = true;
    if (seen.server == Server::recovery && seen.settled && !seen.streaming && !needs_clone && !busy &&
        !is_ancestor(record->lineage, seen.timeline, seen.replay)) {
        needs_rewind = true;
    }
    if (!needs_clone && !needs_rewind) return false;
    State const shown = needs_clone ? State::cloning : rewinding ? State::rewinding : State::diverged;
    think(shown, needs_clone ? "its data directory must be copied anew"
                             : fmt::format("its WAL on timeline {} at {} is not in the cluster's history",
                                           seen.timeline.value, to_string(seen.replay)));
    if (!idle()) return true;
    // What was acknowledged may be on this copy alone; the leader takes us out of the sync set first.
    if (record->sync.members.contains(me())) return true;
    Command filled;
    if (server_up() || seen.server == Server::starting) {
        command(Verb::stop, "stopped to be copied anew");
        return true;
    }
    filled.lineage = record->lineage;
    if (needs_clone) {
        filled.peer = copy_source();
        if (!filled.peer.value.empty())
            command(Verb::clone, fmt::format("cloning from {}", name_of(filled.peer)), filled);
    } else if (fresh_peer(record->leader) && peers.at(record->leader).last.leads == record->epoch) {
        filled.peer = record->leader;
        command(Verb::rewind, fmt::format("rewinding to {}'s history", name_of(record->leader)), filled);
    }
    return true;
}

void Node::Mind::stream_from_leader() {
    Command filled;
    filled.peer = record->leader;
    std::string const why = fmt::format("{} leads epoch {}", name_of(record->leader), record->epoch.value);
    think(State::standby,
          seen.streaming ? "streams from " + name_of(record->leader) : "waits for WAL from " + name_of(record->leader));
    if (seen.server == Server::stopped) {
        think(State::standby, "is being started as a standby");
        if (idle() && disk_takes_a_server()) command(Verb::start, why, filled);
        return;
    }
    if (seen.upstream != record->leader) {
        if (idle() && server_up()) command(Verb::follow, why, filled);
        return;
    }
    if (seen.streaming || !fresh_peer(record->leader))
        unstreamed_since = {};
    else if (unstreamed_since == Instant{})
        unstreamed_since = clock.now;
    if (seen.streaming) fresh_starts = 0;
    if (starts_afresh()) return;
    // PostgreSQL's own words for WAL that the leader has recycled; nothing but a new copy helps.
    bool const recycled = seen.problem.contains("has already been removed");
    if (recycled && unstreamed_since != Instant{} && clock.now - unstreamed_since > 10s) needs_clone = true;
    keep_slots();
    keep_configuration();
}

// A server that is started on such a disk dies or hangs. It is tried again by itself when writes pass.
bool Node::Mind::disk_takes_a_server() {
    if (seen.disk != Disk::useless) return true;
    think(State::broken, fmt::format("its server stays down until its disk takes writes: {}", seen.disk_text));
    return false;
}

// A running standby holds to the newest timeline it ever heard of, although it has no byte of it, and refuses one that
// is not its child ("new timeline is not a child"). Where nothing of its own WAL is in the way, a new start is enough.
bool Node::Mind::starts_afresh() {
    if (unstreamed_since == Instant{} || !idle() || seen.server != Server::recovery) return false;
    bool const other_timeline = peers.at(record->leader).last.timeline != seen.timeline;
    Duration const patience = 5s * (1U << std::min(fresh_starts, 7U));
    if (!other_timeline || clock.now - unstreamed_since <= patience) return false;
    ++fresh_starts;
    unstreamed_since = {};
    command(Verb::stop, "gets no WAL and may hold to a timeline that has ended: is started anew");
    return true;
}

void Node::Mind::keep_slots() {
    if (!idle() || !server_up()) return;
    std::set<NodeId> wanted;
    for (auto const& [id, other] : record->members) {
        if (id != me() && other.kind == Kind::data) wanted.insert(id);
    }
    if (wanted == seen.slots) return;
    Command filled;
    filled.members = wanted;
    command(Verb::slots, "every data node keeps a slot for every other", filled);
}

void Node::Mind::keep_configuration() {
    std::string now;
    for (auto const& [key, value] : record->settings.postgres) now += key + '=' + value + '\n';
    for (auto const& [id, other] : record->members) now += id.value + '@' + other.postgres + '\n';
    if (Member const* own = member(me())) now += fmt::format("delay={}\n", own->tags.delayed_s);
    if (now == configured || !idle() || !server_up()) return;
    configured = now;
    command(Verb::configure, "settings or members changed");
}

}  // namespace keel::cluster
