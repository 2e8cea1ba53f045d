#include "cluster/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"
#include "cluster/node_table.h"

namespace keel::cluster {

namespace {
template <class... Fs>
struct Overload : Fs... {
    using Fs::operator()...;
};
}  // namespace

Node::Mind::Mind(Identity identity, Clock start)
    : self(std::move(identity)),
      clock(start),
      floor(self.floor),
      started(start.now),
      promise(start.now),
      inherited_deadline(self.inherited_deadline),
      armed(self.inherited_deadline) {
    if (self.kind == Kind::witness) state = State::witness;
}

// ---- facts
// ------------------------------------------------------------------------------------------------------------

Timing Node::Mind::time() const { return timing(record ? record->settings.profile : Profile::lan); }

bool Node::Mind::fresh_peer(NodeId const& id) const {
    if (id == me()) return true;
    auto const found = peers.find(id);
    return found != peers.end() && clock.now - found->second.heard <= 4 * time().heartbeat;
}

bool Node::Mind::is_leader() const { return record && record->leader == me() && floor <= record->epoch; }

Instant Node::Mind::deadline() const {
    if (!record) return inherited_deadline;
    Instant const own = lease.epoch() == record->epoch ? lease.deadline(record->voters) : Instant{};
    return std::max(own, inherited_deadline);
}

bool Node::Mind::serving() const {
    return is_leader() && record->phase == Phase::stable && seen.server == Server::primary && lease_holds();
}

Member const* Node::Mind::member(NodeId const& id) const {
    if (!record) return nullptr;
    auto const found = record->members.find(id);
    return found == record->members.end() ? nullptr : &found->second;
}

std::string Node::Mind::name_of(NodeId const& id) const {
    Member const* found = member(id);
    return found == nullptr || found->name.empty() ? id.value : found->name;
}

// ---- what every decision is made of
// --------------------------------------------------------------------------------------

void Node::Mind::send(NodeId const& to, Message message) {
    if (to == me())
        on_message(to, message);
    else
        out.push_back(Send{to, std::move(message)});
}

void Node::Mind::broadcast(Message const& message) {
    if (!record) return;
    for (auto const& [id, unused] : record->members) {
        if (id != me()) out.push_back(Send{id, message});
    }
}

void Node::Mind::command(Verb verb, std::string why, Command filled) {
    filled.id = next_command++;
    filled.verb = verb;
    filled.reason = std::move(why);
    busy = filled;
    busy_since = clock.now;
    out.push_back(std::move(filled));
}

void Node::Mind::swap(Record next, std::string kind, std::string text) {
    if (swapping || refreshing || must_refresh) return;  // what we would change may be old already
    note(next, me(), clock.unix_ms, std::move(kind), std::move(text));
    swapping = true;
    std::uint64_t const expected = record->revision;
    out.push_back(Swap{expected, std::move(next)});
}

void Node::Mind::think(State next, std::string why) {
    state = next;
    reason = std::move(why);
}

void Node::Mind::raise_floor(Epoch epoch) {
    if (epoch <= floor) return;
    floor = epoch;
    out.push_back(Persist{floor});
    grant_sent.reset();
}

Heartbeat Node::Mind::heartbeat() const {
    Heartbeat beat;
    beat.sequence = sequence;
    beat.incarnation = self.incarnation;
    beat.revision = record ? record->revision : 0;
    beat.floor = floor;
    beat.leads = serving() ? record->epoch : Epoch{};
    beat.state = state;
    beat.running = server_up();
    beat.in_recovery = seen.server != Server::primary;
    beat.streaming = seen.receiver;
    beat.timeline = seen.timeline;
    beat.flush = seen.flush;
    beat.replay = seen.replay;
    if (leader_heard != Instant{}) beat.leader_silence = clock.now - leader_heard;
    beat.replay_delay = seen.replay_delay;
    beat.problem = seen.problem;
    return beat;
}

void Node::Mind::gossip() {
    if (!record || clock.now - heartbeat_sent < time().heartbeat) return;
    heartbeat_sent = clock.now;
    ++sequence;
    broadcast(heartbeat());
}

void Node::Mind::refresh() {
    if (!must_refresh || refreshing || swapping || clock.now < refresh_after) return;
    refreshing = true;
    must_refresh = false;
    out.push_back(Refresh{});
}

// ---- events
// -----------------------------------------------------------------------------------------------------------------

void Node::Mind::on_message(NodeId const& from, Message const& message) {
    std::visit(Overload{
                   [&](Heartbeat const& beat) {
                       peers[from] = {beat, clock.now};
                       if (!record || beat.revision > record->revision) must_refresh = true;
                       if (record && record->leader == from && beat.leads == record->epoch) {
                           leader_heard = clock.now;
                           last_known_flush = std::max(last_known_flush, beat.flush);
                       }
                   },
                   [&](Renew const& ask) {
                       bool const known_other = record && record->epoch == ask.epoch && record->leader != from;
                       bool const granted = ask.epoch >= floor && !known_other;
                       if (granted) {
                           raise_floor(ask.epoch);
                           promise.give(ask.epoch, clock.now, ask.lease);
                       }
                       send(from, Promised{ask.epoch, ask.sent, ask.lease, granted, floor});
                   },
                   [&](Promised const& answer) {
                       if (answer.granted && answer.epoch == lease.epoch())
                           lease.granted(from, Instant(answer.sent), answer.lease);
                       if (record && answer.floor > record->epoch) must_refresh = true;
                   },
                   [&](Revoke const& revoke) { on_revoke(from, revoke); },
                   [&](Grant const& grant) {
                       if (!record || grant.epoch != record->epoch || record->coordinator != me()) return;
                       // Once fenced, fenced for this epoch: a later report from a server that is being restarted takes
                       // nothing back.
                       auto& known = grants[from];
                       if (known.fenced && !grant.fenced)
                           known.vote = known.vote || grant.vote;
                       else
                           known = grant;
                   },
                   [&](CatchUp const& order) {
                       if (!revoked || revoked->epoch != order.epoch || order.epoch != floor || catching_up) return;
                       catching_up = order;
                       catching_since = clock.now;
                   },
                   [&](Release const& release) {
                       // Truthful whoever passes it on: it is made only when every backend of that reign is gone for
                       // good.
                       promise.release(release.epoch);
                       released.insert(release.epoch);
                   },
               },
               message);
}

void Node::Mind::on_observation(Observation const& observation) {
    seen = observation;
    watch_progress();
}

void Node::Mind::on_record(Record const& newer) {
    if (record && newer.revision <= record->revision) return;
    bool const new_term = !record || newer.epoch != record->epoch || newer.phase != record->phase;
    bool const new_epoch = !record || newer.epoch != record->epoch;
    bool const first = !record;
    record = newer;
    if (new_term) {
        record_since = clock.now;
        suspected_since = {};
        leader_heard = clock.now;
        blocked = false;
    }
    if (new_epoch) {
        grants.clear();
        promotion_failed.clear();
        possible_names.clear();
        progress.clear();
        if (!first) inherited_deadline = {};
        std::erase_if(released, [&](Epoch e) { return e < record->epoch; });
    }
    if (record->leader == me() && record->epoch >= floor) {
        raise_floor(record->epoch);
        lease.begin(record->epoch);
        renew_sent = {};
    }
    // Knowing of a newer epoch is as good as being told: fence off the older one.
    if (record->phase != Phase::stable && record->epoch >= floor && !(record->leader == me())) {
        if (!revoked || revoked->epoch < record->epoch)
            on_revoke(record->coordinator, {record->epoch, promises_are_firm(*record)});
    }
    if (record->phase == Phase::stable && record->epoch >= floor) {
        if (new_term) handing_over = false;
        raise_floor(record->epoch);
        revoked.reset();
        grant_sent.reset();
    }
}

bool Node::Mind::failed_back_off(CommandDone const& done) {
    if (done.ok) {
        if (busy->verb != Verb::slots && busy->verb != Verb::configure) copy_attempts = 0;
        return false;
    }
    bool const copy = busy->verb == Verb::clone || busy->verb == Verb::rewind;
    if (copy) ++copy_attempts;
    Duration const pause = copy ? std::min<Duration>(200ms * (1U << std::min(copy_attempts, 6U)), 10s) : 200ms;
    if (busy->verb != Verb::kill && busy->verb != Verb::cut) not_before = clock.now + pause;
    return true;
}

void Node::Mind::on_command_done(CommandDone const& done) {
    on_observation(done.seen);
    if (!busy || busy->id != done.id) return;  // overtaken by a kill
    bool const failed = failed_back_off(done);
    Command const finished = *std::exchange(busy, std::nullopt);
    switch (finished.verb) {
        case Verb::set_names:
            if (!failed) {
                possible_names = {finished.names};
                settled_flush = done.seen.flush;
            }
            break;
        case Verb::promote:
            if (failed) {
                give_up_promotion("the promotion failed: " + done.text);
            } else {
                possible_names = {finished.names};
                settled_flush = done.seen.flush;
            }
            break;
        case Verb::stop:
            if (failed && handing_over && seen.server == Server::primary) {
                handing_over = false;
                handover_failed = "switchover called off: " + done.text;
            }
            break;
        case Verb::rewind:
            needs_rewind = false;
            needs_clone = failed;
            break;
        case Verb::clone:
            if (!failed) needs_clone = needs_rewind = false;
            break;
        default:
            break;
    }
}

// The fence comes before everything: a server that may be acknowledging without a right to is killed, whatever else
// runs.
bool Node::Mind::fence() {
    bool const may_be_primary = seen.server == Server::primary || (busy && busy->verb == Verb::promote);
    if (!may_be_primary) return false;
    std::string why;
    if (record && record->leader != me()) {
        why = record->leader.value.empty()
                  ? fmt::format("epoch {} is electing another primary", record->epoch.value)
                  : fmt::format("{} leads epoch {}", name_of(record->leader), record->epoch.value);
    } else if (record && floor > record->epoch) {
        why = fmt::format("epoch {} was promised, {} is over", floor.value, record->epoch.value);
    } else if (!lease_holds()) {
        why = "the lease ran out: no majority of voters answered in time";
    } else if (record && record->phase == Phase::stable && seen.server == Server::primary && !busy &&
               seen.timeline != live_path(record->lineage).back().timeline) {
        why = fmt::format("the server is on timeline {}, which no epoch granted", seen.timeline.value);
    }
    if (why.empty()) return false;
    think(State::expired, why);
    if (!busy || busy->verb != Verb::kill) command(Verb::kill, why);
    return true;
}

void Node::Mind::advance() {
    refresh();
    blocked = false;
    if (!record) {
        if (!fence()) reason = "waiting for the cluster's record";
        return;
    }
    if (member(me()) == nullptr) {
        if (!fence())
            think(state, "this node is not a member of the cluster any more: pgkeel join, or remove its directory");
        return;
    }
    if (!fence()) {
        if (is_leader())
            lead();
        else if (self.kind == Kind::data)
            follow();
        else
            think(State::witness, "votes, has no PostgreSQL");
    }
    answer_revocation();
    elect();
    bool const taking_over = is_leader() && record->phase == Phase::promoting;
    if (armed != Instant{} && !busy && seen.server != Server::primary && !taking_over) {
        armed = inherited_deadline = {};
        out.push_back(Arm{});
    }
    gossip();
}

// ---- Node: the door
// ---------------------------------------------------------------------------------------------------------------

Node::Node(Identity identity, Clock clock) : mind_(std::make_unique<Mind>(std::move(identity), clock)) {}
Node::~Node() = default;

std::vector<Effect> Node::tick(Clock clock) {
    mind_->clock = clock;
    mind_->advance();
    return std::exchange(mind_->out, {});
}

std::vector<Effect> Node::receive(Clock clock, NodeId const& from, Message const& message) {
    mind_->clock = clock;
    mind_->on_message(from, message);
    mind_->advance();
    return std::exchange(mind_->out, {});
}

std::vector<Effect> Node::observe(Clock clock, Observation const& seen) {
    mind_->clock = clock;
    // An observation from before a running command began would undo what its effects already show.
    mind_->on_observation(seen);
    mind_->advance();
    return std::exchange(mind_->out, {});
}

std::vector<Effect> Node::command_done(Clock clock, CommandDone const& done) {
    mind_->clock = clock;
    mind_->on_command_done(done);
    mind_->advance();
    return std::exchange(mind_->out, {});
}

std::vector<Effect> Node::store_answer(Clock clock, StoreAnswer const& answer) {
    mind_->clock = clock;
    bool const was_refresh = std::exchange(mind_->refreshing, false);
    mind_->swapping = false;
    if (answer.record) mind_->on_record(*answer.record);
    if (answer.result == Swapped::unknown) {
        mind_->must_refresh = true;
        if (was_refresh) mind_->refresh_after = clock.now + 2 * mind_->time().heartbeat;
    }
    mind_->advance();
    return std::exchange(mind_->out, {});
}

std::vector<Effect> Node::learn(Clock clock, Record const& record) {
    mind_->clock = clock;
    mind_->on_record(record);
    mind_->advance();
    return std::exchange(mind_->out, {});
}

void Node::mutate(Mutation mutation) { mind_->mutation = mutation; }

Opinion Node::opinion() const {
    return {mind_->state, mind_->reason, mind_->serving() ? mind_->deadline() : Instant{}, mind_->floor,
            mind_->blocked};
}
std::optional<Record> const& Node::record() const { return mind_->record; }
std::map<NodeId, PeerSight> const& Node::peers() const { return mind_->peers; }
Observation const& Node::observation() const { return mind_->seen; }

}  // namespace keel::cluster
