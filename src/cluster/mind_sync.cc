// The leader keeps the sync set true: who is in it, what is recorded, and what the server is told, in a safe order.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/node_mind.h"

namespace keel::cluster {

void Node::Mind::watch_progress() {
    if (!record || seen.server != Server::primary) return;
    for (auto const& [id, one] : record->members) {
        auto& known = progress[id];
        auto const sender = std::ranges::find(seen.senders, id, &Sender::node);
        if (known.moved == Instant{}) known.moved = clock.now;
        if (sender == seen.senders.end()) {
            known.steady = {};
            continue;
        }
        if (sender->flush > known.flush || sender->flush >= seen.flush) known.moved = clock.now;
        known.flush = sender->flush;
        bool const near = sender->streaming && sender->flush.value + kNearBytes >= seen.flush.value;
        if (!near)
            known.steady = {};
        else if (known.steady == Instant{})
            known.steady = clock.now;
    }
}

SyncSet Node::Mind::wanted_sync() {
    Settings const& settings = record->settings;
    SyncSet wanted{settings.mode, {}, settings.quorum, me()};
    Duration const patience = std::chrono::milliseconds(settings.evict_after_ms);
    std::vector<NodeId> lost;
    for (auto const& [id, one] : record->members) {
        if (id == me() || !sync_eligible(one) || gives_up_its_copy(id)) continue;
        auto& known = progress[id];
        if (known.moved == Instant{}) known.moved = clock.now;  // an adopted server's standbys get their time, too
        bool const in = record->sync.members.contains(id);
        // Storage that all share takes nobody out.
        bool const ill = disk_is(id, Disk::useless) && seen.disk != Disk::useless;
        bool const stays = in && !ill && clock.now - known.moved <= patience;
        bool const joins = !ill && known.steady != Instant{} && clock.now - known.steady >= patience / 4 &&
                           clock.now - known.moved <= patience;
        if (stays || joins)
            wanted.members.insert(id);
        else
            lost.push_back(id);
    }
    if (settings.mode == Mode::strict) {
        // The missing stay in, those already in first: they have what was acknowledged, and writes wait for them.
        std::ranges::partition(lost, [&](NodeId const& id) { return record->sync.members.contains(id); });
        for (auto const& id : lost) {
            if (wanted.members.size() < settings.quorum) wanted.members.insert(id);
        }
        if (wanted.members.size() >= settings.quorum) return wanted;
        return {settings.mode, {me()}, 1, me()};
    }
    if (settings.mode == Mode::async || wanted.members.empty()) return {settings.mode, {me()}, 1, me()};
    wanted.quorum = std::min(settings.quorum, static_cast<std::uint32_t>(wanted.members.size()));
    return wanted;
}

// A member that is to be rewound or cloned holds nothing any more, and waits with it until the record says so.
bool Node::Mind::gives_up_its_copy(NodeId const& id) const {
    auto const errand = record->errands.find(id);
    if (errand != record->errands.end() && errand->second.work == Work::reinit) return true;
    auto const peer = peers.find(id);
    if (peer == peers.end() || !fresh_peer(id)) return false;
    State const told = peer->second.last.state;
    return told == State::diverged || told == State::rewinding || told == State::cloning || told == State::fresh;
}

// Strict never lets a commit pass that W standbys have not, whoever is recorded.
Names Node::Mind::wanted_names(SyncSet const& wanted) const {
    if (wanted.mode != Mode::strict || !wanted.members.contains(me())) return names_for(wanted, me());
    Names all{record->settings.quorum, {}};
    for (auto const& [id, one] : record->members) {
        if (id != me() && sync_eligible(one)) all.members.insert(id);
    }
    return all.members.empty() ? Names{} : all;
}

std::string Node::Mind::describe(SyncSet const& set) const {
    std::string members;
    for (auto const& id : set.members) members += (members.empty() ? "" : ", ") + name_of(id);
    return fmt::format("{} of {{{}}} must have a commit", set.quorum, members);
}

bool Node::Mind::keep_sync() {
    if (pending_sync) {
        // Unanswered, it may still come to be: no setting is touched that would not suit both. Asked again until the
        // record moves on.
        Record next = *record;
        next.sync = *pending_sync;
        swap(std::move(next), "sync", "once more: " + describe(*pending_sync));
        return true;
    }
    SyncSet const wanted = wanted_sync();
    SyncView view{me(), record->sync, wanted, wanted_names(wanted), possible_names, settled_flush, {}};
    for (auto const& sender : seen.senders) view.flushed[sender.node] = sender.flush;
    if (mutation == Mutation::skip_catch_up) view.settled_flush = {};
    SyncStep step = plan_sync(view);
    if (mutation == Mutation::sync_order_reversed && view.wanted != view.recorded)
        step = {SyncStep::Kind::write_record, {}, view.wanted, "mutation"};
    if (step.kind == SyncStep::Kind::set_names && idle()) {
        if (std::ranges::find(possible_names, step.names) == possible_names.end()) possible_names.push_back(step.names);
        Command filled;
        filled.names = step.names;
        command(Verb::set_names, step.reason, filled);
        return true;
    }
    if (step.kind == SyncStep::Kind::write_record && can_swap() && !(busy && busy->verb == Verb::set_names)) {
        Record next = *record;
        next.sync = step.record;
        pending_sync = step.record;
        swap(std::move(next), "sync", describe(step.record));
        return true;
    }
    return step.kind != SyncStep::Kind::rest && step.kind != SyncStep::Kind::wait;
}

}  // namespace keel::cluster
