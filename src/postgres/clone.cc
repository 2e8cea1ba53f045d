// A base backup from a peer, made beside the old directory, which goes only when the new one streams.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "postgres/copy.h"
#include "postgres/names.h"
#include "postgres/setup.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

struct Source {
    std::uint64_t bytes = 0;
    bool has_slot = false;
};

Result<Source> ask_source(Place const& place, Endpoint const& at, Bound const& bound) {
    KEEL_TRY(auto connection, Connection::open(peer_conninfo(place, at, kMonitor, "pgkeel clone"), bound));
    KEEL_TRY(auto const rows,
             connection.query("SELECT (SELECT sum(pg_database_size(oid))::bigint FROM pg_database), "
                              "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND NOT active)",
                              bound, {slot_name(place.id)}));
    if (rows.size() != 1 || !rows[0][0]) return fail(Code::internal, "no size from the source");
    return Source{std::stoull(*rows[0][0]), rows[0][1] == "t"};
}

Status check_space(Place const& place, std::uint64_t bytes) {
    // The WAL that is written meanwhile, and some air.
    std::uint64_t const needed = bytes + bytes / 10 + (256U << 20U);
    KEEL_TRY(auto const space, runtime::free_bytes(place.directory));
    if (space >= needed) return {};
    return fail(Code::exhausted,
                fmt::format("{} has {} MB free; the clone needs {} MB beside the old directory", place.directory,
                            space >> 20U, needed >> 20U),
                "make room, or remove " + place.data() + " if nothing in it is needed any more");
}

Status base_backup(Place const& place, Endpoint const& source, Settings const& settings, bool slot, Running& run) {
    std::vector<std::string> argv{place.binary("pg_basebackup"),
                                  "-D",
                                  place.data_new(),
                                  "-X",
                                  "stream",
                                  "-c",
                                  "fast",
                                  "-P",
                                  "--no-password",
                                  "-d",
                                  to_string(peer_conninfo(place, source, kReplicator, place.id.value + " clone"))};
    if (slot) argv.insert(argv.end(), {"-S", slot_name(place.id)});
    if (settings.clone_rate_kbytes_max > 0) {
        argv.insert(argv.end(), {"-r", std::to_string(std::clamp(settings.clone_rate_kbytes_max, 32U, 1048576U))});
    }
    auto const what = fmt::format("clone from {}:{}", source.host, source.port);
    KEEL_CHECK(run_job({.argv = argv, .on_line = report(run, what)}, run.bound));
    return {};
}

// Between the two renames there is no data/: the marker is still there, and the next clone begins anew.
Status swap_in(Place const& place) {
    if (runtime::exists(place.data()) && ::rename(place.data().c_str(), place.data_old().c_str()) != 0) {
        return fail(runtime::system_error(errno, "moving " + place.data() + " aside"));
    }
    if (::rename(place.data_new().c_str(), place.data().c_str()) != 0) {
        return fail(runtime::system_error(errno, "moving the clone to " + place.data()));
    }
    return runtime::fsync_directory(place.directory);
}

}  // namespace

Status Server::State::clone(Running& run) {
    KEEL_TRY(auto const at, source_of(run));
    KEEL_TRY(auto const source, ask_source(place, at, run.bound.at_most(10s)));
    while (sweeping.load() && run.bound.pause(50ms)) {
    }
    end_leftovers(place.data_new());
    KEEL_CHECK(remove_tree(place.data_new()));
    // One old directory is kept; with no data/ it is the only one there is.
    if (runtime::exists(place.data())) KEEL_CHECK(remove_tree(place.data_old()));
    KEEL_CHECK(check_space(place, source.bytes));
    KEEL_CHECK(set_marker(place, fmt::format("unfinished clone from {}:{}, begun {}", at.host, at.port, utc_stamp())));
    KEEL_CHECK(shut_down(run.bound));
    auto const settings_now = current_settings();
    KEEL_CHECK(base_backup(place, at, settings_now, source.has_slot, run));
    Wanted const target{.upstream = run.command.peer, .upstream_at = at, .names = nobody()};
    KEEL_CHECK(write_configuration(place, place.data_new(), settings_now, target));
    KEEL_CHECK(write_standby_signal(place.data_new()));
    if (run.bound.overtaken()) return fail(run.bound.why("cloning"));
    KEEL_CHECK(swap_in(place));
    {
        std::lock_guard const lock(mutex);
        wanted = target;
    }
    KEEL_CHECK(clear_marker(place));
    run.text = fmt::format("cloned from {}:{}", at.host, at.port);
    return {};
}

}  // namespace keel::postgres
