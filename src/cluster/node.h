// The mind of one node, as a pure machine: events in, effects out. No clock, no socket, no thread, no random: the agent
// drives it with real ones (agent/), the simulator with modelled ones (tests/sim).
//
// The driver's contract:
// 1. Feed every event with a `now` that never goes back; call tick() where there would be none for heartbeat / 4.
// 2. Carry out the effects of one step in the order given. `Persist` must be on disk before any later effect of the
//    same step leaves the node; when it fails, drop the rest of the step and stop the node.
// 3. Commands to PostgreSQL: at most one runs; each ends with exactly one CommandDone carrying an observation made
//    after it. A `Kill` overtakes whatever runs: the overtaken command ends with ok = false. Observations may come at
//    any time, but none that was begun before the last CommandDone may follow it.
// 4. A compare-and-swap ends with exactly one StoreAnswer; `unknown` when it may or may not have happened.
#pragma once

#include <memory>

#include "cluster/messages.h"
#include "cluster/mutation.h"

namespace keel::cluster {

// "ANY count (members)"; count 0 = no synchronous replication.
struct Names {
    std::uint32_t count = 0;
    std::set<NodeId> members;
    bool operator==(Names const&) const = default;
};
BOOST_DESCRIBE_STRUCT(Names, (), (count, members))

// One walsender of this primary, as pg_stat_replication shows it.
struct Sender {
    NodeId node;
    bool streaming = false;  // state = streaming (not catchup, not backup)
    Lsn sent, write, flush, replay;
    Duration write_lag{-1}, flush_lag{-1}, replay_lag{-1};
};
BOOST_DESCRIBE_STRUCT(Sender, (), (node, streaming, sent, write, flush, replay, write_lag, flush_lag, replay_lag))

enum class Server {
    absent,    // no data directory
    unusable,  // a marker of an unfinished clone or rewind: never start this directory
    stopped,
    starting,  // a process is there, no connections yet
    recovery,  // up, pg_is_in_recovery
    primary,   // up, read-write
};
BOOST_DESCRIBE_ENUM(Server, absent, unusable, stopped, starting, recovery, primary)

// The local PostgreSQL as last seen.
struct Observation {
    Server server = Server::absent;
    bool settled = false;  // recovery: everything that is on local disk has been replayed
    bool whole = false;  // `flush` is certainly the end of the WAL on disk: received in this server's life, or settled,
                         // or (stopped) cleanly shut down; false while crash recovery still reads local WAL
    bool was_primary = false;  // stopped: it last ran as a primary, whoever started it
    Timeline timeline;         // of the last WAL on disk
    Lsn fork;                  // where `timeline` left its parent, from its history file; 0 for the first timeline
    Lsn flush;                 // end of the WAL on disk (primary: flush LSN; standby: max(received, replayed))
    Lsn replay;
    bool receiver = false;        // a WAL receiver process exists: it may get WAL at any moment
    bool streaming = false;       // and is connected; one that finds its upstream's timeline ended only waits
    NodeId upstream;              // whom primary_conninfo names; empty: cut
    Names names;                  // synchronous_standby_names as last written
    std::vector<Sender> senders;  // primary only
    std::set<NodeId> slots;       // members with a physical slot here
    Duration replay_delay{-1};
    std::uint64_t first_xid = 0;  // primary: the next xid when its promotion came out of recovery; 0: not known
    // If the agent hung, nothing would stop this server at the end of its lease: no guardian is awake to kill it, and
    // it does not fence itself.
    bool unguarded = false;
    Disk disk = Disk::sound;
    std::string disk_text;  // what it is like, for people; empty: nothing to be said
    std::string problem;    // for people
};
BOOST_DESCRIBE_STRUCT(Observation, (),
                      (server, settled, whole, was_primary, timeline, fork, flush, replay, receiver, streaming,
                       upstream, names, senders, slots, replay_delay, first_xid, unguarded, disk, disk_text, problem))

// What to tell people of a server: a disk that takes no writes explains the rest.
inline std::string const& problem_of(Observation const& seen) {
    bool const disk = seen.disk == Disk::useless || seen.problem.empty();
    return disk ? seen.disk_text : seen.problem;
}

// ---- effects --------------------------------------------------------------------------------------------------------
struct Send {
    NodeId to;
    Message message;
};
// Durable state of this node. Written before anything that depends on it leaves the node.
struct Persist {
    Epoch floor;
};
// Replace the record of revision `expected` by `record` (whose revision the store sets).
struct Swap {
    std::uint64_t expected = 0;
    Record record;
};
struct Refresh {};  // read the record from the store; answered by StoreAnswer
// For the guardian: from `deadline` on, a server of this node that still runs must be killed. Instant{} = disarm: no
// server of this node can be a primary. Goes out before a promotion starts and at each renewal of the lease.
struct Arm {
    Instant deadline;
};

enum class Verb {
    start,      // start as a standby (standby.signal), upstream as given (may be empty)
    follow,     // re-point a running standby to `peer` (conninfo + reload), slots included
    cut,        // F0: upstream = '' + reload, receiver seen gone; kill the receiver or stop after 1 s
    promote,    // names set and effective first; leave recovery onto exactly `timeline`
    set_names,  // synchronous_standby_names = names, reload, barrier; the observation's flush is F, read after it.
                // Where the count changes, or what is in force is not certain, through "nobody" and its own barrier
    stop,       // planned: checkpoint, then fast shutdown, bounded; the server must end up stopped
    kill,       // fence: SIGQUIT, 20 ms later SIGKILL, until every backend is gone
    rewind,     // quarantine the divergent WAL, pg_rewind from `peer`, marker around it
    clone,      // base backup from `peer` beside the old directory, then swap
    slots,      // have physical slots for exactly `members`
    configure,  // settings or peers changed: write the generated configuration, reload
};
BOOST_DESCRIBE_ENUM(Verb, start, follow, cut, promote, set_names, stop, kill, rewind, clone, slots, configure)

struct Command {
    std::uint64_t id = 0;
    Verb verb = Verb::start;
    NodeId peer;                  // follow, rewind, clone, start (may be empty)
    Names names;                  // promote, set_names
    Timeline timeline;            // promote: the timeline it must come out on
    std::vector<Branch> lineage;  // promote: so that known history files are in place; rewind: what is divergent
    std::set<NodeId> members;     // slots
    std::string reason;           // one sentence for the log
};
using Effect = std::variant<Send, Persist, Swap, Refresh, Arm, Command>;

// ---- events
// -------------------------------------------------------------------------------------------------------------
struct CommandDone {
    std::uint64_t id = 0;
    bool ok = false;
    std::string text;  // what went wrong
    Observation seen;
};
enum class Swapped { done, conflict, unknown };
struct StoreAnswer {
    Swapped result = Swapped::unknown;
    std::optional<Record> record;  // done, conflict: the record as it is now. Refresh: done
};

struct Clock {
    Instant now;
    std::int64_t unix_ms = 0;
};

struct Identity {
    NodeId id;
    Kind kind = Kind::data;
    std::uint64_t incarnation = 0;
    Epoch floor;                 // as last persisted
    Instant inherited_deadline;  // lease deadline that a dead predecessor of this agent left; Instant{} = none
};

// What status, explain and metrics show of this machine.
struct Opinion {
    State state = State::fresh;
    std::string reason;      // why it does what it does now, one sentence
    Instant lease_deadline;  // Instant{}: no lease
    Epoch floor;
    bool blocked = false;  // no leader, and no candidate that would keep every acknowledged commit
};

struct PeerSight {
    Heartbeat last;
    Instant heard;
};

class Node {
  public:
    Node(Identity identity, Clock clock);
    ~Node();
    Node(Node const&) = delete;
    Node& operator=(Node const&) = delete;

    std::vector<Effect> tick(Clock clock);
    std::vector<Effect> receive(Clock clock, NodeId const& from, Message const& message);
    std::vector<Effect> observe(Clock clock, Observation const& seen);
    std::vector<Effect> command_done(Clock clock, CommandDone const& done);
    std::vector<Effect> store_answer(Clock clock, StoreAnswer const& answer);
    // A newer record became known (watch, or a peer's copy).
    std::vector<Effect> learn(Clock clock, Record const& record);

    // Tests only: break one rule on purpose, to show that the simulator notices.
    void mutate(Mutation mutation);

    Opinion opinion() const;
    std::optional<Record> const& record() const;
    std::map<NodeId, PeerSight> const& peers() const;
    Observation const& observation() const;

  private:
    struct Mind;
    std::unique_ptr<Mind> mind_;
};

}  // namespace keel::cluster
