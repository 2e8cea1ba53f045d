// Why the cluster is as it is: the last decision, in its own words, with what it rested on.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cluster/operations.h"
#include "cluster/status.h"
#include "cluster/sync.h"

namespace keel::cluster {

namespace {

constexpr std::array<std::string_view, 6> kDecisions = {"leader", "revoke", "appoint", "loss", "handover", "sync"};

bool is_decision(HistoryEvent const& event) {
    return std::ranges::find(kDecisions, std::string_view(event.kind)) != kDecisions.end();
}

std::string name_in(Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() || found->second.name.empty() ? id.value : found->second.name;
}

std::string names_in(Record const& record, std::set<NodeId> const& ids) {
    std::vector<std::string> names;
    for (auto const& id : ids) names.push_back(name_in(record, id));
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string event_line(Record const& record, HistoryEvent const& event) {
    return fmt::format("{} epoch {} {} ({}): {}", utc_text(event.unix_ms), event.epoch.value, event.kind,
                       name_in(record, event.node), event.text);
}

HistoryEvent const* last_of(Record const& record, Epoch epoch, std::string_view kind) {
    auto const found = std::find_if(record.history.rbegin(), record.history.rend(), [&](HistoryEvent const& event) {
        return event.epoch == epoch && event.kind == kind;
    });
    return found == record.history.rend() ? nullptr : &*found;
}

// Why this leader leads: what ended the reign before, and why it was this node's turn.
std::string reign_sentence(Record const& record) {
    auto const* began = last_of(record, record.epoch, "leader");
    auto const* ended = last_of(record, record.epoch, "revoke");
    auto const* chosen = last_of(record, record.epoch, "appoint");
    if (chosen == nullptr) chosen = last_of(record, record.epoch, "loss");
    auto const* event = began != nullptr ? began : chosen != nullptr ? chosen : ended;
    if (event == nullptr) return "";
    std::string text = fmt::format("{}: {}", utc_text(event->unix_ms), event->text);
    if (ended != nullptr && ended != event) text += "; because " + ended->text;
    if (chosen != nullptr && chosen != event) text += ", and " + chosen->text;
    return text + ".";
}

std::string sync_line(Record const& record) {
    auto others = record.sync.members;
    others.erase(record.sync.owner);
    if (others.empty())
        return fmt::format("only {} is known to have every acknowledged commit", name_in(record, record.sync.owner));
    return fmt::format(
        "every acknowledged commit is on {} and at least {} of {}; {} of them must be asked in an election",
        name_in(record, record.sync.owner), record.sync.quorum, names_in(record, others), fenced_needed(record.sync));
}

std::string peers_line(Sight const& sight, Record const& record) {
    View const view = view_of(sight, record);
    std::vector<std::string> silent;
    for (auto const& [id, member] : record.members) {
        if (!view.alive.contains(id)) silent.push_back(member.name);
    }
    return silent.empty()
               ? "every member is heard"
               : fmt::format("not heard: {}; heard: {}", fmt::join(silent, ", "), names_in(record, view.alive));
}

}  // namespace

Explanation explain(Sight const& sight) {
    Explanation out;
    if (!sight.record) {
        out.sentence = "This node has not read the cluster's record yet, so it decides nothing.";
        if (!sight.store_trouble.empty()) out.evidence.push_back("store: " + sight.store_trouble);
        if (!sight.opinion.reason.empty()) out.evidence.push_back("this node: " + sight.opinion.reason);
        return out;
    }
    Record const& record = *sight.record;
    auto const last = std::find_if(record.history.rbegin(), record.history.rend(), is_decision);
    if (sight.opinion.blocked)
        out.sentence = "Nobody is promoted: " + sight.opinion.reason + ".";
    else if (auto reign = reign_sentence(record); !reign.empty())
        out.sentence = std::move(reign);
    else if (last == record.history.rend())
        out.sentence = "No decision has been made yet.";
    else
        out.sentence = fmt::format("{}: {}.", utc_text(last->unix_ms), last->text);
    // The story of the newest epoch and of the one before, which it ended.
    for (auto const& event : record.history) {
        if (event.epoch.value + 1 >= record.epoch.value && is_decision(event))
            out.evidence.push_back(event_line(record, event));
    }
    constexpr std::size_t kMost = 12;
    if (out.evidence.size() > kMost)
        out.evidence.erase(out.evidence.begin(), out.evidence.end() - static_cast<std::ptrdiff_t>(kMost));
    if (!record.lineage.empty()) {
        Branch const& branch = record.lineage.back();
        out.evidence.push_back(fmt::format("timeline {} began at {} in epoch {} on {} ({})", branch.timeline.value,
                                           to_string(branch.fork), branch.epoch.value, name_in(record, branch.node),
                                           boost::describe::enum_to_string(branch.fate, "?")));
    }
    out.evidence.push_back(sync_line(record));
    out.evidence.push_back(peers_line(sight, record));
    if (record.paused) out.evidence.emplace_back("paused: no automatic elections");
    if (!sight.opinion.reason.empty())
        out.evidence.push_back(fmt::format("this node ({}) is {}: {}", sight.name,
                                           boost::describe::enum_to_string(sight.opinion.state, "?"),
                                           sight.opinion.reason));
    if (!sight.store_trouble.empty()) out.evidence.push_back("store: " + sight.store_trouble);
    return out;
}

}  // namespace keel::cluster
