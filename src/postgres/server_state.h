// The inside of postgres::Server: what its threads share, and the parts of its work, one file each: watch (observe),
// lifecycle (start, stop, kill), replication (follow, cut, slots), barrier (set_names), promote, rewind, clone,
// configure. Private to this folder.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "postgres/conf.h"
#include "postgres/directory.h"
#include "postgres/disk.h"
#include "postgres/gate.h"
#include "postgres/libpq.h"
#include "postgres/process.h"
#include "postgres/server.h"
#include "postgres/timelines.h"

namespace keel::postgres {

// Looks at the server through a connection of its own. Used by one thread.
class Watch {
  public:
    // The disk included.
    cluster::Observation look(Server::State& state, Bound const& bound);
    // The last look got an answer of the server, or found none running.
    bool answered() const { return answered_; }

  private:
    cluster::Observation see(Server::State& state, Bound const& bound);
    cluster::Observation unanswered(Server::State& state, cluster::Observation now, std::string problem);
    // Positions of a primary that has no time for SQL, from the words it shares with the agent.
    void take_facts(GateFacts const& facts, cluster::Observation& out) const;
    // count.cc
    static Result<Rows> prepare_count(Connection& connection, Bound const& bound);
    std::string count(Server::State& state, Bound const& bound);
    std::string hangs(ServerProcess const& postmaster);
    void ask(Server::State& state, Bound const& bound, cluster::Observation& out);
    Timeline timeline_of(Server::State& state, Lsn end, std::uint64_t segment_bytes, Timeline at_least,
                         Timeline received);
    cluster::Observation down(Server::State& state, cluster::Observation out);
    // Where the timeline left its parent, by its history file; 0 for the first one.
    Lsn fork_of(std::string const& data, Timeline timeline);

    Connection connection_;
    std::optional<ServerProcess> postmaster_;  // to which the connection leads
    cluster::Observation last_;
    bool answered_ = false;
    Instant stopped_since_;    // the postmaster is in the state of SIGSTOP
    Instant silent_since_;     // nobody answers
    bool facts_tell_ = false;  // but the server still writes facts
    Instant counted_;          // when clients and proxied roles were last counted
    std::string crowd_;        // what came of the clients
    // pg_control of a stopped server is read again only when the file has changed (a rewind, a clone).
    std::optional<cluster::Observation> stopped_;
    std::pair<std::uint64_t, std::int64_t> stopped_file_;  // inode, modification time in ns
    struct Owned {
        Lsn end;
        Timeline at_least;
        Timeline owner;
    } owned_;
    std::pair<Timeline, Lsn> forked_;  // of the timeline last asked for: it never changes
};

// A command while it runs.
struct Running {
    cluster::Command const& command;
    Peers const& peers;
    ProgressListener const& progress;
    Bound bound;
    std::string text;  // for people, also of a success
};

struct Server::State {
    explicit State(Place where) : place(std::move(where)), wanted(read_wanted(place)) {}

    Place const place;

    std::mutex mutex;  // guards what follows, held for moments only
    Settings settings;
    std::optional<std::set<NodeId>> admitted;  // the members that admit() brought about last
    Instant admitted_at;                       // when pg_ident.conf was last read
    Wanted wanted;                             // as written in pgkeel.conf
    bool names_certain = false;            // the last set_names passed its barrier: no walsender applies anything else
    std::optional<ServerProcess> settled;  // the server that has replayed all of its local WAL
    pid_t child = 0;                       // a postmaster that we started, so that its zombie is ours
    Connection checkpoint;                 // runs the first checkpoint after a promotion
    std::jthread sweeper;                  // removes data.old
    std::atomic<bool> sweeping = false;

    std::atomic<std::uint64_t> kills = 0;
    std::string refused_extension;  // by PostgreSQL, with its time of change; the server runs without that one
    std::string refusal;            // why, in PostgreSQL's words
    std::string start_trouble;      // why the last start failed; empty: it did not. Guarded by `mutex`
    // The timeline that the last promotion came out on, and the next xid at that moment. Guarded by `mutex`.
    std::pair<Timeline, std::uint64_t> first_xid;
    std::mutex launching;  // a start of the postmaster and a kill exclude each other

    std::atomic<Gate const*> words = nullptr;  // none: there are no facts

    DiskProbe disk{place.data()};
    bool relieved = false;  // guarded: a checkpoint was asked for since the disk is tight

    Watch watch;  // of observe()
    std::mutex watching;
    Watch command_watch;  // of run()

    Settings current_settings() {
        std::lock_guard const lock(mutex);
        Settings out = settings;
        if (out.extension.empty() || change_of(out.extension) == refused_extension) out.extension.clear();
        return out;
    }
    Wanted current_wanted() {
        std::lock_guard const lock(mutex);
        return wanted;
    }

    // watch.cc
    void reap_child();
    void poll_checkpoint();
    void relieve_disk(cluster::Observation const& seen);
    void sweep_old();

    // lifecycle.cc
    std::size_t reap();
    Status kill();      // overtakes the command that runs
    Status kill_now();  // as a part of it
    Status start(Running& run);
    Status start_standby(Wanted const& target, Bound const& bound);
    static std::string change_of(std::string const& library);
    bool extension_refused(Error const& error);
    void let_signals_through(bool through);
    Status stop(Running& run);
    Status shut_down(Bound const& bound);
    Result<ServerProcess> postmaster();

    // replication.cc
    Status write(Wanted const& next);
    Status reload();
    Result<Wanted> towards(Running const& run) const;
    Status follow(Running& run);
    Status cut(Running& run);
    Status slots(Running& run);
    Status advance(std::map<NodeId, Lsn> const& flushed);

    // configure.cc
    Status configure(Running& run);
    Status admit();
    void take_proxied(std::set<std::string> roles);

    // barrier.cc
    Status set_names(Running& run);
    Result<Connection> names_reach(cluster::Names const& names, Bound const& bound);

    // promote.cc
    Status promote(Running& run);
    void note_first_xid(Connection& connection, Timeline timeline, Bound const& bound);
    void begin_checkpoint(Bound const& bound);

    // rewind.cc, clone.cc
    Status rewind(Running& run);
    Status clone(Running& run);
};

}  // namespace keel::postgres
