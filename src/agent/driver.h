// Drives the machine of cluster/node.h: real events in, effects carried out in order. One thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "agent/deadline_file.h"
#include "agent/guard.h"
#include "agent/story.h"
#include "agent/supervisor.h"
#include "cluster/node.h"
#include "config/node_config.h"
#include "consensus/store.h"
#include "postgres/gate.h"
#include "runtime/asio.h"

namespace keel::agent {

class Driver {
  public:
    // What carries the effects out. All live as long as the driver.
    struct Hands {
        std::function<void(NodeId const&, std::string)> send;
        consensus::Store* store = nullptr;
        Supervisor* supervisor = nullptr;  // none: a witness
        DeadlineFile* deadline = nullptr;
        postgres::Gate* gate = nullptr;  // none: a witness
        // The running server refuses commits by itself when the lease is over (F1).
        std::function<bool()> fences_itself;
        // Writes the floor on another thread; `done` comes back on this one.
        std::function<void(Epoch, std::function<void(Status)> done)> persist;
        // A newer record: before the machine's effects that follow from it.
        std::function<void(cluster::Record const&)> on_record;
        // After each step: what the agent knows may have changed.
        std::function<void()> on_step;
        // The node cannot go on (the floor could not be written).
        std::function<void(Error)> on_fatal;
    };
    Driver(cluster::Identity identity, Hands hands);

    // Steps unless something else did within the last quarter of a heartbeat. Returns when to call again.
    Duration tick();
    void receive(NodeId const& from, std::string_view body);
    void observe(cluster::Observation const& seen);
    void command_done(cluster::CommandDone const& done);
    void learn(cluster::Record const& record);
    // The server that a deadline armed from now on is meant for.
    void set_postmaster(pid_t pid, std::uint64_t start) { postmaster_ = {pid, start}; }

    // From here on PostgreSQL is neither started nor promoted nor copied: the node is being stopped.
    void hold_server_down() { held_down_ = true; }

    cluster::Node const& node() const { return node_; }
    Story& story() { return story_; }
    Story const& story() const { return story_; }
    cluster::Timing timing() const;
    bool command_runs() const { return running_.has_value(); }
    // What status says of the guardian.
    std::string guardian() const { return guardian_text(hands_.deadline->view(), guardian_pulse_.silent()); }

  private:
    struct Running {
        std::uint64_t id = 0;
        cluster::Verb verb = cluster::Verb::start;
    };

    // The time of an event that is about to reach the machine; a sign of life.
    cluster::Clock wake();
    void step(std::vector<cluster::Effect> effects);
    void carry_on();
    void carry_out(cluster::Effect effect);
    void carry_out(cluster::Persist const& persist);
    void carry_out(cluster::Swap swap);
    void carry_out(cluster::Refresh const&);
    void carry_out(cluster::Arm const& arm);
    void carry_out(cluster::Command command);
    void answered(cluster::StoreAnswer const& answer);
    cluster::Observation with_guard(cluster::Observation seen) const;
    void notice_record();
    void keep_gate();
    void shut_gate();
    void keep_pace();
    postgres::Peers peers() const;

    cluster::Identity identity_;
    Hands hands_;
    Story story_;
    cluster::Node node_;
    std::deque<cluster::Effect> effects_;
    std::pair<pid_t, std::uint64_t> postmaster_;
    Pulse guardian_pulse_;
    Instant woke_;
    bool persisting_ = false;
    bool held_down_ = false;
    bool stopped_ = false;
    // Until then the gate's words are those of a predecessor, whose server may be adopted: they end by themselves.
    bool gate_is_ours_ = false;
    std::optional<Running> running_;
    std::uint64_t revision_ = 0;
};

}  // namespace keel::agent
