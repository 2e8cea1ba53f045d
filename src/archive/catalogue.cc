#include "archive/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

namespace keel::archive {

namespace {

// Digits of fixed places: "2026-11-26 03:00:00".
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    int out = 0;
    if (at + count > text.size()) return std::nullopt;
    auto const [end, error] = std::from_chars(text.data() + at, text.data() + at + count, out);
    if (error != std::errc{} || end != text.data() + at + count || text[at] == '-') return std::nullopt;
    return out;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
    if (text.ends_with('Z')) text.remove_suffix(1);
    if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') ||
        text[13] != ':' || text[16] != ':')
        return std::nullopt;
    auto const year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2),
               hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    std::chrono::year_month_day const date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    std::int64_t micros = 0;
    if (text.size() > 19) {
        if (text[19] != '.' || text.size() < 21 || text.size() > 26) return std::nullopt;
        auto const part = digits(text, 20, text.size() - 20);
        if (!part) return std::nullopt;
        micros = *part;
        for (std::size_t i = text.size() - 20; i < 6; ++i) micros *= 10;
    }
    std::int64_t const days = std::chrono::sys_days(date).time_since_epoch().count();
    return ((days * 24 + *hour) * 60 + *minute) * 60'000'000 + *second * std::int64_t{1'000'000} + micros;
}

Error nothing_there(std::string text, std::string mend) { return {Code::not_found, std::move(text), std::move(mend)}; }

}  // namespace

bool is_system_id(std::string_view name) {
    return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_label_of(std::string_view label, std::string_view node) {
    constexpr std::size_t kStamp = 16;  // of postgres::utc_stamp()
    return label.size() == kStamp + 1 + node.size() && label[kStamp] == '-' && label.ends_with(node);
}

Result<Backup> parse_backup(std::string_view text) {
    KEEL_TRY(auto out, json::read<Backup>(text));
    if (out.label.empty() || out.label.contains('/') || out.label.starts_with('.') ||
        !is_segment_bytes(out.segment_bytes) || out.end < out.start || out.timeline.value == 0)
        return fail(Code::corrupt, "a backup's description does not describe a backup");
    // Those of older versions do not tell it, and there it was the same.
    if (out.end_timeline.value == 0) out.end_timeline = out.timeline;
    if (out.chain.empty() != (out.kind == BackupKind::full) ||
        std::ranges::find(out.chain, out.label) != out.chain.end())
        return fail(Code::corrupt, "a backup's description does not say what it is built on");
    return out;
}

std::string missing_link(Backup const& backup, std::vector<Backup> const& all) {
    for (auto const& label : backup.chain)
        if (std::ranges::find(all, label, &Backup::label) == all.end()) return label;
    return {};
}

Timeline owner_of_segment(Lineage const& lineage, std::uint64_t number, std::uint64_t segment_bytes) {
    return postgres::owner_of(lineage.timeline, lineage.history, Lsn{(number + 1) * segment_bytes});
}

std::vector<Range> ranges_of(Holdings const& holdings, Lineage const& lineage) {
    auto const bytes = holdings.segment_bytes;
    std::set<std::uint64_t> numbers;
    for (auto const& id : holdings.segments) {
        if (owner_of_segment(lineage, id.number, bytes) == id.timeline) numbers.insert(id.number);
    }
    std::vector<Range> out;
    auto const add = [&](Lsn from, Lsn to) {
        if (!out.empty() && out.back().to == from)
            out.back().to = to;
        else
            out.push_back({from, to});
    };
    for (auto const number : numbers) add(Lsn{number * bytes}, Lsn{(number + 1) * bytes});
    if (holdings.tail) {
        auto const& [id, size] = *holdings.tail;
        bool const newest = numbers.empty() || id.number > *numbers.rbegin();
        if (newest && size > 0 && owner_of_segment(lineage, id.number, bytes) == id.timeline)
            add(Lsn{id.number * bytes}, Lsn{id.number * bytes + size});
    }
    return out;
}

bool is_of(Backup const& backup, Lineage const& lineage) {
    auto const owner = [&](Lsn end) { return postgres::owner_of(lineage.timeline, lineage.history, end); };
    return owner(Lsn{backup.start.value + 1}) == backup.timeline && owner(backup.end) == backup.end_timeline;
}

bool is_left_behind(Backup const& backup, Lineage const& newest) {
    return newest.timeline >= backup.end_timeline && !is_of(backup, newest);
}

Range const* range_of(Backup const& backup, std::vector<Range> const& ranges, Lineage const& lineage) {
    if (!is_of(backup, lineage)) return nullptr;
    auto const found =
        std::ranges::find_if(ranges, [&](Range const& r) { return r.from <= backup.start && backup.end <= r.to; });
    return found == ranges.end() ? nullptr : &*found;
}

std::vector<Timeline> timelines_of(Backup const& backup, std::vector<Lineage> const& lineages, std::uint64_t number) {
    std::vector<Timeline> out;
    auto const add = [&](Timeline one) {
        if (std::ranges::find(out, one) == out.end()) out.push_back(one);
    };
    Lsn const end{std::min(backup.end.value, (number + 1) * backup.segment_bytes)};
    auto newest_first = lineages;
    std::ranges::sort(newest_first, std::ranges::greater(), &Lineage::timeline);
    for (auto const& one : newest_first) {
        if (!is_of(backup, one)) continue;
        add(owner_of_segment(one, number, backup.segment_bytes));
        add(postgres::owner_of(one.timeline, one.history, end));
    }
    if (out.empty()) add(backup.timeline);
    return out;
}

std::vector<Gap> gaps_of(std::vector<Backup> const& backups, std::vector<Range> const& ranges, Lineage const& lineage) {
    std::vector<Gap> out;
    for (auto const& one : backups) {
        if (!is_of(one, lineage)) continue;
        Lsn here = one.start;  // everything from the start to here is there
        for (auto const& range : ranges) {
            if (range.to <= here) continue;
            if (here < range.from) out.push_back({one.label, {here, range.from}});
            here = range.to;
        }
        if (here < one.end) out.push_back({one.label, {here, one.end}});
    }
    return out;
}

Result<Target> parse_target(std::string_view text) {
    if (text == "latest") return Target{};
    if (auto const lsn = parse_lsn(text)) return Target{*lsn, {}};
    if (auto const time = parse_time(text)) return Target{{}, *time};
    return fail(Code::invalid, fmt::format("\"{}\" is no target", text),
                "latest, an LSN as 0/3000148, or a time in UTC as \"2026-11-26 03:00:00Z\"");
}

std::string time_text(std::int64_t unix_us) {
    auto const day_us = std::int64_t{86'400'000'000};
    auto const days = (unix_us >= 0 ? unix_us : unix_us - day_us + 1) / day_us;
    auto const rest = unix_us - days * day_us;
    std::chrono::year_month_day const date{std::chrono::sys_days(std::chrono::days(days))};
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), rest / 3'600'000'000,
                       rest / 60'000'000 % 60, rest / 1'000'000 % 60, rest % 1'000'000);
}

Result<Plan> plan_restore(std::vector<Backup> const& backups, std::vector<Range> const& ranges, Lineage const& lineage,
                          Records const& last, Target const& target) {
    if (backups.empty())
        return fail(nothing_there("there is no complete backup in the repository", "pgkeel backup create"));
    if (ranges.empty() || !last.last)
        return fail(nothing_there("there is no WAL in the repository", "look for the archiver in the node's log"));
    Target wanted = target;
    if (!wanted.lsn && !wanted.time_us) wanted.lsn = last.last;
    Backup const* best = nullptr;
    Range wal;
    std::string possible;
    for (auto const& one : backups) {
        auto const* range = range_of(one, ranges, lineage);
        if (range == nullptr) continue;
        if (!missing_link(one, backups).empty()) continue;  // another backup may do
        bool const open_end = *range == ranges.back();
        Lsn const most = open_end ? *last.last : Lsn{range->to.value - 1};
        // Where a backup ends is where a record does: a server that stops behind the last record is past that,
        // although the record began before it. Of an idle server there is no later one.
        auto const least = open_end ? std::min(one.end, most) : one.end;
        possible += fmt::format("{}{} to {}", possible.empty() ? "" : ", ", to_string(least), to_string(most));
        auto const ended_us = one.ended_unix_ms * 1000;
        // Only a later commit shows the server that a time is there.
        bool const timed = open_end && last.last_commit_us && ended_us < *last.last_commit_us;
        if (timed) possible += fmt::format(" ({} to before {})", time_text(ended_us), time_text(*last.last_commit_us));
        bool fits = false;
        if (wanted.lsn) fits = least <= *wanted.lsn && *wanted.lsn <= most;
        if (wanted.time_us) fits = timed && ended_us <= *wanted.time_us && *wanted.time_us < *last.last_commit_us;
        if (!fits || (best != nullptr && best->end >= one.end)) continue;
        best = &one;
        wal = {one.start, range->to};
    }
    if (best == nullptr) {
        auto const what = wanted.lsn ? to_string(*wanted.lsn) : time_text(*wanted.time_us);
        return fail(
            nothing_there(fmt::format("{} cannot be reached from any backup without a hole in the WAL", what),
                          possible.empty() ? "take a new backup: pgkeel backup create" : "possible are: " + possible));
    }
    return Plan{*best, lineage, wanted, wal};
}

}  // namespace keel::archive
