// Taking a former primary back to where the cluster's history left it, keeping what is cut off.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "postgres/control_data.h"
#include "postgres/copy.h"
#include "postgres/names.h"
#include "postgres/setup.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

struct Line {
    Timeline timeline;
    History history;
};

// The source's timeline and history. Waits until its control file shows that timeline: pg_rewind before PostgreSQL 16
// compares control files, and would find nothing to rewind.
Result<Line> read_source(Place const& place, Endpoint const& at, Bound const& bound) {
    KEEL_TRY(auto connection,
             Connection::open(peer_conninfo(place, at, kRewinder, "pgkeel rewind"), bound.at_most(10s)));
    Bound const patience = bound.at_most(60s);
    Line out;
    for (;;) {
        KEEL_TRY(auto const rows,
                 connection.query(
                     "SELECT timeline_id, CASE WHEN pg_is_in_recovery() THEN NULL ELSE "
                     "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END FROM pg_control_checkpoint()",
                     patience));
        if (rows.size() != 1) return fail(Code::internal, "no control data from the source");
        out.timeline.value = static_cast<std::uint32_t>(std::stoul(*rows[0][0]));
        if (!rows[0][1] || std::stoul(*rows[0][1], nullptr, 16) == out.timeline.value) break;
        if (!patience.pause(100ms))
            return fail(patience.why("waiting for the source's first checkpoint on its timeline"));
    }
    if (out.timeline.value == 1) return out;
    KEEL_TRY(auto const text, connection.value("SELECT convert_from(pg_read_binary_file($1, 0, 1048576, true), 'UTF8')",
                                               bound, {"pg_wal/" + history_name(out.timeline)}));
    KEEL_TRY(out.history, parse_history(text));
    return out;
}

// Segments of ours with WAL in [fork, end), by name.
std::vector<std::string> divergent_segments(std::string const& data, Line const& ours, Lsn fork, Lsn end,
                                            std::uint64_t segment_bytes) {
    std::vector<Timeline> timelines{ours.timeline};
    for (auto const& ancestor : ours.history) {
        if (ancestor.until > fork) timelines.push_back(ancestor.timeline);
    }
    std::vector<std::string> out;
    for (std::uint64_t number = fork.value / segment_bytes; number * segment_bytes < end.value; ++number) {
        for (auto const timeline : timelines) {
            auto name = segment_name(timeline, number, segment_bytes);
            if (runtime::exists(data + "/pg_wal/" + name)) out.push_back(std::move(name));
        }
    }
    return out;
}

// Copies the WAL that the rewind is going to drop, with a text that says what it is.
Status quarantine(Place const& place, Line const& ours, Lsn fork, Lsn end, std::uint64_t segment_bytes) {
    auto const segments = divergent_segments(place.data(), ours, fork, end, segment_bytes);
    if (segments.empty()) return {};
    auto lsn_text = keel::to_string(fork);
    std::ranges::replace(lsn_text, '/', '_');
    auto const into = fmt::format("{}/{}-{}-{}", place.quarantine(), utc_stamp(), ours.timeline.value, lsn_text);
    KEEL_CHECK(runtime::ensure_directory(into, 0700));
    if (auto const space = runtime::free_bytes(into); space && *space < segments.size() * segment_bytes * 2) {
        return fail(Code::exhausted,
                    fmt::format("{} has {} MB free; the divergent WAL alone has {} MB", place.quarantine(),
                                *space >> 20U, segments.size() * segment_bytes >> 20U),
                    "make room, for instance by removing older directories in it");
    }
    std::string list;
    for (auto const& name : segments) {
        std::error_code error;
        std::filesystem::copy_file(place.data() + "/pg_wal/" + name, into + "/" + name,
                                   std::filesystem::copy_options::overwrite_existing, error);
        if (error) return fail(Code::unavailable, fmt::format("{}/{}: {}", into, name, error.message()));
        list += "  " + name + "\n";
    }
    auto const text = fmt::format(
        "WAL that node {} ({}) wrote and that is not part of the cluster's history.\n"
        "timeline: {}\nfrom: {}\nto: {}\nbytes: {}\nsegments:\n{}"
        "To see what is in it: pg_waldump -p {} -t {} -s {} -e {}\n",
        place.name, place.id.value, ours.timeline.value, keel::to_string(fork), keel::to_string(end),
        end.value - fork.value, list, into, ours.timeline.value, keel::to_string(fork), keel::to_string(end));
    KEEL_CHECK(runtime::write_atomically(into + "/lost.txt", text, 0600));
    runtime::log::warning("postgres",
                          "{} bytes of WAL behind {} on timeline {} are no part of the cluster's history; kept in {}",
                          end.value - fork.value, keel::to_string(fork), ours.timeline.value, into);
    return {};
}

}  // namespace

Status Server::State::rewind(Running& run) {
    auto const data = place.data();
    if (auto const marker = read_marker(place); !marker.empty()) {
        return fail(Code::corrupt, "cannot rewind: " + marker, "clone this node again");
    }
    end_leftovers(data);
    KEEL_TRY(auto const source, source_of(run));
    auto const what = fmt::format("rewind to {}:{}", source.host, source.port);
    KEEL_TRY(auto const theirs, read_source(place, source, run.bound));
    auto const seen = command_watch.look(*this, run.bound.at_most(1s));
    KEEL_CHECK(shut_down(run.bound));
    KEEL_TRY(auto const control, read_control_data(place, run.bound));
    Lsn const end = std::max(seen.flush, control.known_end());
    Line ours{timeline_on_disk(data, end, control.segment_bytes, control.known_timeline()), {}};
    KEEL_TRY(ours.history, read_history(data, ours.timeline));
    Lsn const fork = fork_of(ours.timeline, ours.history, theirs.timeline, theirs.history);
    if (fork < end) KEEL_CHECK(quarantine(place, ours, fork, end, control.segment_bytes));

    auto const kept = read_user_files(data);
    Wanted target = current_wanted();
    target.names = nobody();
    if (run.bound.overtaken()) return fail(run.bound.why(what));
    KEEL_CHECK(set_marker(place, fmt::format("unfinished {}, begun {}", what, utc_stamp())));
    // pg_rewind lets a single-user server finish crash recovery, which refuses a standby.
    KEEL_CHECK(runtime::remove_durably(data + "/standby.signal"));
    KEEL_CHECK(run_job({.argv = {place.binary("pg_rewind"), "-D", data, "-P", "--source-server",
                                 to_string(peer_conninfo(place, source, kRewinder, "pgkeel rewind"))},
                        .on_line = report(run, what)},
                       run.bound));
    KEEL_CHECK(write_user_files(data, kept));
    KEEL_CHECK(write_configuration(place, data, current_settings(), target));
    KEEL_CHECK(write_standby_signal(data));
    KEEL_CHECK(runtime::fsync_directory(data));
    KEEL_CHECK(clear_marker(place));
    run.text = fmt::format("{}: back to {} on timeline {}", what, keel::to_string(fork), theirs.timeline.value);
    return {};
}

}  // namespace keel::postgres
