// Leaving recovery onto exactly the timeline that the election recorded.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "postgres/names.h"
#include "postgres/server_state.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

Status ask_for_promotion(Server::State& state) {
    // As pg_ctl does; the SQL function would add a poll of 100 ms. The postmaster passes it on to the startup process.
    auto const path = state.place.data() + "/promote";
    if (FILE* file = std::fopen(path.c_str(), "w"); file == nullptr || std::fclose(file) != 0) {
        return fail(runtime::system_error(errno, path));
    }
    KEEL_TRY(auto const process, state.postmaster());
    if (!send_signal(process, state.place.data(), SIGUSR1))
        return fail(Code::unavailable, "the server ended before its promotion");
    return {};
}

Status wait_for_primary(Connection& connection, Bound const& bound) {
    for (;;) {
        KEEL_TRY(auto const recovery, connection.value("SELECT pg_is_in_recovery()", bound));
        if (recovery == "f") return {};
        if (!bound.pause(2ms)) {
            auto error = bound.why("leaving recovery");
            error.outcome = Outcome::unknown;
            return fail(std::move(error));
        }
    }
}

}  // namespace

// Runs by itself; poll_checkpoint() closes the connection.
void Server::State::begin_checkpoint(Bound const& bound) {
    auto connection = Connection::open(local_conninfo(place, "pgkeel checkpoint"), bound);
    if (!connection || !connection->send("CHECKPOINT")) return;
    std::lock_guard const lock(mutex);
    checkpoint = *std::move(connection);
}

Status Server::State::promote(Running& run) {
    auto const& command = run.command;
    auto const data = place.data();
    auto seen = command_watch.look(*this, run.bound.at_most(1s));
    if (seen.server != cluster::Server::recovery) {
        return fail(Code::conflict,
                    "only a running standby can be promoted" + (seen.problem.empty() ? "" : ": " + seen.problem));
    }
    if (auto const foreign = foreign_histories(data, seen.timeline, seen.flush);
        !foreign.empty() && foreign.front() < command.timeline) {
        runtime::log::info("postgres",
                           "restarting before the promotion: the server may aim at timeline {}, which is not ours",
                           foreign.front().value);
        KEEL_CHECK(shut_down(run.bound));
        for (auto const& one : foreign) ::unlink((data + "/pg_wal/" + history_name(one)).c_str());
        Wanted target = current_wanted();
        target.upstream = {};
        KEEL_CHECK(start_standby(target, run.bound));
        seen = command_watch.look(*this, run.bound.at_most(1s));
    }
    KEEL_TRY(auto const claims, claim_below(data, seen.timeline, command.timeline));
    auto prepare = [&]() -> Result<Connection> {
        {
            std::lock_guard const lock(mutex);
            wanted.upstream = {};
            wanted.upstream_at = {};
        }
        // Whatever commits after the promotion waits for these; the checkpointer's flag is set since the start, because
        // a standby's names are never empty.
        return names_reach(command.names, run.bound.at_most(5s));
    };
    auto connection = prepare();
    Status asked = connection ? ask_for_promotion(*this) : Status(fail(connection.error()));
    if (!asked) {
        withdraw_claims(data, claims);
        ::unlink((data + "/promote").c_str());
        Wanted back = current_wanted();
        back.names = nobody();
        static_cast<void>(write(back));
        static_cast<void>(reload());
        return asked;
    }
    KEEL_CHECK(wait_for_primary(*connection, run.bound));
    {
        std::lock_guard const lock(mutex);
        names_certain = true;
    }
    KEEL_TRY(auto const segment, connection->value("SELECT pg_walfile_name(pg_current_wal_insert_lsn())", run.bound));
    Timeline const out{static_cast<std::uint32_t>(std::stoul(segment.substr(0, 8), nullptr, 16))};
    if (out != command.timeline) {
        return fail(Code::internal, fmt::format("the promotion came out on timeline {} instead of {}", out.value,
                                                command.timeline.value));
    }
    // pg_rewind before PostgreSQL 16 believes the control file's timeline, which is the old one until the first
    // checkpoint of the new timeline: members that come back need it soon.
    begin_checkpoint(run.bound.at_most(500ms));
    run.text = fmt::format("promoted from timeline {} to {}", seen.timeline.value, out.value);
    return {};
}

}  // namespace keel::postgres
