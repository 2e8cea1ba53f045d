#include "agent/story.h"

#include <fmt/format.h>

#include "runtime/log.h"

namespace keel::agent {

namespace {
namespace log = runtime::log;
using cluster::Phase;

constexpr std::size_t kDecisionsMax = 200;

std::string name_of(cluster::Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() ? id.value : found->second.name;
}

}  // namespace

void Story::after_step(cluster::Clock clock, cluster::Node const& node) {
    auto opinion = node.opinion();
    if (auto const& record = node.record()) tell_record(clock, node, *record, opinion.lease_deadline);
    tell_opinion(clock, node, std::move(opinion));
}

void Story::tell_record(cluster::Clock clock, cluster::Node const& node, cluster::Record const& record,
                        Instant lease_deadline) {
    if (record.phase == Phase::stable && record.leader != self_) {
        auto const seen = node.peers().find(record.leader);
        if (seen != node.peers().end() && seen->second.last.leads == record.epoch) leader_heard_ = seen->second.heard;
    } else if (record.phase == Phase::stable && lease_deadline > clock.now) {
        leader_heard_ = clock.now;  // one that cannot renew its lease takes no writes either
    }
    if (record.revision == revision_) return;
    bool const first = revision_ == 0;
    for (auto const& event : record.history) {
        bool const told_below = event.kind == "leader" || event.kind == "revoke" || event.kind == "promote";
        if (event.number > told_ && !first && !told_below) log::info("record", "{}: {}", event.kind, event.text);
    }
    if (!record.history.empty()) told_ = record.history.back().number;
    revision_ = record.revision;
    bool const new_epoch = record.epoch != epoch_;
    bool const changed = new_epoch || record.phase != phase_ || record.leader != leader_;
    if (new_epoch && !first) ++counters_.elections;
    if (new_epoch && record.phase != Phase::stable) {
        revoked_ = clock.now;
        fenced_ = appointed_ = promoted_ = {};
        detect_ = leader_heard_ == Instant{} ? Duration{0} : clock.now - leader_heard_;
    }
    if (record.phase == Phase::promoting && appointed_ == Instant{}) appointed_ = clock.now;
    bool const opened = changed && record.phase == Phase::stable && phase_ != Phase::stable && !first;
    epoch_ = record.epoch;
    phase_ = record.phase;
    leader_ = record.leader;
    if (!changed) return;
    switch (record.phase) {
        case Phase::revoking:
            log::info("election", "epoch {}: {} collects the others' positions", record.epoch.value,
                      name_of(record, record.coordinator));
            break;
        case Phase::promoting:
            log::info("election", "epoch {}: {} is chosen", record.epoch.value, name_of(record, record.leader));
            break;
        case Phase::stable:
            log::info("election", "epoch {}: {} leads", record.epoch.value, name_of(record, record.leader));
            break;
    }
    if (opened) failover_ended(clock.now, record);
}

void Story::failover_ended(Instant now, cluster::Record const& record) {
    if (revoked_ == Instant{} || appointed_ == Instant{}) return;
    Instant const fenced = fenced_ == Instant{} ? revoked_ : std::min(fenced_, appointed_);
    Instant const promoted = promoted_ == Instant{} ? now : promoted_;
    std::pair<char const*, Duration> const parts[] = {{"detect", detect_},
                                                      {"fence", fenced - revoked_},
                                                      {"decide", appointed_ - fenced},
                                                      {"promote", promoted - appointed_},
                                                      {"open", now - promoted}};
    std::string text;
    counters_.failover_seconds.clear();
    for (auto const& [name, span] : parts) {
        counters_.failover_seconds[name] = to_seconds(span);
        text += fmt::format("{}{} {} ms", text.empty() ? "" : ", ", name, to_ms(span));
    }
    log::info("election", "epoch {}: change of leader complete: {}", record.epoch.value, text);
    if (record.leader == self_) phases_ = text;
    revoked_ = {};
}

std::string Story::take_phases() { return std::exchange(phases_, {}); }

void Story::tell_opinion(cluster::Clock clock, cluster::Node const& node, cluster::Opinion opinion) {
    if (opinion.state == last_state_ && opinion.reason == last_reason_) return;
    last_state_ = opinion.state;
    last_reason_ = opinion.reason;
    auto const level = opinion.blocked ? log::Level::error : log::Level::info;
    log::write(level, "decision",
               fmt::format("{}{}: {}", boost::describe::enum_to_string(opinion.state, "?"),
                           opinion.blocked ? " (blocked)" : "", opinion.reason));
    decisions_.push_back(
        {clock.unix_ms, node.record() ? node.record()->epoch : Epoch{}, opinion.state, std::move(opinion.reason)});
    if (decisions_.size() > kDecisionsMax) decisions_.pop_front();
}

void Story::command_given(cluster::Command const& command) {
    if (command.verb == cluster::Verb::kill) ++counters_.fenced;
}

void Story::command_ended(Instant now, cluster::Verb verb, bool ok) {
    if (verb == cluster::Verb::cut && fenced_ == Instant{}) fenced_ = now;
    if (verb == cluster::Verb::promote && ok) {
        promoted_ = now;
        ++counters_.promotions;
    }
}

}  // namespace keel::agent
