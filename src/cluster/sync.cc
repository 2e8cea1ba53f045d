#include "cluster/sync.h"

#include <algorithm>

namespace keel::cluster {

namespace {

std::uint32_t missing_from(std::set<NodeId> const& members, std::set<NodeId> const& from) {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(members, [&](NodeId const& id) { return !from.contains(id); }));
}

std::uint32_t minus(std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; }

// Enough members of the new set have every commit that was acknowledged before the barrier.
bool caught_up(SyncView const& view, SyncSet const& target) {
    std::uint32_t have = 0;
    for (auto const& id : target.members) {
        auto const found = view.flushed.find(id);
        if (id == view.leader || (found != view.flushed.end() && found->second >= view.settled_flush)) ++have;
    }
    return have >= target.quorum;
}

// One step towards `target`, or rest when no order of record and setting is safe from here.
SyncStep step_towards(SyncView const& view, SyncSet const& target) {
    Names const names = names_for(target, view.leader);
    bool const in_force = view.possible.size() == 1 && view.possible.front() == names;
    if (view.recorded == target) {
        if (in_force) return {};
        return {SyncStep::Kind::set_names, names, {}, "the setting follows the recorded sync set"};
    }
    auto const write = [&]() -> SyncStep {
        if (!implies(view.recorded, target, view.leader) && !caught_up(view, target)) {
            return {SyncStep::Kind::wait, {}, {}, "new sync members still lack older commits"};
        }
        return {SyncStep::Kind::write_record, {}, target, "every setting in force keeps the new record's promise"};
    };
    if (in_force) return covers(view.possible, target, view.leader) ? write() : SyncStep{};
    // With an unfinished change of the setting, only a barrier makes it known again; names first where that is safe.
    if (coverage(names, view.recorded, view.leader) >= view.recorded.quorum) {
        return {SyncStep::Kind::set_names, names, {}, "the new setting keeps the old record's promise"};
    }
    if (covers(view.possible, target, view.leader)) return write();
    return {};
}

}  // namespace

std::uint32_t coverage(Names const& names, SyncSet const& recorded, NodeId const& leader) {
    std::uint32_t const standbys = minus(names.count, missing_from(names.members, recorded.members));
    return standbys + (recorded.members.contains(leader) ? 1 : 0);
}

bool covers(std::vector<Names> const& possible, SyncSet const& recorded, NodeId const& leader) {
    return std::ranges::all_of(possible,
                               [&](Names const& n) { return coverage(n, recorded, leader) >= recorded.quorum; });
}

bool implies(SyncSet const& before, SyncSet const& after, NodeId const& leader) {
    std::uint32_t kept = minus(before.quorum, missing_from(before.members, after.members));
    bool const leader_gained = after.members.contains(leader) && !before.members.contains(leader);
    if (leader_gained) ++kept;
    return kept >= after.quorum;
}

Names names_for(SyncSet const& set, NodeId const& leader) {
    if (set.mode == Mode::async || set.members.empty() || set.members.contains(leader)) return {};
    return {set.quorum, set.members};
}

std::size_t fenced_needed(SyncSet const& set) {
    std::size_t const members = set.members.size();
    return members > set.quorum ? members - set.quorum + 1 : 1;
}

SyncStep plan_sync(SyncView const& view) {
    if (auto const direct = step_towards(view, view.wanted); direct.kind != SyncStep::Kind::rest) return direct;
    bool const in_force = view.possible.size() == 1 && view.possible.front() == names_for(view.wanted, view.leader);
    if (view.recorded == view.wanted && in_force) return {};
    // No direct way: over the union, which either side can be reached from.
    SyncSet both = view.recorded;
    both.members.insert(view.wanted.members.begin(), view.wanted.members.end());
    both.mode = view.wanted.mode;
    both.owner = view.wanted.owner;
    for (std::uint32_t const quorum : {view.recorded.quorum, std::min(view.recorded.quorum, view.wanted.quorum)}) {
        both.quorum = quorum;
        if (both == view.recorded && in_force) continue;
        if (auto const step = step_towards(view, both); step.kind != SyncStep::Kind::rest) return step;
    }
    // Lowering the quorum in the record alone is always safe.
    SyncSet lower = view.recorded;
    lower.quorum = 1;
    if (auto const step = step_towards(view, lower); step.kind != SyncStep::Kind::rest) return step;
    // An unfinished change of the setting: back to what the record says, from where there is always a way.
    Names const known = names_for(view.recorded, view.leader);
    if (view.possible.size() != 1 || view.possible.front() != known) {
        return {SyncStep::Kind::set_names, known, {}, "the setting returns to the recorded sync set"};
    }
    return {SyncStep::Kind::wait, {}, {}, "no safe step"};
}

}  // namespace keel::cluster
