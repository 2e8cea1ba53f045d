// What each event tells the node: messages, observations, finished commands, newer records.
#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

namespace {
template <class... Fs>
struct Overload : Fs... {
    using Fs::operator()...;
};
}  // namespace

void Node::Mind::on_message(NodeId const& from, Message const& message) {
    std::visit(Overload{
                   [&](Heartbeat const& beat) {
                       peers[from] = {beat, clock.now};
                       if (!record || beat.revision > record->revision) must_refresh = true;
                       bool const leads = record && record->leader == from && beat.leads == record->epoch;
                       bool const runs = record && record->phase != Phase::stable && responsible() == from;
                       if (leads || runs) leader_heard = clock.now;
                       if (leads) {
                           last_known_flush = std::max(last_known_flush, beat.flush);
                       }
                   },
                   [&](Renew const& ask) {
                       // An epoch whose leader is not known here yet has only one: who asks for it was appointed.
                       bool const known_other = record && record->epoch == ask.epoch && !record->leader.value.empty() &&
                                                record->leader != from;
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
    if (!looked) first_look = clock.now;
    looked = true;
    bool const promoting = busy && busy->verb == Verb::promote;
    bool const down =
        seen.server != Server::primary && seen.server != Server::recovery && seen.server != Server::starting;
    if (down && !promoting) may_promote = false;
    if (seen.server == Server::primary || promoting)
        known_standby = false;
    else if (seen.server != Server::starting)
        known_standby = !may_promote;
    watch_progress();
}

void Node::Mind::on_record(Record const& newer) {
    if (record && newer.revision <= record->revision) return;
    bool const new_term = !record || newer.epoch != record->epoch || newer.phase != record->phase;
    bool const new_epoch = !record || newer.epoch != record->epoch;
    bool const first = !record;
    record = newer;
    pending_sync.reset();
    if (new_term) {
        record_since = clock.now;
        suspected_since = {};
        leader_heard = clock.now;
        blocked = false;
    }
    if (new_epoch) {
        grants.clear();
        catch_up_from = {};
        promotion_failed.clear();
        possible_names.clear();
        adopting.reset();
        voters_to_be.clear();
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
        if (busy->verb != Verb::slots && busy->verb != Verb::configure) copy_attempts = start_attempts = 0;
        return false;
    }
    bool const copy = busy->verb == Verb::clone || busy->verb == Verb::rewind;
    bool const start = busy->verb == Verb::start;
    unsigned const attempts = copy ? ++copy_attempts : start ? start_attempts++ : 0;
    Duration const most = copy ? 10s : 3s;
    Duration const pause = std::min<Duration>(200ms * (1U << std::min(attempts, 6U)), most);
    if (busy->verb != Verb::kill && busy->verb != Verb::cut) not_before = clock.now + pause;
    return true;
}

void Node::Mind::on_command_done(CommandDone const& done) {
    if (!busy || busy->id != done.id) return;  // overtaken by a kill, whose own look will tell
    on_observation(done.seen);
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
        case Verb::kill:
            // A process that waits for a disk dies when the disk answers; till then the kill is not over, and neither
            // is anything released.
            if (failed) command(Verb::kill, finished.reason);
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

}  // namespace keel::cluster
