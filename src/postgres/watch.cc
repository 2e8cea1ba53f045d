// Server::observe: one round trip when the server is up, its files when it is not.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "postgres/control_data.h"
#include "postgres/fields.h"
#include "postgres/names.h"
#include "postgres/server_state.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

constexpr Duration kStoppedPatience = 1500ms;
constexpr Duration kSilentPatience = 10s;
constexpr Duration kTellingPatience = 60s;  // of a server that gives no answer, but writes facts
constexpr Duration kFactsFresh = 1s;        // written every 100 ms

// Columns of kPrepare's statement, in order.
enum Column : std::size_t {
    recovery,
    end,
    received,
    primary_timeline,
    stream,
    processes,
    senders,
    slots,
    age,
    segment,
    control,
    conninfo
};

// A promotion may happen between two functions of one statement: whether the server is in recovery is asked once, and
// the functions that work in recovery only or outside of it only are chosen by that. A primary's timeline is that of
// the segment it writes; pg_control's is the one of the last checkpoint, which comes some time after a promotion.
constexpr char const* kPrepare = R"(PREPARE pgkeel_look AS
WITH r AS MATERIALIZED (SELECT pg_is_in_recovery() AS recovery)
SELECT recovery,
  CASE WHEN recovery THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
  CASE WHEN recovery THEN pg_last_wal_receive_lsn() END,
  CASE WHEN NOT recovery THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,
  CASE WHEN recovery THEN (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming') END,
  CASE WHEN recovery THEN (SELECT string_agg(backend_type || ' ' || coalesce(wait_event, '-'), ',') FROM pg_stat_activity
                           WHERE backend_type IN ('startup', 'walreceiver')) END,
  CASE WHEN NOT recovery THEN
    (SELECT string_agg(concat_ws(' ', application_name, state, coalesce(sent_lsn, '0/0'), coalesce(write_lsn, '0/0'),
                                 coalesce(flush_lsn, '0/0'), coalesce(replay_lsn, '0/0'),
                                 coalesce((extract(epoch FROM write_lag) * 1000000)::bigint, -1),
                                 coalesce((extract(epoch FROM flush_lag) * 1000000)::bigint, -1),
                                 coalesce((extract(epoch FROM replay_lag) * 1000000)::bigint, -1)), ',')
     FROM pg_stat_replication WHERE application_name ~ '^[0-9a-z-]+$' AND state IN ('startup', 'catchup', 'streaming')
       AND usename = 'pgkeel_replicator') END,
  (SELECT string_agg(slot_name, ',') FROM pg_replication_slots
   WHERE slot_type = 'physical' AND NOT temporary AND wal_status IS DISTINCT FROM 'lost'),
  CASE WHEN recovery THEN (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000000)::bigint END,
  pg_size_bytes(current_setting('wal_segment_size')),
  greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery())),
  recovery AND current_setting('primary_conninfo') <> ''
FROM r)";

Lsn lsn(std::string_view text) { return parse_lsn(text).value_or(Lsn{}); }

std::vector<cluster::Sender> parse_senders(std::string_view text) {
    std::vector<cluster::Sender> out;
    for (auto const line : split(text, ',')) {
        auto const field = split(line, ' ');
        if (field.size() != 9) continue;
        out.push_back({NodeId{std::string(field[0])}, field[1] == "streaming", lsn(field[2]), lsn(field[3]),
                       lsn(field[4]), lsn(field[5]), Duration(number(field[6])), Duration(number(field[7])),
                       Duration(number(field[8]))});
    }
    return out;
}

bool same(ServerProcess const& a, ServerProcess const& b) { return a.pid == b.pid && a.start_ticks == b.start_ticks; }

}  // namespace

void Server::State::reap_child() {
    std::lock_guard const lock(mutex);
    if (child > 0 && ::waitpid(child, nullptr, WNOHANG) != 0) child = 0;  // gone, or reaped by somebody else
}

void Server::State::poll_checkpoint() {
    std::lock_guard const lock(mutex);
    if (checkpoint.is_open() && checkpoint.answered()) checkpoint.close();
}

void Server::State::sweep_old() {
    if (sweeping.load() || ::access(place.data_old().c_str(), F_OK) != 0) return;
    std::lock_guard const lock(mutex);
    if (sweeping.exchange(true)) return;
    sweeper = std::jthread([this] {
        if (auto const done = remove_tree(place.data_old()); !done)
            runtime::log::warning("postgres", "{}", done.error().text);
        sweeping = false;
    });
}

// A checkpoint gives room back: WAL that nobody needs any more goes, and slots beyond max_slot_wal_keep_size with
// theirs.
void Server::State::relieve_disk(cluster::Observation const& seen) {
    bool const up = seen.server == cluster::Server::primary || seen.server == cluster::Server::recovery;
    {
        std::lock_guard const lock(mutex);
        if (seen.disk == cluster::Disk::sound) relieved = false;
        if (seen.disk != cluster::Disk::tight || !up || relieved || checkpoint.is_open()) return;
        relieved = true;
    }
    begin_checkpoint(Bound(300ms));
}

cluster::Observation Watch::look(Server::State& state, Bound const& bound) {
    auto out = see(state, bound);
    auto sight = state.disk.look(runtime::boot_now());
    out.disk = sight.disk;
    out.disk_text = std::move(sight.text);
    return out;
}

cluster::Observation Watch::see(Server::State& state, Bound const& bound) {
    auto const& place = state.place;
    cluster::Observation out;
    {
        std::lock_guard const lock(state.mutex);
        out.upstream = state.wanted.upstream;
        out.names = state.wanted.names;
    }
    state.reap_child();
    auto const postmaster = find_postmaster(place.data(), postmaster_);
    answered_ = !postmaster;
    if (!postmaster) return down(state, std::move(out));
    stopped_.reset();
    if (!postmaster_ || !same(*postmaster_, *postmaster)) {
        connection_.close();
        last_ = {};
        owned_ = {};
        stopped_since_ = silent_since_ = {};
    }
    postmaster_ = postmaster;
    out.server = cluster::Server::starting;
    if (!connection_.is_open()) {
        // Several looks a second: PostgreSQL reads and plans the question once.
        auto opened = Connection::open(local_conninfo(place, "pgkeel watch"), bound);
        auto prepared = opened ? opened->query(kPrepare, bound) : fail(opened.error());
        if (prepared) prepared = prepare_count(*opened, bound);
        if (prepared)
            connection_ = *std::move(opened);
        else
            out = unanswered(state, std::move(out), prepared.error().text);
    }
    if (connection_.is_open()) ask(state, bound, out);
    if (answered_) out.problem = count(state, bound);
    if (auto hanging = hangs(*postmaster); !hanging.empty() && out.server != cluster::Server::starting) {
        cluster::Observation hung;
        hung.server = cluster::Server::starting;
        hung.upstream = out.upstream;
        hung.names = out.names;
        hung.problem = std::move(hanging);
        return hung;
    }
    if (auto const marker = read_marker(place); !marker.empty())
        out.problem = "running in spite of unfinished work: " + marker;
    if (out.server == cluster::Server::recovery || out.server == cluster::Server::primary) last_ = out;
    return out;
}

// Why this server is not to be counted on any more; empty while it is. A stopped postmaster is a fact that no load can
// feign, silence may be mere load: that gets time.
std::string Watch::hangs(ServerProcess const& postmaster) {
    auto const now = runtime::boot_now();
    auto const follow = [&](bool bad, Instant& since, Duration patience) {
        if (!bad)
            since = {};
        else if (since == Instant{})
            since = now;
        return bad && now - since > patience;
    };
    bool const stopped = follow(postmaster.state == 'T', stopped_since_, kStoppedPatience);
    bool const silent = follow(!answered_, silent_since_, facts_tell_ ? kTellingPatience : kSilentPatience);
    if (stopped) return "the postmaster is stopped (SIGSTOP): new connections hang";
    if (silent) return fmt::format("the server has not answered for {} s", (now - silent_since_) / 1s);
    return {};
}

// What the server was when it last answered. Never half of it: a primary without its timeline looks like one that no
// epoch granted. Nor is a receiver known to be gone when the upstream has changed since.
cluster::Observation Watch::unanswered(Server::State& state, cluster::Observation now, std::string problem) {
    Gate const* const gate = state.words;
    auto const moment = runtime::boot_now();
    auto const facts = gate != nullptr ? gate->facts(moment) : GateFacts{};
    facts_tell_ = postmaster_ && facts.postmaster == postmaster_->pid && moment - facts.told < kFactsFresh;
    if (last_.server != cluster::Server::absent) {
        auto const wanted = std::exchange(now, last_);
        bool const standby = now.server == cluster::Server::recovery;
        if (standby && wanted.upstream != now.upstream) now.receiver = true;
        now.upstream = wanted.upstream;
        if (!standby) now.names = wanted.names;
        if (facts_tell_ && !standby && !facts.in_recovery) take_facts(facts, now);
    }
    now.problem = std::move(problem);
    return now;
}

// The rest of a primary does not change by itself. A standby that is new waits until SQL has said who connected it, and
// so does one whose name two walsenders have.
void Watch::take_facts(GateFacts const& facts, cluster::Observation& out) const {
    out.flush = out.replay = std::max(out.flush, facts.flush);
    std::erase_if(out.senders, [&](cluster::Sender& known) {
        GateFacts::Sender const* found = nullptr;
        for (auto const& one : facts.senders) {
            if (one.node != known.node) continue;
            if (found != nullptr) return false;
            found = &one;
        }
        if (found == nullptr) return true;
        known.streaming = found->streaming;
        known.sent = found->sent;
        known.write = found->write;
        known.flush = found->flush;
        known.replay = found->replay;
        return false;
    });
}

void Watch::ask(Server::State& state, Bound const& bound, cluster::Observation& out) {
    auto const rows = connection_.query("EXECUTE pgkeel_look", bound);
    if (!rows || rows->size() != 1 || (*rows)[0].size() != conninfo + 1) {
        out = unanswered(state, std::move(out), rows ? "unexpected answer from PostgreSQL" : rows.error().text);
        connection_.close();
        return;
    }
    answered_ = true;
    auto const& row = (*rows)[0];
    auto text = [&](Column column) { return std::string_view(row[column] ? *row[column] : std::string_view{}); };
    bool const standby = text(recovery) == "t";
    out.server = standby ? cluster::Server::recovery : cluster::Server::primary;
    for (auto const slot : split(text(slots), ',')) {
        if (auto owner = slot_owner(slot); !owner.value.empty()) out.slots.insert(std::move(owner));
    }
    if (!standby) {
        out.flush = out.replay = lsn(text(end));
        out.timeline = {number<std::uint32_t>(text(primary_timeline), 0, 16)};
        out.senders = parse_senders(text(senders));
        out.fork = fork_of(state.place.data(), out.timeline);
        out.whole = true;
        std::lock_guard const lock(state.mutex);
        if (state.first_xid.first == out.timeline) out.first_xid = state.first_xid.second;
        return;
    }
    // A standby's names are "nobody" until its promotion writes real ones: nothing is in force, nothing is shown.
    out.names = {};
    out.replay = lsn(text(end));
    out.flush = std::max(out.replay, lsn(text(received)));
    // The startup process may have asked for a receiver that is not there yet, or may still ask for one: with the
    // upstream that the server itself knows, whatever the file says by now.
    bool const receives = text(processes).contains("walreceiver");
    out.receiver = receives || text(processes).contains("startup RecoveryWalStream") ||
                   (out.upstream.value.empty() && text(conninfo) == "t");
    out.streaming = !text(stream).empty();
    // The startup process asks for a receiver, or sleeps between two looks into pg_wal, only after it has replayed all
    // that is there. True once for a server is true for good: what comes later, a receiver wrote.
    bool const waits = text(processes).contains("startup RecoveryWalStream") ||
                       text(processes).contains("startup RecoveryRetrieveRetryInterval");
    {
        std::lock_guard const lock(state.mutex);
        if (receives || waits) state.settled = postmaster_;
        out.settled = state.settled && same(*state.settled, *postmaster_);
    }
    out.whole = out.settled;
    out.timeline = timeline_of(state, out.flush, number<std::uint64_t>(text(segment)),
                               {number<std::uint32_t>(text(control))}, {number<std::uint32_t>(text(stream))});
    out.fork = fork_of(state.place.data(), out.timeline);
    if (row[age]) out.replay_delay = receives && out.replay == out.flush ? Duration{0} : Duration(number(text(age)));
    if (!text(stream).empty()) state.sweep_old();
}

Timeline Watch::timeline_of(Server::State& state, Lsn end, std::uint64_t segment_bytes, Timeline at_least,
                            Timeline received) {
    // The byte before `end` stays with its timeline for ever, and WAL that streams stays on the receiver's.
    bool const known = owned_.owner.value != 0 && at_least == owned_.at_least &&
                       (end == owned_.end || (received == owned_.owner && end > owned_.end));
    if (!known) owned_.owner = timeline_on_disk(state.place.data(), end, segment_bytes, at_least);
    owned_.end = end;
    owned_.at_least = at_least;
    return owned_.owner;
}

Lsn Watch::fork_of(std::string const& data, Timeline timeline) {
    if (forked_.first != timeline) {
        auto const history = read_history(data, timeline);
        if (!history) return {};  // asked again at the next look
        forked_ = {timeline, history->empty() ? Lsn{} : history->back().until};
    }
    return forked_.second;
}

cluster::Observation Watch::down(Server::State& state, cluster::Observation out) {
    auto const& place = state.place;
    connection_.close();
    postmaster_.reset();
    last_ = {};
    out.names = {};
    // Nobody may call a server stopped while its orphans still answer clients.
    if (auto const killed = state.reap(); killed > 0) {
        runtime::log::warning("postgres", "the postmaster died; {} of its processes went on and were killed", killed);
    }
    if (auto const marker = read_marker(place); !marker.empty()) {
        out.server = cluster::Server::unusable;
        out.problem = marker;
        return out;
    }
    // postmaster.pid was removed under a living server, which goes on until it notices (a minute).
    if (auto const rest = server_processes(place.data());
        std::ranges::any_of(rest, [](auto const& one) { return !is_child(one); })) {
        out.server = cluster::Server::starting;
        out.problem = "a server runs in " + place.data() + ", but postmaster.pid does not name it";
        return out;
    }
    if (!runtime::exists(place.data() + "/PG_VERSION")) {
        out.server = cluster::Server::absent;
        return out;
    }
    struct stat file{};
    ::stat((place.data() + "/global/pg_control").c_str(), &file);
    std::pair<std::uint64_t, std::int64_t> const now{file.st_ino,
                                                     file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec};
    if (!stopped_ || now != stopped_file_) {
        auto const control_data = read_control_data(place, Bound(2s));
        out.server = cluster::Server::stopped;
        if (control_data) {
            // A lower bound: how far the WAL reaches shows when it has been replayed.
            out.flush = out.replay = control_data->known_end();
            out.timeline =
                timeline_on_disk(place.data(), out.flush, control_data->segment_bytes, control_data->known_timeline());
            out.fork = fork_of(place.data(), out.timeline);
            // A primary's last checkpoint is the last of its WAL; a standby may have received more than it replayed.
            out.whole = control_data->state == "shut down";
            // A base backup that was never started has its source's pg_control.
            out.was_primary = control_data->of_primary() && !runtime::exists(place.data() + "/backup_label");
        } else {
            out.problem = control_data.error().text;
            return out;
        }
        stopped_ = out;
        stopped_file_ = now;
    }
    cluster::Observation seen = *stopped_;
    seen.upstream = out.upstream;
    std::lock_guard const lock(state.mutex);
    seen.problem = state.start_trouble;
    return seen;
}

}  // namespace keel::postgres
