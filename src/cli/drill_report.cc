#include "cli/drill_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::cli::drill {

namespace {

constexpr std::size_t kLostShown = 100;

std::optional<std::int64_t> outage_ms(std::vector<Instant> const& moments, Instant fault) {
    if (moments.empty() || moments.back() < fault) return {};
    return to_ms(longest_outage(moments, fault).length());
}

std::string outage_text(std::optional<std::int64_t> const& outage) {
    return outage ? fmt::format("{} ms", *outage) : "no answer after the fault";
}

void add_phases(Report& report, Recorded const& recorded) {
    auto const add = [&](char const* who, std::optional<Instant> at, std::string text) {
        if (!at) return;
        auto const ms = to_ms(*at - recorded.fault);
        auto const place = std::ranges::upper_bound(report.phases, ms, {}, &Step::ms);
        report.phases.insert(place, {ms, who, std::move(text)});
    };
    auto const& seen = recorded.sightings;
    add("fault", recorded.fault, report.action);
    add("noticed", seen.noticed, "another node saw that the leader is gone or goes");
    add("epoch_taken", seen.epoch_taken, fmt::format("an election began after epoch {}", report.epoch_before));
    add("promoted", seen.promoted, fmt::format("{} leads epoch {}", report.leader_after, report.epoch_after));
    if (report.write_outage_ms)
        add("writes_again", longest_outage(recorded.ledger.write_moments, recorded.fault).end,
            fmt::format("acknowledged again by {}", report.leader_after));
    add("redundancy_restored", seen.whole, "every member is back in its place");
}

void count(Report& report, Recorded const& recorded) {
    auto const& ledger = recorded.ledger;
    report.acknowledged = ledger.acknowledged.size();
    report.unknown = ledger.unknown.size();
    report.refused = ledger.refused;
    report.checked = recorded.audit.has_value();
    if (!recorded.audit) return;
    auto const& audit = *recorded.audit;
    report.lost = audit.lost.size();
    report.lost_numbers.assign(
        audit.lost.begin(), audit.lost.begin() + static_cast<std::ptrdiff_t>(std::min(kLostShown, audit.lost.size())));
    report.unknown_stored = audit.unknown_stored;
    report.unknown_absent = audit.unknown_absent;
    report.foreign = audit.foreign;
}

void judge(Report& report, bool interrupted) {
    if (report.lost != 0 || report.foreign != 0) {
        report.verdict = Verdict::lost;
        report.sentence = fmt::format("{} of {} acknowledged writes are missing", report.lost, report.acknowledged);
        if (report.foreign != 0)
            report.sentence += fmt::format(", and {} rows are there that nobody wrote", report.foreign);
        if (report.mode == "async") report.sentence += "; the mode async promises nothing for the last moments";
    } else if (interrupted) {
        report.verdict = Verdict::interrupted;
        report.sentence = "interrupted: this is what was seen until then";
    } else if (!report.checked) {
        report.verdict = Verdict::unchecked;
        report.sentence = "the acknowledged writes could not be looked up: no primary answered";
    } else if (!report.whole) {
        report.verdict = Verdict::not_whole;
        report.sentence =
            fmt::format("nothing was lost, but the cluster is not whole again: {}", fmt::join(report.not_whole, "; "));
    } else {
        report.verdict = Verdict::good;
        report.sentence = "nothing that was acknowledged is missing, and the cluster is whole again";
    }
}

}  // namespace

void see(Sightings& sightings, std::map<std::string, Heard> const& seen, cluster::ClusterStatus const& before,
         Fault fault) {
    std::optional<Instant> whole;
    auto const first = [](std::optional<Instant>& out, bool is_so, Instant at) {
        if (is_so && !out) out = at;
    };
    for (auto const& [name, heard] : seen) {
        auto const& status = heard.status;
        bool const newer = status.epoch > before.epoch;
        bool const reigns = status.phase == cluster::Phase::stable && status.leader_alive && !status.leader.empty();
        bool const handover = fault == Fault::switchover && !status.handover.empty();
        first(sightings.noticed, newer || !reigns || handover, heard.at);
        first(sightings.epoch_taken, newer, heard.at);
        // The leader's word. An agent that died may be back in the reign that it left.
        if (status.leader != name) continue;
        first(sightings.promoted, newer && reigns, heard.at);
        if ((newer || fault == Fault::agent) && not_whole(status).empty()) whole = heard.at;
    }
    if (!whole || !sightings.whole) sightings.whole = whole;
}

void conclude(Report& report, Recorded const& recorded) {
    report.write_outage_ms = outage_ms(recorded.ledger.write_moments, recorded.fault);
    report.read_outage_ms = outage_ms(recorded.ledger.read_moments, recorded.fault);
    count(report, recorded);
    add_phases(report, recorded);
    for (auto const& moment : recorded.moments) {
        if (moment.at >= recorded.fault)
            report.story.push_back({to_ms(moment.at - recorded.fault), moment.who, moment.text});
    }
    judge(report, recorded.interrupted);
}

std::string render_text(Report const& report) {
    std::string out = fmt::format("\nDrill of the cluster {}: {}\n", report.cluster, report.action);
    for (auto const& phase : report.phases)
        out += fmt::format("  {:>9.3f} s  {:<20} {}\n", static_cast<double>(phase.ms) / 1000, phase.who, phase.text);
    out += "\nWhat it cost\n";
    out += fmt::format("  writes interrupted    {}\n", outage_text(report.write_outage_ms));
    out += fmt::format("  reads interrupted     {}\n", outage_text(report.read_outage_ms));
    if (report.checked)
        out += fmt::format("  acknowledged writes   {} checked one by one on {}, lost: {}\n", report.acknowledged,
                           report.leader_after, report.lost);
    else
        out += fmt::format("  acknowledged writes   {}, not looked up: no primary answered\n", report.acknowledged);
    out += fmt::format("  outcome unknown       {} (COMMIT was on its way): {} stored, {} not; both are right\n",
                       report.unknown, report.unknown_stored, report.unknown_absent);
    out += fmt::format("  refused               {} (broken off before COMMIT)\n", report.refused);
    if (report.foreign != 0) out += fmt::format("  WRONG                 {} rows that nobody wrote\n", report.foreign);
    for (std::size_t i = 0; i < std::min<std::size_t>(report.lost_numbers.size(), 10); ++i)
        out += fmt::format("  LOST                  write {}\n", report.lost_numbers[i]);
    for (auto const& reason : report.not_whole) out += fmt::format("  not whole             {}\n", reason);
    if (!report.schema_dropped)
        out += "  left behind           the schema pgkeel_drill: DROP SCHEMA pgkeel_drill CASCADE on the primary\n";
    if (!report.history.empty()) out += "\nWhat the cluster's history says\n";
    for (auto const& line : report.history) out += "  " + line + "\n";
    out += fmt::format("\nVerdict: {}.\n", report.sentence);
    return out;
}

}  // namespace keel::cli::drill
