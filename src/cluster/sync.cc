#include "cluster/sync.h"

#include <algorithm>
#include <tuple>

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

// What the server may be doing and what the record says: a node of the search.
struct Standing {
    std::vector<Names> possible;  // one when a barrier has passed
    SyncSet recorded;
    bool operator<(Standing const& other) const { return key() < other.key(); }
    std::tuple<std::vector<std::pair<std::uint32_t, std::set<NodeId>>>, int, std::uint32_t, std::set<NodeId>, NodeId>
    key() const {
        std::vector<std::pair<std::uint32_t, std::set<NodeId>>> names;
        for (auto const& one : possible) names.emplace_back(one.count, one.members);
        return {names, static_cast<int>(recorded.mode), recorded.quorum, recorded.members, recorded.owner};
    }
};

struct Move {
    SyncStep step;
    Standing to;
    int cost = 1;
};

// The sets that may occur on the way: both ends and their union; the counts between the two quorums.
std::vector<SyncSet> stations(SyncSet const& from, SyncSet const& to) {
    SyncSet both = to;
    both.members.insert(from.members.begin(), from.members.end());
    std::vector<SyncSet> out{to};
    auto const [low, high] = std::minmax(from.quorum, to.quorum);
    for (auto const& members : {both.members, from.members, to.members}) {
        for (std::uint32_t quorum = low; quorum <= high && quorum <= members.size(); ++quorum) {
            out.push_back({to.mode, members, quorum, to.owner});
        }
    }
    return out;
}

// The settings that may occur on the way: over the members of any station or of a setting in force, with any count
// between.
std::vector<Names> settings_on_the_way(std::vector<SyncSet> const& stops, std::vector<Names> const& possible,
                                       NodeId const& leader) {
    std::set<std::set<NodeId>> members;
    std::uint32_t most = 1;
    bool none = false;
    auto const add = [&](Names const& names) {
        if (names.count == 0)
            none = true;
        else
            members.insert(names.members);
        most = std::max(most, names.count);
    };
    for (auto const& stop : stops) add(names_for(stop, leader));
    for (auto const& names : possible) add(names);
    std::vector<Names> out;
    if (none) out.push_back({});
    for (auto const& set : members) {
        for (std::uint32_t count = 1; count <= most && count <= set.size(); ++count) out.push_back({count, set});
    }
    return out;
}

std::vector<Move> moves_from(Standing const& at, std::vector<SyncSet> const& stops, std::vector<Names> const& settings,
                             NodeId const& leader) {
    std::vector<Move> out;
    for (auto const& names : settings) {
        if (at.possible.size() == 1 && at.possible.front() == names) continue;
        auto during = at.possible;
        during.push_back(names);
        if (!covers(during, at.recorded, leader)) continue;
        out.push_back({{SyncStep::Kind::set_names, names, {}, "the record's promise holds while the setting changes"},
                       {{names}, at.recorded}});
    }
    for (auto const& stop : stops) {
        if (stop == at.recorded || !covers(at.possible, stop, leader)) continue;
        int const cost = implies(at.recorded, stop, leader) ? 1 : 2;  // it may have to wait for standbys to catch up
        out.push_back(
            {{SyncStep::Kind::write_record, {}, stop, "every setting in force keeps the new record's promise"},
             {at.possible, stop},
             cost});
    }
    return out;
}

// The first move of the cheapest way to the wanted record and its setting (Dijkstra; a few hundred positions at most).
SyncStep first_move(SyncView const& view) {
    auto stops = stations(view.recorded, view.wanted);
    stops.push_back(view.recorded);
    auto settings = settings_on_the_way(stops, view.possible, view.leader);
    settings.push_back(view.wanted_names);
    Standing const start{view.possible, view.recorded};
    Standing const goal{{view.wanted_names}, view.wanted};
    std::map<Standing, std::pair<int, SyncStep>> best;
    std::set<std::pair<int, Standing>> open{{0, start}};
    best[start] = {0, {}};
    while (!open.empty()) {
        auto const [cost, at] = *open.begin();
        open.erase(open.begin());
        if (!(at < goal) && !(goal < at)) return best[at].second;
        if (best[at].first < cost) continue;
        for (auto& move : moves_from(at, stops, settings, view.leader)) {
            auto const found = best.find(move.to);
            if (found != best.end() && found->second.first <= cost + move.cost) continue;
            SyncStep const first = cost == 0 ? move.step : best[at].second;
            best[move.to] = {cost + move.cost, first};
            open.emplace(cost + move.cost, move.to);
        }
    }
    return {SyncStep::Kind::wait, {}, {}, "no safe step"};
}

}  // namespace

bool is_nobody(Names const& names) { return names.count > 0 && names.members.empty(); }

std::uint32_t coverage(Names const& names, SyncSet const& recorded, NodeId const& leader) {
    std::uint32_t const standbys = minus(names.count, missing_from(names.members, recorded.members));
    return standbys + (recorded.members.contains(leader) ? 1 : 0);
}

bool covers(std::vector<Names> const& possible, SyncSet const& recorded, NodeId const& leader) {
    std::map<std::uint32_t, Names> mixtures;
    for (auto const& names : possible) {
        if (is_nobody(names)) continue;
        auto& mixture = mixtures.try_emplace(names.count, Names{names.count, {}}).first->second;
        mixture.members.insert(names.members.begin(), names.members.end());
    }
    return !possible.empty() && std::ranges::all_of(mixtures, [&](auto const& mixture) {
        return coverage(mixture.second, recorded, leader) >= recorded.quorum;
    });
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
    bool const in_force = view.possible.size() == 1 && view.possible.front() == view.wanted_names;
    if (view.recorded == view.wanted && in_force) return {};
    SyncStep const step = first_move(view);
    bool const write = step.kind == SyncStep::Kind::write_record;
    if (write && !implies(view.recorded, step.record, view.leader) && !caught_up(view, step.record)) {
        return {SyncStep::Kind::wait, {}, {}, "the new sync members still lack older commits"};
    }
    return step;
}

}  // namespace keel::cluster
