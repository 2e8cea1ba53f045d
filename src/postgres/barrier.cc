// synchronous_standby_names on a running server, with certainty about when the new value is in force.
//
// Facts of PostgreSQL that this rests on (13 to 18: postmaster.c, walsender.c, syncrep.c, checkpointer.c):
// - The postmaster reads the files and signals all of its children in one go, before it accepts another connection. So
// a
//   connection that was opened after the new value was seen anywhere proves: every process has the signal pending.
// - A walsender releases commits by its own copy of the count, over the standbys whose sync_priority in shared memory
// is
//   above 0 (SyncRepGetSyncRecPtr); with ANY the priority is 1 or 0 for member or not. It sets its own priority when it
//   re-reads the configuration, and releases nothing while its priority is 0. A walsender that has just been forked
//   re-reads before it can reach the state streaming, in which alone it counts.
// - Hence: with equal counts before and after, nothing matters but the priorities, and they can be seen. With different
//   counts a walsender that is a member before and after shows no difference, and meanwhile combines the old count with
//   new members. So the value goes through "nobody" (every priority is seen to be 0, no commit is acknowledged for some
//   milliseconds) to the new one.
// - Commits do not wait at all until the checkpointer has set a flag in shared memory after it re-read a non-empty
// value.
//   Under "nobody" a commit of ours that is seen waiting proves that the flag is set. (A CHECKPOINT would prove it,
//   too, but takes minutes on a busy server.)
// - Standbys that already acknowledged everything say nothing new: a small local commit makes them answer, so that
//   commits which waited for the new value are released at once.
#include <fmt/format.h>

#include "postgres/names.h"
#include "postgres/server_state.h"

namespace keel::postgres {

namespace {

// Transactional, so that it ends with a commit record that waits like any other.
constexpr char const* kSmallCommit = "SELECT pg_logical_emit_message(true, 'pgkeel', 'names')";

Result<std::string> why_not(Connection& connection, Bound const& bound) {
    return connection.value(
        "SELECT coalesce(string_agg(format('%s:%s: %s: %s', sourcefile, sourceline, name, error), '; '), '') "
        "FROM pg_file_settings WHERE error IS NOT NULL",
        bound);
}

// Every walsender that serves a standby applies exactly the members of `names`.
Status wait_for_priorities(Connection& connection, cluster::Names const& names, Bound const& bound) {
    Bound const patience = bound.at_most(1s);
    bool impatient = false;
    for (;;) {
        KEEL_TRY(auto const rows,
                 connection.query("SELECT application_name, sync_priority, pid FROM pg_stat_replication "
                                  "WHERE state IN ('catchup', 'streaming')",
                                  bound));
        std::string behind;
        for (auto const& row : rows) {
            bool const member = names.count > 0 && names.members.contains(NodeId{row[0].value_or("")});
            if (member == (row[1].value_or("0") != "0")) continue;
            behind = row[2].value_or("0");
            // It hangs in something; a new one takes its place under the new setting.
            if (impatient) KEEL_CHECK(connection.query("SELECT pg_terminate_backend($1::int)", bound, {behind}));
        }
        if (behind.empty()) return {};
        impatient = patience.expired();
        if (!bound.pause(1ms)) return fail(bound.why("a walsender does not take up the new synchronous_standby_names"));
    }
}

// Seen waiting for a synchronous standby: the checkpointer's flag is set.
Status wait_for_flag(Place const& place, Connection& connection, Bound const& bound) {
    auto info = local_conninfo(place, "pgkeel barrier");
    for (auto& [key, value] : info) {
        if (key == "options") value += " -c synchronous_commit=on";
    }
    KEEL_TRY(auto probe, Connection::open(info, bound));
    auto const pid = std::to_string(probe.backend_pid());
    Status out = fail(Code::internal, "the probe did not run");
    for (;;) {
        if (out = probe.send(kSmallCommit); !out) break;
        std::optional<Status> ended;
        bool waits = false;
        while (!(ended = probe.answered()) && !waits) {
            auto const event = connection.value(
                "SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = $1::int", bound, {pid});
            waits = event && *event == "SyncRep";
            if (!bound.pause(1ms)) break;
        }
        if (waits)
            out = {};
        else if (ended && !*ended)
            out = *ended;
        else if (bound.over())
            out = fail(bound.why("commits do not wait for synchronous standbys"));
        else
            continue;  // it was acknowledged: the flag is not set yet
        break;
    }
    // Its transaction holds nothing worth waiting for.
    static_cast<void>(connection.query("SELECT pg_terminate_backend($1::int)", bound, {pid}));
    return out;
}

}  // namespace

// Writes and reloads; returns a connection that was forked after every process had been told.
Result<Connection> Server::State::names_reach(cluster::Names const& names, Bound const& bound) {
    Wanted next = current_wanted();
    next.names = names;
    KEEL_CHECK(write(next));
    KEEL_CHECK(reload());
    auto const target = render_names(names);
    Bound const patience = bound.at_most(2s);
    for (;;) {
        KEEL_TRY(auto seen, Connection::open(local_conninfo(place, "pgkeel barrier"), bound));
        KEEL_TRY(auto const now, seen.value("SELECT current_setting('synchronous_standby_names')", bound));
        if (now == target) return Connection::open(local_conninfo(place, "pgkeel barrier"), bound);
        if (patience.expired()) {
            KEEL_TRY(auto const reason, why_not(seen, bound));
            static_cast<void>(seen.query("ALTER SYSTEM RESET synchronous_standby_names", bound));
            static_cast<void>(reload());
            return fail(Code::conflict,
                        fmt::format("synchronous_standby_names is \"{}\" instead of \"{}\" after a reload {}", now,
                                    target, reason),
                        "undo an ALTER SYSTEM of it, and mend errors in postgresql.conf");
        }
        if (!bound.pause(2ms)) return fail(bound.why("PostgreSQL does not re-read its configuration"));
    }
}

Status Server::State::set_names(Running& run) {
    auto const& target = run.command.names;
    Bound const bound = run.bound.at_most(8s);
    cluster::Names before;
    bool certain = false;
    {
        std::lock_guard const lock(mutex);
        before = wanted.names;
        certain = std::exchange(names_certain, false);
    }
    bool const was_off = before.count == 0;
    bool const through_nobody = target.count > 0 && (!certain || was_off || before.count != target.count);
    if (through_nobody) {
        KEEL_TRY(auto connection, names_reach(nobody(), bound));
        KEEL_CHECK(wait_for_priorities(connection, nobody(), bound));
        if (!certain || was_off) KEEL_CHECK(wait_for_flag(place, connection, bound));
    }
    KEEL_TRY(auto connection, names_reach(target, bound));
    KEEL_CHECK(wait_for_priorities(connection, target, bound));
    KEEL_CHECK(connection.query("SET synchronous_commit = local", bound));
    KEEL_CHECK(connection.query(kSmallCommit, bound));
    std::lock_guard const lock(mutex);
    names_certain = true;
    return {};
}

}  // namespace keel::postgres
