#include "archive/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

namespace keel::archive {

namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kSkewMostMs = 300'000;        // between the clocks of two machines that are right
constexpr std::uint32_t kSilenceMostDays = 7;        // of a database that nobody writes to, with a backup each week
using Reasons = std::map<std::string, std::string>;  // by label

std::vector<Backup> fulls_of(std::vector<Backup> all) {
    std::erase_if(all, [](Backup const& one) { return one.kind != BackupKind::full; });
    return all;
}

// `usable` oldest first. The first reason stays.
Reasons reasons_of(std::vector<Backup> const& usable, Retention const& retention, std::int64_t now_unix_ms) {
    Reasons out;
    auto const fulls = fulls_of(usable);
    auto const count = std::min<std::size_t>(retention.fulls, fulls.size());
    for (auto const& one : std::span(fulls).last(count))
        out.emplace(one.label, fmt::format("one of the newest {}", retention.fulls));
    if (retention.days == 0) return out;
    auto const from = now_unix_ms - retention.days * kDayMs;
    Backup const* before = nullptr;
    for (auto const& one : usable) {
        if (one.ended_unix_ms > from)
            out.emplace(one.label, fmt::format("of the last {} days", retention.days));
        else if (before == nullptr || before->end < one.end)
            before = &one;
    }
    // Without it the days before the first one inside could not be restored.
    if (before != nullptr) out.emplace(before->label, fmt::format("the last before the {} days", retention.days));
    return out;
}

// What is newer than something kept is never worth less, even when it cannot be restored now.
void add_newer(std::vector<Backup> const& all, std::vector<Backup> const& usable, Reasons& reasons) {
    auto const oldest = std::ranges::find_if(all, [&](Backup const& one) { return reasons.contains(one.label); });
    for (auto one = oldest; one != all.end(); ++one) {
        bool const good = std::ranges::find(usable, one->label, &Backup::label) != usable.end();
        reasons.emplace(one->label, good ? "newer than one that is kept"
                                         : "newer than one that is kept, but it cannot be restored now");
    }
}

// What an incremental one that stays is built on.
void add_chains(std::vector<Backup> const& all, std::vector<Hold> const& holds, Reasons& reasons) {
    auto const add = [&](std::string const& label, std::vector<std::string> const& chain) {
        for (auto const& link : chain) reasons.emplace(link, label + " is built on it");
    };
    for (auto const& one : all)
        if (reasons.contains(one.label)) add(one.label, one.chain);
    for (auto const& hold : holds) add(hold.label, hold.chain);
}

Status check(Stock const& stock, Retention const& retention) {
    if (retention.fulls == 0 && retention.days == 0)
        return fail(Code::invalid, "a retention that keeps no backup",
                    "keep at least one: --keep-full 7, --keep-days 30");
    for (auto const& one : stock.backups) {
        if (one.segment_bytes != stock.backups.front().segment_bytes)
            return fail(Code::conflict, "the backups have WAL segments of different sizes",
                        "remove those of the size that is no longer in use by hand");
    }
    return {};
}

}  // namespace

// Whoever counts days by a wrong clock removes what should stay.
Status check_days(ClockCheck const& clock, std::int64_t now_unix_ms) {
    auto const newest = time_text(clock.newest_unix_ms * 1000), now = time_text(now_unix_ms * 1000);
    if (clock.behind)
        return fail(Code::conflict,
                    fmt::format("this machine's clock says {}, and the repository has something of {}", now, newest),
                    "set the clocks of all nodes right; --keep-full alone does not look at them");
    if (clock.ahead)
        return fail(Code::conflict,
                    fmt::format("this machine's clock says {}, and the newest in the repository is of {}", now, newest),
                    "if the clock is right, take a backup first (pgkeel backup create), and see why none was taken; "
                    "--keep-full alone does not look at the clock");
    return {};
}

ClockCheck check_clock(Stock const& stock, Retention const& retention, std::int64_t now_unix_ms) {
    ClockCheck out{.newest_unix_ms = stock.last_commit_unix_ms};
    for (auto const& one : stock.backups) out.newest_unix_ms = std::max(out.newest_unix_ms, one.ended_unix_ms);
    auto const days = retention.days == 0 ? kSilenceMostDays : std::min(retention.days, kSilenceMostDays);
    out.behind = now_unix_ms + kSkewMostMs < out.newest_unix_ms;
    out.ahead = out.newest_unix_ms != 0 && out.newest_unix_ms + days * kDayMs + kSkewMostMs < now_unix_ms;
    return out;
}

bool holds(Hold const& hold, std::string const& label) {
    return hold.label == label || std::ranges::find(hold.chain, label) != hold.chain.end();
}

bool is_over(Hold const& hold, ClockCheck const& clock, std::int64_t now_unix_ms) {
    return hold.until_unix_ms != 0 && hold.until_unix_ms <= now_unix_ms && !clock.ahead;
}

Result<Expiry> plan_expiry(Stock const& stock, Retention const& retention, std::int64_t now_unix_ms) {
    KEEL_CHECK(check(stock, retention));
    auto const clock = check_clock(stock, retention, now_unix_ms);
    if (retention.days > 0) KEEL_CHECK(check_days(clock, now_unix_ms));
    Expiry out;
    out.clock = clock;
    auto all = stock.backups;
    std::ranges::sort(all, {}, [](Backup const& one) { return std::pair(one.end, one.label); });
    std::vector<Backup> usable;
    for (auto const& one : all)
        if (range_of(one, stock.ranges, stock.lineage) != nullptr && missing_link(one, all).empty())
            usable.push_back(one);
    if (usable.empty()) {
        for (auto const& one : all) out.kept.push_back({one, "no backup can be restored, so nothing goes"});
        return out;
    }
    auto reasons = reasons_of(usable, retention, now_unix_ms);
    add_newer(all, usable, reasons);
    if (fulls_of(usable).size() < retention.fulls)  // what cannot be restored may yet be mended
        for (auto const& one : all)
            reasons.emplace(one.label, fmt::format("fewer than {} can be restored", retention.fulls));
    auto holds = stock.holds;
    std::erase_if(holds, [&](Hold const& one) { return is_over(one, clock, now_unix_ms); });
    std::vector<Lsn> starts;
    for (auto const& hold : holds) {
        reasons.emplace(hold.label, hold.why);
        starts.push_back(hold.start);
    }
    add_chains(all, holds, reasons);
    for (auto const& one : all) {
        auto const why = reasons.find(one.label);
        if (why == reasons.end()) {
            out.backups.push_back(one);
        } else {
            out.kept.push_back({one, why->second});
            starts.push_back(one.start);
        }
    }
    // Cut short, it leaves none without what it is built on.
    std::ranges::sort(out.backups, {},
                      [](Backup const& one) { return std::tuple(-std::ssize(one.chain), one.end, one.label); });
    auto const size = usable.front().segment_bytes;
    auto const first = std::ranges::min(starts).value / size;
    out.wal_from = Lsn{first * size};
    auto const before = [&](SegmentId const& id) { return id.number < first; };
    std::ranges::copy_if(stock.segments, std::back_inserter(out.segments), before);
    std::ranges::copy_if(stock.tails, std::back_inserter(out.tails), before);
    for (auto* each : {&out.segments, &out.tails})
        std::ranges::sort(*each, {}, [](SegmentId const& id) { return std::pair(id.number, id.timeline); });
    return out;
}

}  // namespace keel::archive
