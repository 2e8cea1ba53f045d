#include "cluster/record.h"

#include <algorithm>
#include <ranges>

namespace keel::cluster {

namespace {
constexpr std::size_t kHistoryMax = 100;
}

void note(Record& record, NodeId const& author, std::int64_t unix_ms, std::string kind, std::string text) {
    std::uint64_t const number = record.history.empty() ? 1 : record.history.back().number + 1;
    record.history.push_back({number, unix_ms, record.epoch, author, std::move(kind), std::move(text)});
    if (record.history.size() > kHistoryMax) record.history.erase(record.history.begin());
}

Timing timing(Profile profile) {
    switch (profile) {
        case Profile::lan:
            return {1500ms, 150ms};
        case Profile::standard:
            return {2500ms, 250ms};
        case Profile::wan:
            return {8000ms, 800ms};
    }
    return {8000ms, 800ms};
}

Duration longest_lease(Record const& record) {
    return timing(std::max(record.longest_profile, record.settings.profile)).lease;
}

std::vector<Branch> live_path(std::vector<Branch> const& lineage) {
    std::vector<Branch> path;
    for (auto const& branch : lineage) {
        if (branch.fate == Fate::live) path.push_back(branch);
    }
    return path;
}

std::optional<Epoch> epoch_of(std::vector<Branch> const& lineage, Timeline timeline) {
    auto const found = std::ranges::find(lineage, timeline, &Branch::timeline);
    if (found == lineage.end()) return std::nullopt;
    return found->epoch;
}

bool is_ancestor(std::vector<Branch> const& lineage, Timeline timeline, Lsn lsn, bool planned_too) {
    auto const found = std::ranges::find(lineage, timeline, &Branch::timeline);
    if (found == lineage.end() || found->fate == Fate::burnt) return false;
    if (found->fate == Fate::planned) return planned_too;
    // The next live branch ends this timeline: whatever lies beyond its fork is not the cluster's.
    auto const next =
        std::ranges::find_if(found + 1, lineage.end(), [](Branch const& b) { return b.fate == Fate::live; });
    return next == lineage.end() || lsn <= next->fork;
}

void confirm_newest(std::vector<Branch>& lineage, Lsn fork) {
    lineage.back().fork = fork;
    // Parents stand before their children. A planned one may be among them: a promotion that was not confirmed in time,
    // and whose WAL was the newest all the same.
    Timeline expected = lineage.back().timeline;
    for (auto& branch : std::views::reverse(lineage)) {
        bool const forebear = branch.timeline == expected;
        branch.fate = forebear ? Fate::live : Fate::burnt;
        if (forebear) expected = branch.parent;
    }
}

Timeline newest_timeline(std::vector<Branch> const& lineage) {
    Timeline newest;
    for (auto const& branch : lineage) newest = std::max(newest, branch.timeline);
    return newest;
}

}  // namespace keel::cluster
