// The node's PostgreSQL on the agent's one thread: looks at it regularly and at once when it dies, and carries out one
// command at a time; only a kill overtakes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cluster/node.h"
#include "cluster/vitals.h"
#include "postgres/place.h"
#include "runtime/asio.h"

namespace keel::postgres {
class Server;
}

namespace keel::agent {

class Supervisor {
  public:
    struct Callbacks {
        std::function<void(cluster::Observation const&)> on_observation;
        std::function<void(cluster::CommandDone const&)> on_done;
        // The postmaster that now runs; 0: none.
        std::function<void(pid_t, std::uint64_t start_ticks)> on_postmaster;
    };
    Supervisor(runtime::Io& io, postgres::Server& server, Callbacks callbacks);
    ~Supervisor();
    Supervisor(Supervisor const&) = delete;
    Supervisor& operator=(Supervisor const&) = delete;

    void begin();
    // Ends with exactly one on_done, never from inside this call, whose observation was made after it; no observation
    // begun before it is delivered afterwards. A kill overtakes: the command that runs ends at once with ok = false.
    void carry_out(cluster::Command command, postgres::Peers peers);
    // The same for the agent's own wishes (a stop, a restart): waits for its turn, and the machine learns of it by the
    // next observation.
    runtime::Task<cluster::CommandDone> carry_out_aside(cluster::Command command);
    // How often to look when nothing happens.
    void set_pace(Duration pace);
    void look_soon();
    // On a standby: slots for the others move with their WAL.
    void advance_slots(std::map<NodeId, Lsn> flushed);
    // Parameters that wait for a restart; asked for every ten seconds.
    std::vector<std::string> const& pending_restart() const;
    // Likewise; none while the server does not answer.
    std::optional<cluster::Vitals> const& vitals() const;
    // "clone from bela: 1.2 of 3.0 GB"; empty when nothing long runs.
    std::string activity() const;
    // Ends looking; a command that still runs is waited for.
    runtime::Task<void> close();

    struct State;

  private:
    std::shared_ptr<State> state_;
};

}  // namespace keel::agent
