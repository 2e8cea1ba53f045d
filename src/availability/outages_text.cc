// The account of outages as text for terminals.
#include <fmt/format.h>

#include "availability/nines.h"
#include "availability/outages.h"
#include "cluster/status.h"

namespace keel::availability {

namespace {

constexpr std::size_t kOutagesShown = 20;

std::string date(std::int64_t unix_ms) { return cluster::utc_text(unix_ms).substr(0, 10); }

std::string harmless(std::string_view text) {
    std::string out;
    for (char const c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    return out;
}

std::string summary(Account const& of) {
    std::string out =
        fmt::format("{} ({:.1f} nines), down {}", percent_text(of.availability), of.nines, span_text(of.down_seconds));
    auto const count = of.failovers + of.switchovers;
    if (count == 0) return out + ", no outage";
    out += fmt::format(" in {} failovers and {} switchovers", of.failovers, of.switchovers);
    return out + fmt::format("; MTBF {}, MTTR {}, longest {}", span_text(*of.mtbf_seconds), span_text(*of.mttr_seconds),
                             span_text(of.longest_seconds));
}

// Of a whole calendar month, whatever is known of it.
std::string month_line(Account const& of, double target) {
    double const budget = (1 - target) * kMonthHours * 3600;
    double const left = budget - of.down_seconds;
    return fmt::format("  {}  {:>14}  {:>9}  {:>9}  {:>11}\n", date(of.from_ms).substr(0, 7),
                       percent_text(of.availability), of.failovers + of.switchovers, span_text(of.down_seconds),
                       left >= 0 ? span_text(left) : "-" + span_text(-left));
}

}  // namespace

std::string render(Ledger const& ledger, double target) {
    std::string out;
    if (ledger.down_since_ms)
        out += fmt::format("Writes are not possible, for {}.\n\n",
                           span_text(static_cast<double>(ledger.unix_ms - *ledger.down_since_ms) / 1000));
    out += fmt::format("  30 days  {}\n  a year   {}\n  known    since {}\n", summary(ledger.days30),
                       summary(ledger.year), cluster::utc_text(ledger.since_ms).substr(0, 19) + "Z");
    out += fmt::format("\n  month    {:>14}  {:>9}  {:>9}  budget left of {} a month\n", "writes", "outages", "down",
                       span_text((1 - target) * kMonthHours * 3600));
    for (auto const& month : ledger.months) out += month_line(month, target);
    if (ledger.outages.empty()) return out;
    out += '\n';
    auto const shown = std::min(kOutagesShown, ledger.outages.size());
    for (auto at = ledger.outages.end() - static_cast<std::ptrdiff_t>(shown); at != ledger.outages.end(); ++at) {
        out += fmt::format("  {}  {:>8}  {:<10}  {}{}\n", cluster::utc_text(at->from_ms),
                           span_text(static_cast<double>(at->ms()) / 1000),
                           boost::describe::enum_to_string(at->cause, "?"), harmless(at->why),
                           at->phases.empty() ? "" : " (" + harmless(at->phases) + ")");
    }
    if (shown < ledger.outages.size())
        out += fmt::format("  and {} before these: --json\n", ledger.outages.size() - shown);
    return out;
}

}  // namespace keel::availability
