// Whom the standby follows, and the slots it keeps for others.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "postgres/names.h"
#include "postgres/server_state.h"
#include "runtime/log.h"

namespace keel::postgres {

Status Server::State::write(Wanted const& next) {
    KEEL_CHECK(write_wanted(place, place.data(), current_settings(), next));
    std::lock_guard const lock(mutex);
    wanted = next;
    return {};
}

Status Server::State::reload() {
    KEEL_TRY(auto const process, postmaster());
    if (!send_signal(process, place.data(), SIGHUP))
        return fail(Code::unavailable, "PostgreSQL ended before it could reload");
    return {};
}

// The standby's configuration with the command's peer as upstream.
Result<Wanted> Server::State::towards(Running const& run) const {
    Wanted out{.upstream = run.command.peer, .upstream_at = {}, .names = nobody()};
    if (out.upstream.value.empty()) return out;
    auto const at = run.peers.find(out.upstream);
    if (at == run.peers.end()) return fail(Code::not_found, "no address is known of the peer " + out.upstream.value);
    out.upstream_at = at->second;
    return out;
}

Status Server::State::follow(Running& run) {
    KEEL_TRY(Wanted const next, towards(run));
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place, "pgkeel follow"), run.bound.at_most(2s)));
    KEEL_TRY(auto const recovery, connection.value("SELECT pg_is_in_recovery()", run.bound.at_most(2s)));
    if (recovery != "t") return fail(Code::conflict, "a primary cannot follow another one");
    KEEL_CHECK(write(next));
    KEEL_CHECK(reload());
    run.text = next.upstream.value.empty() ? "follows nobody"
                                           : fmt::format("follows {}:{}", next.upstream_at.host, next.upstream_at.port);
    return {};
}

namespace {

enum class Cut { not_yet, done };

// In recovery the startup process asks for WAL receivers, with the primary_conninfo that it last read. `connection` was
// forked after the postmaster read our empty one, so that the startup process has the signal pending at least. When it
// then sleeps in RecoveryRetrieveRetryInterval, it has shut the receiver down before (WaitForWALToBecomeAvailable
// leaves streaming only so), and reads the empty value before it asks for anything again: the receiver cannot come
// back. `patient`: a startup process that replays or delays is trusted, too, once no receiver is there.
Result<Cut> look_at_receiver(Connection& connection, bool patient, Bound const& bound, std::vector<pid_t>& receivers) {
    KEEL_TRY(auto const rows,
             connection.query("SELECT backend_type, pid, coalesce(wait_event, '') FROM pg_stat_activity "
                              "WHERE backend_type IN ('startup', 'walreceiver') ORDER BY 1",
                              bound));
    receivers.clear();
    bool asleep = false;
    for (auto const& row : rows) {
        if (row[0] == "walreceiver")
            receivers.push_back(static_cast<pid_t>(std::atoi(row[1]->c_str())));
        else
            asleep = row[2] == "RecoveryRetrieveRetryInterval" ||
                     (patient && (row[2] == "RecoveryApplyDelay" || row[2] == "RecoveryPause"));
    }
    return receivers.empty() && asleep ? Cut::done : Cut::not_yet;
}

}  // namespace

Status Server::State::cut(Running& run) {
    Wanted next = current_wanted();
    next.upstream = {};
    next.upstream_at = {};
    if (!find_postmaster(place.data())) {
        reap();
        run.text = "the server is down: nothing to cut";
        std::lock_guard const lock(mutex);
        wanted = next;
        return {};
    }
    if (auto const written = write(next); !written) {
        run.text = "the WAL receiver was cut by stopping the server: " + to_string(written.error());
        return kill_now();
    }
    auto attempt = [&](bool patient, Bound const& bound) -> Result<Cut> {
        KEEL_CHECK(reload());
        Connection connection;
        do {  // see barrier.cc: forked after the reload
            KEEL_TRY(connection, Connection::open(local_conninfo(place, "pgkeel cut"), bound));
            KEEL_TRY(auto const now, connection.value("SELECT current_setting('primary_conninfo')", bound));
            if (!now.empty()) connection.close();
        } while (!connection.is_open() && bound.pause(2ms));
        KEEL_TRY(connection, Connection::open(local_conninfo(place, "pgkeel cut"), bound));
        std::vector<pid_t> receivers;
        do {
            KEEL_TRY(auto const cut_now, look_at_receiver(connection, patient, bound, receivers));
            if (cut_now == Cut::done) return Cut::done;
            // SIGTERM, never SIGKILL: that would make the postmaster restart everything.
            if (patient) {
                for (auto const pid : receivers) ::kill(pid, SIGTERM);
            }
        } while (bound.pause(2ms));
        return Cut::not_yet;
    };
    for (bool const patient : {false, true}) {
        auto const done = attempt(patient, run.bound.at_most(patient ? Duration(500ms) : Duration(1s)));
        if (done && *done == Cut::done) return {};
        if (run.bound.overtaken()) return fail(run.bound.why("cutting the WAL receiver"));
        if (!done) runtime::log::warning("postgres", "cutting the WAL receiver: {}", done.error().text);
    }
    run.text = "the WAL receiver did not end; the server was stopped";
    return kill_now();
}

namespace {

struct Slot {
    NodeId owner;
    std::string name;
    bool lost = false;
    pid_t user = 0;
    Lsn restart;
};

Result<std::vector<Slot>> read_slots(Connection& connection, Bound const& bound) {
    KEEL_TRY(auto const rows,
             connection.query("SELECT slot_name, coalesce(wal_status = 'lost', false), coalesce(active_pid, 0), "
                              "coalesce(restart_lsn, '0/0') FROM pg_replication_slots "
                              "WHERE slot_type = 'physical' AND NOT temporary",
                              bound));
    std::vector<Slot> out;
    for (auto const& row : rows) {
        Slot one{slot_owner(*row[0]), *row[0], row[1] == "t", static_cast<pid_t>(std::atoi(row[2]->c_str())), {}};
        one.restart = parse_lsn(*row[3]).value_or(Lsn{});
        if (!one.owner.value.empty()) out.push_back(std::move(one));
    }
    return out;
}

Status drop_slot(Connection& connection, Slot const& slot, Bound const& bound) {
    for (;;) {
        auto const dropped = connection.query("SELECT pg_drop_replication_slot($1)", bound, {slot.name});
        if (dropped) return {};
        if (dropped.error().code != Code::conflict) return fail(dropped.error());
        // In use by somebody who is no member any more.
        KEEL_CHECK(
            connection.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                             "WHERE slot_name = $1 AND active_pid IS NOT NULL",
                             bound, {slot.name}));
        if (!bound.pause(5ms)) return fail(bound.why("dropping the slot " + slot.name));
    }
}

}  // namespace

Status Server::State::slots(Running& run) {
    Bound const bound = run.bound.at_most(5s);
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place, "pgkeel slots"), bound));
    KEEL_TRY(auto const present, read_slots(connection, bound));
    auto missing = run.command.members;
    missing.erase(place.id);
    for (auto const& slot : present) {
        if (missing.contains(slot.owner) && !slot.lost)
            missing.erase(slot.owner);
        else
            KEEL_CHECK(drop_slot(connection, slot, bound));
    }
    for (auto const& member : missing) {
        // Reserves WAL from now on, before the member first connects.
        KEEL_CHECK(
            connection.query("SELECT pg_create_physical_replication_slot($1, true)", bound, {slot_name(member)}));
    }
    return {};
}

Status Server::State::advance(std::map<NodeId, Lsn> const& flushed) {
    Bound const bound(2s);
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place, "pgkeel slots"), bound));
    KEEL_TRY(auto const end, connection.value("SELECT pg_last_wal_replay_lsn() WHERE pg_is_in_recovery()", bound));
    Lsn const replayed = parse_lsn(end).value_or(Lsn{});
    KEEL_TRY(auto const present, read_slots(connection, bound));
    for (auto const& slot : present) {
        auto const member = flushed.find(slot.owner);
        if (member == flushed.end() || slot.user != 0 || slot.lost) continue;
        // Never beyond what the member has: after a promotion here it goes on from there.
        Lsn const to = std::min(member->second, replayed);
        if (to <= slot.restart || slot.restart.value == 0) continue;
        KEEL_CHECK(connection.query("SELECT pg_replication_slot_advance($1, $2::pg_lsn)", bound,
                                    {slot.name, keel::to_string(to)}));
    }
    return {};
}

}  // namespace keel::postgres
