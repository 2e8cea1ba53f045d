#include "cli/demo_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::cli::demo {

namespace {

// The victim's clients notice at the kill, so an outage that began long before it is none of this failover.
std::string outage_text(std::vector<Instant> const& moments, Instant killed) {
    auto const outage = longest_outage(moments, killed);
    if (outage.length() == Duration{}) return "no answer after the kill";
    return fmt::format("{} ms", to_ms(outage.length()));
}

std::string story(std::vector<Moment> const& moments, Instant killed) {
    std::string out;
    for (auto const& moment : moments) {
        if (moment.at >= killed) {
            out += fmt::format("  {:>8.3f} s  {:<5} {}\n", to_seconds(moment.at - killed), moment.who, moment.text);
        }
    }
    return out;
}

std::string orders(Findings const& findings) {
    auto const& audit = findings.audit;
    auto const unknown = audit.unknown_stored + audit.unknown_absent;
    std::string out = fmt::format("  acknowledged writes   {} checked one by one on {}, lost: {}\n", audit.acknowledged,
                                  findings.successor, audit.lost.size());
    out += fmt::format("  outcome unknown       {} (COMMIT was on its way): {} stored, {} not; both are right\n",
                       unknown, audit.unknown_stored, audit.unknown_absent);
    out += fmt::format("  refused               {} (broken off before COMMIT)\n", findings.ledger.refused);
    if (audit.foreign != 0) out += fmt::format("  WRONG                 {} orders that nobody placed\n", audit.foreign);
    if (audit.stock_difference != 0)
        out += fmt::format("  WRONG                 stock and orders differ by {}\n", audit.stock_difference);
    for (std::size_t i = 0; i < std::min<std::size_t>(audit.lost.size(), 10); ++i)
        out += fmt::format("  LOST                  order {}\n", audit.lost[i]);
    return out;
}

}  // namespace

std::string render(Findings const& findings, std::vector<Moment> const& moments) {
    std::string out = "\n  What happened\n" + story(moments, findings.killed) + "\n  What it cost\n";
    out += fmt::format("  killed                {}, {} processes, SIGKILL; {} took over\n", findings.victim,
                       findings.processes_killed, findings.successor);
    out += fmt::format("  writes interrupted    {}\n", outage_text(findings.ledger.write_moments, findings.killed));
    out += fmt::format("  reads interrupted     {}\n", outage_text(findings.ledger.read_moments, findings.killed));
    out += orders(findings);
    if (findings.whole) {
        out += fmt::format("  redundancy restored   {:.1f} s after {} was started again\n",
                           to_seconds(*findings.whole - *findings.restarted), findings.victim);
    } else {
        out += fmt::format("  WRONG                 {} did not come back into the sync set\n", findings.victim);
    }
    if (!findings.explanation.empty()) out += "\n  pgkeel explain\n" + findings.explanation + "\n";
    return out;
}

}  // namespace keel::cli::demo
