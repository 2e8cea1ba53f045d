#include "runtime/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/assert.h"
#include "runtime/files.h"

namespace keel::runtime {

namespace {

constexpr std::int64_t kMonthMs = 31LL * 86'400'000;
// A clock that was wrong by less than this hides no line.
constexpr std::int64_t kClockSlackMs = 86'400'000;
constexpr std::size_t kSumDigits = 16;

// FNV-1a: against torn and rotten lines, not against anybody.
std::uint64_t checksum(std::string_view text) {
    std::uint64_t sum = 0xcbf29ce484222325ULL;
    for (char const c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return sum;
}

std::string sealed(JournalLine const& line) {
    auto const body = fmt::format("{} {}", line.unix_ms, line.text);
    return fmt::format("{:016x} {}\n", checksum(body), body);
}

// Of a line without its newline.
std::optional<JournalLine> unsealed(std::string_view line) {
    if (line.size() < kSumDigits + 2 || line[kSumDigits] != ' ') return {};
    std::uint64_t sum = 0;
    auto const digits = std::from_chars(line.data(), line.data() + kSumDigits, sum, 16);
    auto const body = line.substr(kSumDigits + 1);
    if (digits.ptr != line.data() + kSumDigits || sum != checksum(body)) return {};
    JournalLine out;
    auto const [end, error] = std::from_chars(body.data(), body.data() + body.size(), out.unix_ms);
    if (error != std::errc{} || end == body.data() + body.size() || *end != ' ') return {};
    out.text = std::string(end + 1, body.data() + body.size());
    return out;
}

// Calls `use(line, offset behind it)` for each sound one.
template <class Use>
void each_line(std::string_view bytes, Use use) {
    for (std::size_t from = 0; from < bytes.size();) {
        auto const end = bytes.find('\n', from);
        if (end == std::string_view::npos) return;
        if (auto line = unsealed(bytes.substr(from, end - from))) use(*std::move(line), end + 1);
        from = end + 1;
    }
}

Status write_behind(int file, std::string_view bytes, std::string const& path) {
    while (!bytes.empty()) {
        ssize_t const written = ::write(file, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(system_error(errno, path));
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fdatasync(file) != 0) return fail(system_error(errno, path + ": fdatasync"));
    return {};
}

}  // namespace

std::string Journal::path(Segment const& segment) const {
    return fmt::format("{}/{}.{:015}.log", directory_, name_, segment.begun_ms);
}

Result<Journal> Journal::open(std::string directory, std::string name, JournalLimits limits) {
    KEEL_CHECK(ensure_directory(directory, 0700));
    Journal out(std::move(directory), std::move(name), limits);
    KEEL_CHECK(out.find_segments());
    KEEL_CHECK(out.cut_torn_tail());
    return out;
}

Status Journal::find_segments() {
    std::error_code failed;
    for (auto const& entry : std::filesystem::directory_iterator(directory_, failed)) {
        auto const file = entry.path().filename().string();
        if (!file.starts_with(name_ + ".") || !file.ends_with(".log")) continue;
        Segment segment;
        auto const digits = std::string_view(file).substr(name_.size() + 1, file.size() - name_.size() - 5);
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), segment.begun_ms);
        if (error != std::errc{} || end != digits.data() + digits.size() || path(segment) != entry.path()) continue;
        std::error_code unknown;
        auto const bytes = std::filesystem::file_size(entry.path(), unknown);
        if (unknown) return fail(system_error(unknown.value(), entry.path().string()));
        segment.bytes = bytes;
        segments_.push_back(segment);
    }
    if (failed) return fail(system_error(failed.value(), directory_));
    std::ranges::sort(segments_, {}, &Segment::begun_ms);
    return {};
}

Status Journal::cut_torn_tail() {
    if (segments_.empty()) return {};
    auto& last = segments_.back();
    KEEL_TRY(auto const bytes, read_file(path(last), 2 * limits_.total_bytes));
    std::size_t sound = 0;
    each_line(bytes, [&](JournalLine const&, std::size_t behind) { sound = behind; });
    if (sound == bytes.size()) return {};
    int const file = ::open(path(last).c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return fail(system_error(errno, path(last)));
    bool const done = ::ftruncate(file, static_cast<off_t>(sound)) == 0 && ::fsync(file) == 0;
    auto const error = system_error(errno, path(last) + ": cutting off its torn end");
    ::close(file);
    if (!done) return fail(error);
    bytes_cut_ = bytes.size() - sound;
    last.bytes = sound;
    return {};
}

Status Journal::begin_segment(std::int64_t now_unix_ms) {
    Segment fresh;
    // The order of segments is the order of writing, also after the clock was set back.
    fresh.begun_ms = segments_.empty() ? now_unix_ms : std::max(now_unix_ms, segments_.back().begun_ms + 1);
    int const file = ::open(path(fresh).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return fail(system_error(errno, path(fresh)));
    ::close(file);
    segments_.push_back(fresh);
    KEEL_CHECK(fsync_directory(directory_));
    return prune(now_unix_ms);
}

Status Journal::prune(std::int64_t now_unix_ms) {
    std::size_t total = limits_.segment_bytes;  // what the newest may grow to
    for (auto const& segment : segments_) total += segment.bytes;
    while (segments_.size() > 1) {
        // A segment is as old as its last line, which is before the next one's beginning. A clock that has just jumped
        // ahead makes nothing old: a time is believed when a whole segment has passed since.
        auto const believed = std::min(now_unix_ms, segments_[segments_.size() - 2].begun_ms);
        bool const old = believed - segments_[1].begun_ms > limits_.keep_ms;
        if (!old && total <= limits_.total_bytes) return {};
        KEEL_CHECK(remove_durably(path(segments_.front())));
        total -= segments_.front().bytes;
        segments_.erase(segments_.begin());
    }
    return {};
}

Status Journal::append(std::vector<JournalLine> const& lines, std::int64_t now_unix_ms) {
    std::string bytes;
    for (auto const& line : lines) {
        KEEL_ASSERT(line.text.find('\n') == std::string::npos);
        bytes += sealed(line);
    }
    if (bytes.empty()) return {};
    bool const full = segments_.empty() || segments_.back().bytes + bytes.size() > limits_.segment_bytes ||
                      now_unix_ms - segments_.back().begun_ms > kMonthMs;
    if (full) KEEL_CHECK(begin_segment(now_unix_ms));
    auto& last = segments_.back();
    int const file = ::open(path(last).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return fail(system_error(errno, path(last)));
    auto const status = write_behind(file, bytes, path(last));
    if (!status) (void)::ftruncate(file, static_cast<off_t>(last.bytes));
    ::close(file);
    if (status) last.bytes += bytes.size();
    return status;
}

Result<std::vector<JournalLine>> Journal::read(std::int64_t from_ms, std::int64_t until_ms,
                                               std::size_t lines_max) const {
    std::deque<JournalLine> out;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        bool const over = i + 1 < segments_.size() && segments_[i + 1].begun_ms < from_ms - kClockSlackMs;
        if (over) continue;
        KEEL_TRY(auto const bytes, read_file(path(segments_[i]), 2 * limits_.total_bytes));
        each_line(bytes, [&](JournalLine line, std::size_t) {
            if (line.unix_ms < from_ms || line.unix_ms > until_ms) return;
            out.push_back(std::move(line));
            if (out.size() > lines_max) out.pop_front();
        });
    }
    return std::vector<JournalLine>(std::make_move_iterator(out.begin()), std::make_move_iterator(out.end()));
}

}  // namespace keel::runtime
