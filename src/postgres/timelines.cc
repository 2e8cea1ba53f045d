#include "postgres/timelines.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "runtime/files.h"

namespace keel::postgres {

namespace {

constexpr std::string_view kClaim = "# pgkeel: claimed, never used";

std::string wal_path(std::string const& data, std::string const& file) { return data + "/pg_wal/" + file; }

std::string_view next_field(std::string_view& line) {
    auto const from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) return line = {};
    auto const end = std::min(line.find_first_of(" \t\r", from), line.size());
    auto const field = line.substr(from, end - from);
    line.remove_prefix(end);
    return field;
}

}  // namespace

std::string history_name(Timeline timeline) { return fmt::format("{:08X}.history", timeline.value); }

std::string segment_name(Timeline timeline, std::uint64_t number, std::uint64_t segment_bytes) {
    std::uint64_t const per_file = (std::uint64_t{1} << 32U) / segment_bytes;
    return fmt::format("{:08X}{:08X}{:08X}", timeline.value, number / per_file, number % per_file);
}

Result<History> parse_history(std::string_view text) {
    History out;
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        auto const number = next_field(line);
        if (number.empty() || number.starts_with('#')) continue;
        Ancestor one;
        auto const [stop, error] = std::from_chars(number.data(), number.data() + number.size(), one.timeline.value);
        auto const until = parse_lsn(next_field(line));
        if (error != std::errc{} || stop != number.data() + number.size() || !until) {
            return fail(Code::corrupt, "a timeline history file has a line that is not \"timeline  LSN  reason\"");
        }
        one.until = *until;
        if (!out.empty() && one.timeline <= out.back().timeline) {
            return fail(Code::corrupt, "a timeline history file lists timelines out of order");
        }
        out.push_back(one);
    }
    return out;
}

std::string claim_text(Timeline timeline) {
    return fmt::format("{}: timeline {} was planned by an election that did not last\n", kClaim, timeline.value);
}

bool is_claim(std::string_view text) { return text.starts_with(kClaim); }

Timeline owner_of(Timeline newest, History const& history, Lsn end) {
    for (auto const& ancestor : history) {
        if (end <= ancestor.until) return ancestor.timeline;
    }
    return newest;
}

Lsn fork_of(Timeline a, History const& history_a, Timeline b, History const& history_b) {
    Lsn const endless{~std::uint64_t{0}};
    auto full = [&](Timeline last, History history) {
        history.push_back({last, endless});
        return history;
    };
    History const left = full(a, history_a);
    History const right = full(b, history_b);
    Lsn common;
    for (std::size_t i = 0; i < left.size() && i < right.size() && left[i].timeline == right[i].timeline; ++i) {
        common = std::min(left[i].until, right[i].until);
        if (left[i].until != right[i].until) break;
    }
    return common;
}

Result<History> read_history(std::string const& data, Timeline timeline) {
    if (timeline.value <= 1) return History{};
    KEEL_TRY(auto const text, runtime::read_file(wal_path(data, history_name(timeline)), 1U << 20U));
    return parse_history(text);
}

std::set<Timeline> history_files(std::string const& data) {
    std::set<Timeline> out;
    std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })> const list(::opendir((data + "/pg_wal").c_str()));
    if (!list) return out;
    while (auto const* entry = ::readdir(list.get())) {
        std::string_view const name = entry->d_name;
        Timeline one;
        if (name.size() != 16 || !name.ends_with(".history")) continue;
        auto const [end, error] = std::from_chars(name.data(), name.data() + 8, one.value, 16);
        if (error == std::errc{} && end == name.data() + 8) out.insert(one);
    }
    return out;
}

Timeline timeline_on_disk(std::string const& data, Lsn end, std::uint64_t segment_bytes, Timeline at_least) {
    if (end.value == 0 || segment_bytes == 0) return at_least;
    std::uint64_t const number = (end.value - 1) / segment_bytes;
    auto const files = history_files(data);
    for (auto const timeline : std::vector(files.rbegin(), files.rend())) {
        if (timeline <= at_least) break;
        auto const history = read_history(data, timeline);
        if (!history || history->empty() || end <= history->back().until) continue;
        if (::access(wal_path(data, segment_name(timeline, number, segment_bytes)).c_str(), F_OK) == 0) return timeline;
    }
    // `at_least` itself may already be a timeline of which there is no byte before `end`.
    if (auto const history = read_history(data, at_least)) return owner_of(at_least, *history, end);
    return at_least;
}

std::vector<Timeline> foreign_histories(std::string const& data, Timeline current, Lsn end) {
    std::vector<Timeline> out;
    for (auto const timeline : history_files(data)) {
        if (timeline <= current) continue;
        auto const text = runtime::read_file(wal_path(data, history_name(timeline)), 1U << 20U);
        if (text && is_claim(*text)) continue;
        auto const history = text ? parse_history(*text) : Result<History>{};
        bool const here = history && !history->empty() && history->back().until == end &&
                          owner_of(timeline, *history, end) == current;
        if (!here) out.push_back(timeline);
    }
    return out;
}

Result<std::vector<Timeline>> claim_below(std::string const& data, Timeline current, Timeline target) {
    if (target <= current) {
        return fail(Code::invalid,
                    fmt::format("cannot promote to timeline {}: this node is on {}", target.value, current.value));
    }
    auto const files = history_files(data);
    for (auto taken = files.lower_bound(target); taken != files.end(); ++taken) {
        // A real one belongs to a timeline that exists somewhere. A claim of ours is only a leftover.
        auto const text = runtime::read_file(wal_path(data, history_name(*taken)), 1U << 20U);
        if (!text || !is_claim(*text)) {
            return fail(Code::conflict,
                        fmt::format("cannot promote to timeline {}: {} already exists in pg_wal", target.value,
                                    history_name(*taken)),
                        "rewind or clone this node");
        }
        ::unlink(wal_path(data, history_name(*taken)).c_str());
    }
    std::vector<Timeline> written;
    for (Timeline one{2}; one < target; ++one.value) {
        // A standby that fetches the histories between its timeline and ours gets all of these: none may be missing.
        if (files.contains(one) || one == current) continue;
        if (auto done = runtime::write_atomically(wal_path(data, history_name(one)), claim_text(one), 0600); !done) {
            withdraw_claims(data, written);
            return fail(done.error());
        }
        written.push_back(one);
    }
    return written;
}

void withdraw_claims(std::string const& data, std::vector<Timeline> const& claims) {
    for (auto const& one : claims) ::unlink(wal_path(data, history_name(one)).c_str());
}

void drop_dangling_claims(std::string const& data) {
    auto const files = history_files(data);
    for (auto const timeline : std::vector(files.rbegin(), files.rend())) {
        auto const path = wal_path(data, history_name(timeline));
        auto const text = runtime::read_file(path, 1U << 20U);
        if (!text || !is_claim(*text)) break;
        ::unlink(path.c_str());
    }
}

}  // namespace keel::postgres
