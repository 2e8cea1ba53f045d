// The node's PostgreSQL: carries out cluster::Command, makes cluster::Observation. Blocking and bounded: every call has
// a deadline, and a hung server never hangs the caller.
//
// Threads: one may call observe(), one run(), and any further one kill() (or run() with Verb::kill) at the same moment;
// kill overtakes, the running command then ends with ok = false within some 50 ms. Everything else is safe to call from
// any thread. The process must be the unprivileged user that owns the directory, never root.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/node.h"
#include "postgres/place.h"
#include "postgres/process.h"

namespace keel::postgres {

class Gate;

class Server {
  public:
    // Touches nothing. A server that runs in the directory is adopted by the first observe() or command.
    explicit Server(Place place);
    // Leaves the server running.
    ~Server();
    Server(Server const&) = delete;
    Server& operator=(Server const&) = delete;

    // Takes effect with the next start or Verb::configure. invalid: a parameter that pgkeel owns, or a malformed one
    // (all of them in one text); then the settings but for the members stay as they were.
    Status set_settings(Settings settings);

    // Once, before the first observe(): from here on that says what the disk of the WAL is like, and has the facts that
    // the server writes to the gate, which lives as long as this. Without, it has nothing but SQL.
    void begin_probes(Gate const& gate);

    // The server as it is now; at most 600 ms. A server that does not answer is reported as last seen, with a problem.
    cluster::Observation observe();

    // Carries the command out; `done.seen` was observed after it. Never throws, never hangs.
    cluster::CommandDone run(cluster::Command const& command, Peers const& peers,
                             ProgressListener const& progress = {});

    // Verb::kill, from any thread: SIGQUIT to the postmaster, SIGKILL to everything 20 ms later; returns when no
    // process of the data directory is left. timeout: some do not die (blocked in the kernel); their pids are named.
    Status kill();

    // SIGKILL to server processes of this directory whose postmaster is dead: they go on acknowledging commits for
    // milliseconds to seconds. Touches no living server. Returns how many there were; cheap when the postmaster lives.
    std::size_t reap_orphans();

    // A descriptor (close-on-exec, the caller closes it) that becomes readable when the postmaster dies; -1 when none
    // runs. Its zombie, if it is our child, is reaped by the next observe().
    int postmaster_pidfd();
    std::optional<pid_t> postmaster_pid();
    // As find_postmaster() with what is known.
    std::optional<ServerProcess> postmaster(std::optional<ServerProcess> const& known);

    // On a standby: moves its unused slots up to where each member's WAL is, so that they do not hold WAL for ever.
    // To be called every few seconds with the flush positions of the heartbeats.
    Status advance_slots(std::map<NodeId, Lsn> const& flushed);

    // Brings the running server's pg_ident.conf to the members of the settings, and ends connections that were opened
    // by a certificate of one who is no member any more. To be called every few seconds; cheap when all is so already.
    Status admit_members();
    // SIGHUP: certificates and files are read again.
    Status reload();

    // Parameters that wait for a restart, as PostgreSQL names them. unavailable when the server is down.
    Result<std::vector<std::string>> pending_restart();

    // What status says about the fence inside the server (gate.h, judge_fence).
    std::string fence(Gate const& gate) const;

    Place const& place() const;

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace keel::postgres
