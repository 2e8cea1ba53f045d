// `pgkeel recover --until`: rolls a delayed standby to just before an accident, where it stays as a server that can
// only be read; and `--end`, the way back. Nothing of the cluster but this node takes part.
#include "cli/recover_until.h"

#include <fmt/format.h>

#include <cstdlib>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "archive/catalogue.h"
#include "base/json.h"
#include "cli/interrupts.h"
#include "postgres/control_data.h"
#include "postgres/job.h"
#include "postgres/libpq.h"
#include "postgres/process.h"
#include "postgres/setup.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

using postgres::Bound;
using postgres::Connection;

constexpr Duration kPatience = 10s;
constexpr Duration kStopMost = 660s;
constexpr Duration kReplayMost = std::chrono::hours(24);
constexpr std::size_t kFileMost = 1U << 16U;

// How far this node was when its replay was paused: state/recover-until.json.
struct Frozen {
    std::int64_t replayed_us = 0;  // of the last commit that it has; the time to go back to must be later
    Lsn replayed;
    Lsn received;  // what lies on its disk
};
BOOST_DESCRIBE_STRUCT(Frozen, (), (replayed_us, replayed, received))

struct Node {
    postgres::Place place;
    std::string frozen() const { return place.directory + "/state/recover-until.json"; }
    std::string socket() const { return place.run() + "/until"; }
    postgres::ConnInfo conninfo() const {
        return {{"host", socket()},
                {"port", "5432"},
                {"user", postgres::kSuperuser},
                {"dbname", "postgres"},
                {"passfile", "/dev/null/none"}};
    }
};

Answer<Node> this_node(Commands const& commands) {
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    if (config.kind != cluster::Kind::data)
        return stop(kUsage, Code::invalid, "this node has no PostgreSQL", "run it on the delayed standby");
    KEEL_CHECK(agent::become_user(config.user));
    return Node{agent::place_of(config, identity.node)};
}

// While it is held no agent begins on this directory. conflict: one is at work.
Result<runtime::FileLock> take_node(Node const& node) {
    return runtime::FileLock::take(node.place.directory + "/state/agent.lock");
}

bool server_runs(Node const& node) { return postgres::find_postmaster(node.place.data()).has_value(); }

Answer<std::optional<Frozen>> read_frozen(Node const& node) {
    auto const text = runtime::read_file(node.frozen(), kFileMost);
    if (!text && text.error().code == Code::not_found) return std::optional<Frozen>();
    KEEL_CHECK(text);
    auto const out = json::read<Frozen>(*text);
    if (!out) return stop(kFailed, Code::corrupt, node.frozen() + " cannot be read", "pgkeel recover --end");
    return std::optional(*out);
}

Answer<std::int64_t> number_of(Result<std::string> const& text) {
    KEEL_CHECK(text);
    return std::strtoll(text->c_str(), nullptr, 10);
}

Done check_time(std::int64_t until_us, std::int64_t replayed_us) {
    if (until_us > replayed_us) return {};
    return stop(kFailed, Code::not_found,
                fmt::format("this node has replayed {} already, which is not before {}",
                            archive::time_text(replayed_us), archive::time_text(until_us)),
                "from the backups every moment can be had: pgkeel restore --target, or pgkeel recover --table");
}

// ---- while the node runs: its replay is paused, before it comes to the accident ----

Answer<Frozen> look(Connection& link, std::int64_t until_us) {
    KEEL_TRY(auto const rows,
             link.query("SELECT coalesce((extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint, 0), "
                        "pg_last_wal_replay_lsn(), coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), "
                        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
                        Bound(kPatience)));
    auto const text = [&](std::size_t column) { return rows.at(0).at(column).value_or(""); };
    auto const replayed = parse_lsn(text(1)), received = parse_lsn(text(2));
    auto const commit = std::strtoll(text(0).c_str(), nullptr, 10);
    if (commit == 0 || !replayed || !received)
        return stop(kFailed, Code::unavailable,
                    "PostgreSQL has replayed no commit since it was started, so it is not known whether that moment "
                    "lies before it",
                    "try again when it has, or use the backups: pgkeel restore --target, pgkeel recover --table");
    if (until_us >= std::strtoll(text(3).c_str(), nullptr, 10))
        return stop(kUsage, Code::invalid, archive::time_text(until_us) + " has not come yet",
                    "name a time just before the accident, in UTC");
    KEEL_CHECK(check_time(until_us, commit));
    return Frozen{commit, *replayed, *received};
}

// Until nothing is replayed any more. One that waits for the delay of a commit has not replayed it, and will see the
// pause before it does.
Status pause_replay(Connection& link) {
    KEEL_CHECK(link.query("SELECT pg_wal_replay_pause()", Bound(kPatience)));
    Bound const bound(kPatience);
    do {
        KEEL_TRY(auto const rests,
                 link.value("SELECT pg_get_wal_replay_pause_state() = 'paused' OR EXISTS (SELECT FROM pg_stat_activity "
                            "WHERE backend_type = 'startup' AND wait_event = 'RecoveryApplyDelay')",
                            bound.at_most(kPatience)));
        if (rests == "t") return {};
    } while (bound.pause(50ms));
    return fail(Code::timeout, "PostgreSQL does not pause its replay", "run it again");
}

Done freeze(Node const& node, std::int64_t until_us) {
    KEEL_TRY(auto link,
             Connection::open(postgres::local_conninfo(node.place, "pgkeel recover", "postgres"), Bound(kPatience)));
    KEEL_TRY(auto const standby, link.value("SELECT pg_is_in_recovery()", Bound(kPatience)));
    KEEL_TRY(auto const delay,
             number_of(link.value("SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay'",
                                  Bound(kPatience))));
    if (standby != "t" || delay == 0)
        return stop(kUsage, Code::conflict, "this node is not a delayed standby",
                    "run it on one (pgkeel status shows which), or use the backups: pgkeel restore --target, pgkeel "
                    "recover --table");
    KEEL_TRY(auto const before, link.value("SELECT pg_get_wal_replay_pause_state()", Bound(kPatience)));
    auto const kept = [&]() -> Done {
        KEEL_CHECK(pause_replay(link));
        KEEL_TRY(auto const frozen, look(link, until_us));
        KEEL_CHECK(runtime::write_atomically(node.frozen(), json::write(frozen) + "\n", 0600));
        fmt::print("paused    this node's replay, at {}; the cluster goes on\n",
                   archive::time_text(frozen.replayed_us));
        fmt::print(
            "Now stop the node (systemctl stop pgkeel), and run the same once more.\n"
            "It has no vote meanwhile. To go on as if nothing had been: pgkeel recover --end\n");
        return {};
    }();
    if (!kept && before == "not paused") (void)link.query("SELECT pg_wal_replay_resume()", Bound(kPatience));
    return kept;
}

// ---- while it does not run ----

Status control(Node const& node, std::vector<std::string> words, Bound const& bound) {
    words.insert(words.begin(), {node.place.binary("pg_ctl"), "-D", node.place.data(), "-w"});
    KEEL_CHECK(postgres::run_job({std::move(words)}, bound));
    return {};
}

// Nothing in the data directory says how this server is: the next start is an ordinary standby's again.
Status start_server(Node const& node, std::int64_t until_us, Bound const& bound) {
    KEEL_CHECK(runtime::ensure_directory(node.socket(), 0700));
    auto const options = fmt::format(
        "-p 5432 -c listen_addresses= -c unix_socket_directories={} -c primary_conninfo= -c primary_slot_name= "
        "-c restore_command= -c archive_mode=off -c shared_preload_libraries= -c ssl=off -c hot_standby=on "
        "-c synchronous_standby_names= -c recovery_min_apply_delay=0 -c recovery_target_action=pause "
        "-c recovery_target_inclusive=off -c recovery_target_time='{}'",
        node.socket(), archive::time_text(until_us));
    return control(node, {"-t", "3600", "-l", node.place.log() + "/recover-until.log", "-o", options, "start"}, bound);
}

// It pauses only when it has seen a later commit: that proves that it has everything before.
Done wait_for_target(Node const& node, Frozen const& frozen, Bound const& bound) {
    int rests = 0;
    Lsn before;
    do {
        if (!server_runs(node))
            return stop(kFailed, Code::unavailable,
                        "PostgreSQL has ended: its last words are in " + node.place.log() + "/recover-until.log",
                        "pgkeel recover --end, then start the node: it goes on as before");
        auto link = Connection::open(node.conninfo(), bound.at_most(kPatience));
        if (!link) continue;
        auto const rows = link->query(
            "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn(), "
            "pg_is_in_recovery()",
            bound.at_most(kPatience));
        if (!rows || rows->empty()) continue;
        if (rows->at(0).at(2) != "t")
            return stop(kFailed, Code::conflict, "PostgreSQL has ended its recovery instead of staying there",
                        "pgkeel recover --end, then start the node: it is rewound, and then follows again. Use the "
                        "backups: pgkeel restore --target");
        if (rows->at(0).at(0) == "paused") return {};
        auto const here = parse_lsn(rows->at(0).at(1).value_or(""));
        rests = here && *here >= frozen.received && *here == before ? rests + 1 : 0;
        before = here.value_or(Lsn{});
        if (rests > 25)
            return stop(
                kFailed, Code::not_found,
                "this node has received no commit after that time, so it cannot be shown that it has all before",
                "pgkeel recover --end, start the node, and try again when it has");
    } while (bound.pause(200ms));
    return std::unexpected(Failure(bound.why("the replay up to that time")));
}

Done roll(Node const& node, std::int64_t until_us) {
    KEEL_TRY(auto const frozen, read_frozen(node));
    if (!frozen)
        return stop(kUsage, Code::conflict, "the replay of this node was not paused before it was stopped",
                    "start the node, run this, and stop the node when it says so");
    if (server_runs(node))
        return stop(kUsage, Code::conflict, "PostgreSQL runs in " + node.place.data(),
                    "end what was recovered before with pgkeel recover --end, or stop the node");
    KEEL_CHECK(check_time(until_us, frozen->replayed_us));
    KEEL_TRY(auto const control_data, postgres::read_control_data(node.place, Bound(kPatience)));
    if (control_data.state != "shut down in recovery" || control_data.min_recovery_end > frozen->replayed)
        return stop(kFailed, Code::conflict,
                    "PostgreSQL was not stopped where its replay was paused: it may have replayed more since",
                    "pgkeel recover --end; then begin again, or use the backups: pgkeel restore --target");
    // From here on the node does not start before --end.
    KEEL_CHECK(runtime::write_atomically(agent::rolled_marker(node.place.directory),
                                         archive::time_text(until_us) + "\n", 0600));
    Interrupts const interrupts;
    auto const bound = interrupts.bound(kReplayMost);
    auto const done = [&]() -> Done {
        KEEL_CHECK(start_server(node, until_us, bound));
        return wait_for_target(node, *frozen, bound);
    }();
    if (!done) {
        if (server_runs(node)) (void)control(node, {"-t", "600", "-m", "fast", "stop"}, Bound(kStopMost));
        return done;
    }
    // Back from there it does not go.
    KEEL_CHECK(runtime::write_atomically(node.frozen(),
                                         json::write(Frozen{until_us, frozen->received, frozen->received}), 0600));
    fmt::print("recovered everything that was committed before {}, to read:\n", archive::time_text(until_us));
    fmt::print("    psql -h {} -p 5432 -U {}\n", node.socket(), postgres::kSuperuser);
    fmt::print("    pg_dump -h {} -p 5432 -U {} --table=... DATABASE | psql ... (into the node that leads)\n",
               node.socket(), postgres::kSuperuser);
    fmt::print("Do not call pg_wal_replay_resume() there. The way back: pgkeel recover --end, then start the node.\n");
    return {};
}

// ---- the way back ----

Done end_running(Node const& node) {
    KEEL_TRY(auto link,
             Connection::open(postgres::local_conninfo(node.place, "pgkeel recover", "postgres"), Bound(kPatience)));
    KEEL_CHECK(link.query("SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()", Bound(kPatience)));
    KEEL_CHECK(runtime::remove_durably(node.frozen()));
    fmt::print("The replay of this node goes on.\n");
    return {};
}

Done end_stopped(Node const& node) {
    bool promoted = false;
    if (server_runs(node)) {
        auto link = Connection::open(node.conninfo(), Bound(kPatience));
        auto const standby = link ? link->value("SELECT pg_is_in_recovery()", Bound(kPatience))
                                  : Result<std::string>(std::unexpected(link.error()));
        promoted = standby && *standby == "f";
        KEEL_CHECK(control(node, {"-t", "600", "-m", "fast", "stop"}, Bound(kStopMost)));
    }
    for (auto const& file : {agent::rolled_marker(node.place.directory), node.frozen()})
        KEEL_CHECK(runtime::remove_durably(file));
    fmt::print("The server is down. Start the node (systemctl start pgkeel): it {}.\n",
               promoted ? "was promoted by somebody, so the node is rewound, and then follows again"
                        : "follows again from where it is, as late as before");
    return {};
}

}  // namespace

Done recover_until(Commands const& commands, std::string const& until) {
    KEEL_TRY(auto const target, archive::parse_target(until));
    if (!target.time_us)
        return stop(kUsage, Code::invalid, "--until needs a time", "in UTC, as \"2026-11-26 03:00:00Z\"");
    KEEL_TRY(auto const node, this_node(commands));
    auto const lock = take_node(node);
    if (lock) return roll(node, *target.time_us);
    if (lock.error().code != Code::conflict) return std::unexpected(Failure(lock.error()));
    return freeze(node, *target.time_us);
}

Done end_recovery(Commands const& commands) {
    KEEL_TRY(auto const node, this_node(commands));
    if (!runtime::exists(node.frozen()) && !runtime::exists(agent::rolled_marker(node.place.directory)))
        return stop(kUsage, Code::not_found, "nothing was recovered with --until on this node",
                    "pgkeel recover --help");
    auto const lock = take_node(node);
    if (lock) return end_stopped(node);
    if (lock.error().code != Code::conflict) return std::unexpected(Failure(lock.error()));
    return end_running(node);
}

}  // namespace keel::cli
