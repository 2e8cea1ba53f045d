#include "availability/outages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "availability/nines.h"

namespace keel::availability {

namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::size_t kShownMax = 200;
constexpr std::string_view kPhases = "change of leader: ";

struct Measured {
    std::int64_t detect_ms = 0, sum_ms = 0;
};

// "detect 612 ms, fence 3 ms, ...".
std::optional<Measured> parse_phases(std::string_view text) {
    Measured out;
    while (!text.empty()) {
        auto const end = std::min(text.find(", "), text.size());
        auto const part = text.substr(0, end);
        auto const space = part.find(' ');
        if (space == std::string_view::npos || !part.ends_with(" ms")) return {};
        std::int64_t ms = 0;
        auto const digits = part.substr(space + 1, part.size() - space - 4);
        auto const [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ms);
        if (error != std::errc{} || last != digits.data() + digits.size() || ms < 0) return {};
        if (part.starts_with("detect ")) out.detect_ms = ms;
        out.sum_ms += ms;
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return out;
}

std::int64_t month_begin(std::chrono::year_month month) {
    auto const day = std::chrono::sys_days(month / std::chrono::day(1));
    return std::chrono::duration_cast<std::chrono::milliseconds>(day.time_since_epoch()).count();
}

std::chrono::year_month month_of(std::int64_t unix_ms) {
    auto const day = std::chrono::floor<std::chrono::days>(
        std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(unix_ms)));
    std::chrono::year_month_day const date(day);
    return date.year() / date.month();
}

}  // namespace

void Outages::good(std::int64_t unix_ms) {
    if (revoked_ms_ == 0) last_good_ms_ = std::max(last_good_ms_, unix_ms);
}

void Outages::event(cluster::HistoryEvent const& event) {
    if (since_ms_ == 0) since_ms_ = event.unix_ms;
    if (event.kind == "switchover") asked_ = event.text.find("taken back") == std::string::npos;
    if (event.kind == "handover") asked_ = false;  // refused
    if (event.kind == "failover" || event.kind == "stop") asked_ = true;
    if (event.kind == "leader" && event.epoch.value > reign_) return begin_reign(event);
    if (event.kind == "revoke" && event.epoch.value > reign_ && reign_ != 0) {
        if (revoked_ms_ == 0) why_ = event.text;
        revoked_ms_ = event.unix_ms;
        return;
    }
    if (event.kind == "phases" && event.epoch.value == reign_) refine(event);
    // Whatever a leader writes while it reigns says that it reigns.
    if (event.epoch.value == reign_ && event.node == leader_) good(event.unix_ms);
}

void Outages::begin_reign(cluster::HistoryEvent const& event) {
    bool const first = reign_ == 0;
    reign_ = event.epoch.value;
    leader_ = event.node;
    if (!first) {
        Outage outage;
        outage.until_ms = event.unix_ms;
        outage.from_ms = last_good_ms_ == 0 ? (revoked_ms_ == 0 ? event.unix_ms : revoked_ms_) : last_good_ms_;
        outage.from_ms = std::min(outage.from_ms, outage.until_ms);
        outage.epoch = reign_;
        outage.cause = asked_ ? Cause::switchover : Cause::failover;
        outage.why = why_;
        all_.push_back(std::move(outage));
        if (all_.size() > kMax) all_.erase(all_.begin());
    }
    asked_ = false;
    why_.clear();
    revoked_ms_ = 0;
    last_good_ms_ = event.unix_ms;
}

void Outages::refine(cluster::HistoryEvent const& event) {
    if (all_.empty() || all_.back().epoch != reign_ || !event.text.starts_with(kPhases)) return;
    auto const text = std::string_view(event.text).substr(kPhases.size());
    auto const measured = parse_phases(text);
    if (!measured) return;
    auto& outage = all_.back();
    outage.phases = text;
    // A winner that had not heard the old leader in this life cannot say when it fell silent.
    if (measured->detect_ms == 0) return;
    auto const from = outage.until_ms - measured->sum_ms;
    // One that had been cut off from the others missed the old leader for longer than it was gone.
    outage.from_ms = std::min(std::max(outage.from_ms, from), outage.until_ms);
}

Account account(std::vector<Outage> const& outages, std::int64_t from_ms, std::int64_t until_ms) {
    Account out;
    out.from_ms = from_ms;
    out.until_ms = std::max(from_ms, until_ms);
    std::int64_t down = 0;
    for (auto const& outage : outages) {
        auto const begin = std::max(outage.from_ms, from_ms), end = std::min(outage.until_ms, until_ms);
        if (end < begin || (end == begin && outage.ms() > 0)) continue;
        down += end - begin;
        ++(outage.cause == Cause::failover ? out.failovers : out.switchovers);
        out.longest_seconds = std::max(out.longest_seconds, static_cast<double>(end - begin) / 1000);
    }
    auto const span = static_cast<double>(out.until_ms - from_ms) / 1000;
    out.down_seconds = static_cast<double>(down) / 1000;
    out.availability = span > 0 ? std::clamp(1 - out.down_seconds / span, 0.0, 1.0) : 1;
    out.nines = nines_of(out.availability);
    if (auto const count = out.failovers + out.switchovers; count > 0) {
        out.mtbf_seconds = std::max(0.0, span - out.down_seconds) / count;
        out.mttr_seconds = out.down_seconds / count;
    }
    return out;
}

Ledger ledger_of(Outages const& outages, std::optional<std::int64_t> down_since_ms, std::int64_t now_ms) {
    Ledger out;
    out.unix_ms = now_ms;
    out.since_ms = outages.since_ms() == 0 ? now_ms : std::min(outages.since_ms(), now_ms);
    out.down_since_ms = down_since_ms;
    auto all = outages.all();
    if (down_since_ms) {
        Outage now;
        now.from_ms = std::min(*down_since_ms, now_ms);
        now.until_ms = now_ms;
        now.why = "it goes on";
        all.push_back(std::move(now));
    }
    auto const known = [&](std::int64_t from) { return std::max(from, out.since_ms); };
    out.days30 = account(all, known(now_ms - 30 * kDayMs), now_ms);
    out.year = account(all, known(now_ms - 366 * kDayMs), now_ms);
    auto const this_month = month_of(now_ms);
    auto month = std::max(month_of(out.since_ms), this_month - std::chrono::months(12));
    for (; month <= this_month; month += std::chrono::months(1))
        out.months.push_back(
            account(all, known(month_begin(month)), std::min(month_begin(month + std::chrono::months(1)), now_ms)));
    for (auto const& outage : all)
        if (outage.until_ms >= out.year.from_ms) out.outages.push_back(outage);
    if (out.outages.size() > kShownMax)
        out.outages.erase(out.outages.begin(), out.outages.end() - static_cast<std::ptrdiff_t>(kShownMax));
    return out;
}

}  // namespace keel::availability
