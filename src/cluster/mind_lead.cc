// The node as leader: takes office, keeps the lease, keeps the sync set true, hands over, and recovers from its
// server's death.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

namespace {
constexpr std::size_t kVotersMax = 7;
constexpr char const* kUnguarded =
    "its guardian does not run and PostgreSQL is without the extension: if the agent hung, nothing would end an "
    "asynchronous primary";
}  // namespace

void Node::Mind::lead() {
    if (busy && busy->verb == Verb::kill) {  // begun, it ends in a dead server, whatever the lease says by now
        think(State::expired, busy->reason);
        return;
    }
    bool const may_serve = seen.server == Server::primary || record->phase == Phase::promoting;
    if (may_serve && promotion_failed.empty() && !nothing_stops_its_server()) renew();
    if (seen.server == Server::primary || (busy && busy->verb == Verb::promote)) arm();
    if (record->phase == Phase::promoting)
        take_office();
    else if (record->phase == Phase::stable && seen.server == Server::primary)
        reign();
    else if (record->phase == Phase::stable)
        recover_leadership();
}

// Where commits wait for standbys, those are cut off before another leads (F0), whatever this server does. And with one
// voter, nobody else can come to lead.
bool Node::Mind::nothing_stops_its_server() const {
    bool const async = record->settings.mode == Mode::async || record->sync.mode == Mode::async;
    return seen.unguarded && async && record->voters.size() > 1;
}

void Node::Mind::arm() {
    Instant const until = deadline();
    if (until <= armed) return;
    armed = until;
    out.push_back(Arm{until});
}

// Asks the voters, and those who are to become voters: the set changes only when the lease holds under the new one too.
void Node::Mind::renew() {
    if (renew_sent != Instant{} && clock.now - renew_sent < time().heartbeat) return;
    renew_sent = clock.now;
    lease.begin(record->epoch);
    std::set<NodeId> asked = record->voters;
    asked.insert(voters_to_be.begin(), voters_to_be.end());
    for (auto const& voter : asked) send(voter, Renew{record->epoch, clock.now.time_since_epoch(), time().lease});
}

void Node::Mind::take_office() {
    Duration const limit = std::chrono::milliseconds(record->settings.promote_timeout_ms);
    Branch const& planned = record->lineage.back();
    if (!promotion_failed.empty()) {
        give_up_promotion(promotion_failed);
        return;
    }
    if (nothing_stops_its_server()) {
        give_up_promotion(kUnguarded);
        return;
    }
    think(State::promoting,
          fmt::format("takes over in epoch {} on timeline {}", record->epoch.value, planned.timeline.value));
    if (seen.server == Server::primary && !busy) {
        if (seen.timeline == planned.timeline)
            confirm();
        else
            give_up_promotion(fmt::format("the server came out on timeline {} and not {}", seen.timeline.value,
                                          planned.timeline.value));
        return;
    }
    if (busy && busy->verb == Verb::promote && clock.now - busy_since > limit) {
        give_up_promotion(fmt::format("the promotion did not finish within {} ms", to_ms(limit)));
        return;
    }
    if (seen.server == Server::recovery && seen.timeline == planned.timeline) {
        give_up_promotion(
            fmt::format("its server died on timeline {} before the record confirmed it", planned.timeline.value), true);
        return;
    }
    if (clock.now - record_since > 2 * limit) {
        give_up_promotion("could not take office in time");
        return;
    }
    if (!idle()) return;
    if (seen.server == Server::stopped) {
        command(Verb::start, "is to be promoted");
    } else if (seen.server == Server::recovery && (!seen.upstream.value.empty() || seen.receiver)) {
        command(Verb::cut, "is to be promoted");
    } else if (seen.server == Server::recovery && lease_holds()) {
        Command filled;
        filled.timeline = planned.timeline;
        filled.names = names_at_promotion(*record, me());
        filled.lineage = record->lineage;
        possible_names = {filled.names};
        arm();
        known_standby = false;
        may_promote = true;
        command(Verb::promote, reason, filled);
    } else if (seen.server == Server::recovery) {
        reason += ", waits for a majority's promises";
    }
}

void Node::Mind::confirm() {
    think(State::gated, "is read-write, the record is still to say so");
    if (seen.fork == Lsn{}) return;  // a planned timeline has a parent; its history file could not be read just now
    Record next = *record;
    confirm_newest(next.lineage, seen.fork);
    next.lineage.back().first_xid = seen.first_xid;
    Timeline const mine = next.lineage.back().timeline;
    next.phase = Phase::stable;
    next.handover.reset();
    next.members[me()].broken.clear();
    swap(std::move(next), "leader",
         fmt::format("{} leads epoch {} on timeline {}, from {}", name_of(me()), record->epoch.value, mine.value,
                     to_string(seen.fork)));
}

// The next candidate gets its turn under a newer epoch; our half-made timeline stays on record, so its number is never
// used again.
void Node::Mind::give_up_promotion(std::string why, bool sound) {
    promotion_failed = why;
    if (!record || record->leader != me() || record->phase != Phase::promoting) {
        promotion_failed.clear();
        return;
    }
    think(State::broken, why);
    if (may_be_primary() && !(busy && busy->verb == Verb::kill)) command(Verb::kill, why);
    Record next = *record;
    next.epoch.value = std::max(record->epoch.value, floor.value) + 1;
    next.phase = Phase::revoking;
    next.leader = {};
    next.coordinator = me();
    if (!sound) next.members[me()].broken = why;
    swap(std::move(next), "revoke", name_of(me()) + ": " + why);
}

void Node::Mind::recover_leadership() {
    bool const ending = busy && (busy->verb == Verb::kill || busy->verb == Verb::stop || busy->verb == Verb::promote);
    if (ending) {
        think(handing_over ? State::stepping_down : State::expired, reason);
        return;
    }
    // Processes are there but nobody can look inside: hung, or orphans of a dead postmaster. They may still
    // acknowledge.
    if (!known_standby && clock.now - first_look < 1500ms && lease_holds()) {
        think(State::restarting, "its agent was restarted and its server has not answered yet");
        return;
    }
    if (!known_standby) {
        think(State::expired, "its server does not answer");
        command(Verb::kill, reason);  // overtakes whatever hangs on that server
        return;
    }
    think(handing_over ? State::stepping_down : State::restarting,
          handing_over ? "handed over" : "its server is down; it gave the lease back");
    if (record->paused && !handing_over) {
        think(State::maintenance, "its server is down; paused by the operator");
        return;
    }
    released.insert(record->epoch);
    promise.release(record->epoch);
    if (released_sent == Instant{} || clock.now - released_sent >= time().heartbeat) {
        released_sent = clock.now;
        broadcast(Release{record->epoch});
    }
    if (handing_over) {
        std::string const to = record->handover ? name_of(record->handover->target) : "";
        bool const for_room = !record->handover && seen.disk == Disk::tight;
        take_epoch(for_room ? "hands over: " + seen.disk_text : "switchover" + (to.empty() ? "" : " to " + to));
        return;
    }
    if (seen.server == Server::stopped && idle() && disk_takes_a_server())
        command(Verb::start, "restarts as a standby, to be elected again or to follow");
}

void Node::Mind::reign() {
    promotion_failed.clear();
    think(State::primary, nothing_stops_its_server()
                              ? std::string("lets its lease run out: ") + kUnguarded
                              : fmt::format("leads epoch {} with the lease", record->epoch.value));
    if (possible_names.empty() && !adopt()) return;
    if (make_way() || hand_over()) return;
    if (keep_sync()) return;
    if (keep_voters()) return;
    if (keep_members()) return;
    keep_slots();
    keep_configuration();
}

// A server that an earlier life of this agent led. A write of that life may still be on its way into the record: only a
// newer revision shows that it cannot come any more. Then whatever the record and the file say may be in force.
bool Node::Mind::adopt() {
    if (!adopting) adopting = record->revision;
    if (record->revision <= *adopting) {
        swap(*record, "agent", name_of(me()) + "'s agent was restarted and leads on");
        return false;
    }
    adopting.reset();
    possible_names = {names_for(record->sync, me())};
    if (seen.names != possible_names.front()) possible_names.push_back(seen.names);
    settled_flush = seen.flush;
    return true;
}

// Would an election without this node find somebody whose disk is sound? Nearly as far, so that it does not take long.
bool Node::Mind::another_could_lead() const {
    std::set<NodeId> alive, able;
    for (auto const& [id, sight] : peers) {
        if (fresh_peer(id) && member(id) != nullptr) alive.insert(id);
    }
    for (auto const& sender : seen.senders) {
        bool const near = sender.streaming && sender.flush.value + kNearBytes >= seen.flush.value;
        if (near && alive.contains(sender.node) && disk_is(sender.node, Disk::sound) &&
            member(sender.node)->broken.empty())
            able.insert(sender.node);
    }
    return prospect(*record, alive, able).good;
}

// A leader whose disk is in trouble hands over, if somebody can take over; else it stays, and says so. A disk that
// takes no write would hang a shutdown in order as well: there the server is killed.
bool Node::Mind::make_way() {
    bool const trouble = seen.disk != Disk::sound && !record->paused;
    bool const outdone = trouble && another_could_lead();
    if (!outdone) outdone_since = {};
    if (!trouble) return false;
    if (!outdone) {
        reason += fmt::format("; stays in spite of its disk, because nobody else could lead: {}", seen.disk_text);
        return false;
    }
    // Storage that all share hangs everywhere, and comes back everywhere, and each node notices at its next write: they
    // get the time to say so.
    if (outdone_since == Instant{}) outdone_since = clock.now;
    if (seen.disk == Disk::useless && clock.now - outdone_since < 1s) return false;
    if (seen.disk == Disk::useless) {  // whatever runs hangs on that disk, too
        think(State::expired, "gives way, its disk takes no writes: " + seen.disk_text);
        command(Verb::kill, reason);
        return true;
    }
    if (!idle()) return false;
    handing_over = true;
    handover_failed.clear();
    think(State::stepping_down, "hands over: " + seen.disk_text);
    command(Verb::stop, reason);
    return true;
}

bool Node::Mind::hand_over() {
    if (busy && busy->verb == Verb::stop && handing_over) {
        think(State::stepping_down, "hands over");
        return true;
    }
    if (!record->handover || clock.unix_ms < record->handover->at_unix_ms || !idle()) return false;
    NodeId const& target = record->handover->target;
    auto const usable = [&](Sender const& sender) {
        Member const* one = member(sender.node);
        bool const named = target.value.empty() || target == sender.node;
        return named && one != nullptr && may_be_promoted(*one) && sender.streaming && fresh_peer(sender.node) &&
               !disk_is(sender.node, Disk::useless) && sender.flush.value + kNearBytes >= seen.flush.value;
    };
    std::string refused = handover_failed;
    if (refused.empty() && std::ranges::none_of(seen.senders, usable)) {
        refused = fmt::format(
            "switchover refused: {} close enough behind, may not be promoted, or has a disk that takes no writes",
            target.value.empty() ? "no standby streams" : name_of(target) + " does not stream");
    }
    if (!refused.empty()) {
        Record next = *record;
        next.handover.reset();
        swap(std::move(next), "handover", refused);
        if (swapping) handover_failed.clear();
        return false;
    }
    handing_over = true;
    think(State::stepping_down, "hands over");
    command(Verb::stop, "switchover");
    return true;
}

// An odd number of voters, one change at a time, and the next only when the lease holds under the present set.
bool Node::Mind::keep_voters() {
    std::vector<NodeId const*> eligible{&self.id};
    for (auto const& [id, one] : record->members) {
        if (id != me() && !one.tags.spare && !one.leaving && record->voters.contains(id)) eligible.push_back(&id);
    }
    for (auto const& [id, one] : record->members) {
        bool const stranger = id != me() && !one.tags.spare && !one.leaving && !record->voters.contains(id);
        if (stranger && fresh_peer(id)) eligible.push_back(&id);
    }
    std::size_t const count = std::min(kVotersMax, eligible.size());
    eligible.resize(count % 2 == 1 ? count : count - 1);
    voters_to_be.clear();
    for (auto const* id : eligible) voters_to_be.insert(*id);
    for (auto const& id : voters_to_be) {
        if (!record->voters.contains(id)) return change_voter(id, true);
    }
    for (auto const& id : record->voters) {
        if (!voters_to_be.contains(id)) return change_voter(id, false);
    }
    return false;
}

bool Node::Mind::change_voter(NodeId const& id, bool votes) {
    Record next = *record;
    if (votes)
        next.voters.insert(id);
    else
        next.voters.erase(id);
    if (lease.deadline(next.voters) < clock.now + 2 * time().heartbeat) return false;
    swap(std::move(next), "voter", name_of(id) + (votes ? " votes from now on" : " votes no longer"));
    return true;
}

bool Node::Mind::keep_members() {
    Duration const grace = std::chrono::seconds(record->settings.spare_grace_s);
    NodeId lost, spare;
    for (auto const& [id, one] : record->members) {
        if (id == me()) continue;
        bool const heard = fresh_peer(id);
        bool const streams = heard && peers[id].last.state == State::standby && peers[id].last.streaming;
        if (one.tags.spare && streams && spare.value.empty()) spare = id;
        Instant const last = peers.contains(id) ? peers[id].heard : record_since;
        if (one.kind == Kind::data && !one.tags.spare && !heard && clock.now - std::max(last, record_since) > grace)
            lost = id;
        if (one.leaving && !record->voters.contains(id) && !record->sync.members.contains(id)) {
            Record next = *record;
            next.members.erase(id);
            swap(std::move(next), "member", one.name + " left the cluster");
            return true;
        }
        auto& since = sound_since[id];
        if (!streams) since = clock.now;
        if (!one.broken.empty() && streams && clock.now - since > 30s) {
            Record next = *record;
            next.members[id].broken.clear();
            swap(std::move(next), "member", name_of(id) + " has been sound for 30 s and may be promoted again");
            return true;
        }
    }
    if (lost.value.empty() || spare.value.empty()) return false;
    Record next = *record;
    next.members[spare].tags.spare = false;
    next.members[lost].tags.spare = true;
    swap(std::move(next), "member",
         fmt::format("the spare {} takes the place of {}, which is lost", name_of(spare), name_of(lost)));
    return true;
}

}  // namespace keel::cluster
