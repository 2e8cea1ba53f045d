#include "cluster/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

Node::Mind::Mind(Identity identity, Clock start)
    : self(std::move(identity)),
      clock(start),
      floor(self.floor),
      may_promote(self.inherited_deadline != Instant{}),
      started(start.now),
      promise(start.now, self.floor),
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

bool Node::Mind::disk_is(NodeId const& id, Disk disk) const {
    if (id == me()) return seen.disk == disk;
    return fresh_peer(id) && peers.at(id).last.disk == disk;
}

bool Node::Mind::is_leader() const { return record && record->leader == me() && floor <= record->epoch; }

Instant Node::Mind::deadline() const {
    if (!record) return inherited_deadline;
    Instant const own = lease.epoch() == record->epoch ? lease.deadline(record->voters) : Instant{};
    return std::max(own, inherited_deadline);
}

// Not while its server is being killed, which may take as long as a disk hangs.
bool Node::Mind::serving() const {
    if (busy && busy->verb == Verb::kill) return false;
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
    if (!can_swap()) return;  // what we would change may be old already
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
    beat.streaming = seen.streaming;
    beat.timeline = seen.timeline;
    beat.flush = seen.flush;
    beat.replay = seen.replay;
    if (leader_heard != Instant{}) beat.leader_silence = clock.now - leader_heard;
    beat.replay_delay = seen.replay_delay;
    beat.disk = seen.disk;
    beat.problem = problem_of(seen);
    return beat;
}

void Node::Mind::gossip() {
    if (!record || clock.now - heartbeat_sent < time().heartbeat) return;
    heartbeat_sent = clock.now;
    ++sequence;
    broadcast(heartbeat());
}

void Node::Mind::refresh() {
    // A change whose author died with the answer is announced by nobody.
    if (clock.now - refreshed > 2s) must_refresh = true;
    if (!must_refresh || refreshing || swapping || clock.now < refresh_after) return;
    refreshing = true;
    refreshed = clock.now;
    must_refresh = false;
    out.push_back(Refresh{});
}

// The fence comes before everything: a server that may be acknowledging without a right to is killed, whatever else
// runs.
bool Node::Mind::fence() {
    if (!looked || !may_be_primary()) return false;
    std::string why;
    if (record && record->leader != me()) {
        why = record->leader.value.empty()
                  ? fmt::format("epoch {} is electing another primary", record->epoch.value)
                  : fmt::format("{} leads epoch {}", name_of(record->leader), record->epoch.value);
    } else if (record && floor > record->epoch) {
        why = fmt::format("epoch {} was promised, {} is over", floor.value, record->epoch.value);
    } else if (!lease_holds()) {
        why = record && nothing_stops_its_server()
                  ? "the lease was not renewed: nothing would end this server if the agent hung"
                  : "the lease ran out: no majority of voters answered in time";
    } else if (record && record->phase == Phase::stable && seen.server == Server::primary && !busy &&
               seen.timeline != live_path(record->lineage).back().timeline) {
        why = fmt::format("the server is on timeline {}, which no epoch granted", seen.timeline.value);
    }
    if (why.empty()) return false;
    think(State::expired, why);
    if (!busy || busy->verb != Verb::kill) command(Verb::kill, why);
    return true;
}

// Before anything is started again: the guardian takes whatever runs past the deadline for a primary.
void Node::Mind::disarm() {
    if (armed == Instant{} || may_be_primary() || !known_standby || (busy && busy->verb == Verb::kill)) return;
    armed = inherited_deadline = {};
    out.push_back(Arm{});
}

void Node::Mind::advance() {
    refresh();
    blocked = false;
    if (!record) {
        if (!fence()) reason = "waiting for the cluster's record";
        return;
    }
    if (self.kind == Kind::data && !looked) {
        reason = "waiting for the first look at its server";
        return;
    }
    if (member(me()) == nullptr) {
        if (!fence())
            think(state, "this node is not a member of the cluster any more: pgkeel join, or remove its directory");
        return;
    }
    if (ran_by_hand()) needs_clone = true;
    if (!fence()) {
        disarm();
        if (is_leader())
            lead();
        else if (self.kind == Kind::data)
            follow();
        else
            think(State::witness, "votes, has no PostgreSQL");
    }
    answer_revocation();
    elect();
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
