// One machine: its clocks, its guardian, its PostgreSQL, and the agent that drives the real cluster::Node by the
// contract in cluster/node.h.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clock.h"
#include "cluster/node.h"
#include "postgres_model.h"

namespace keel::sim {

class World;

class Host {
  public:
    Host(World& world, int self, cluster::Kind kind);

    int self() const { return self_; }
    NodeId const& id() const { return id_; }
    cluster::Kind kind() const { return kind_; }
    bool data() const { return kind_ == cluster::Kind::data; }
    bool powered() const { return powered_; }
    bool agent_alive() const { return node_ != nullptr; }
    bool works() const { return powered_ && node_ && agent_paused_ == 0; }
    bool agent_paused() const { return agent_paused_ > 0; }
    bool disk_full = false;
    bool disk_tight = false;
    void stall_disk();
    void unstall_disk();
    cluster::Node const* node() const { return node_.get(); }
    HostClock& clock() { return clock_; }
    PostgresModel postgres;
    Epoch durable_floor;

    // ---- faults
    void start_agent();
    void crash_agent();
    void pause_agent();
    void resume_agent();
    void power_off();
    void power_on();
    void pause_machine(bool clock_blind);
    void resume_machine();
    bool machine_paused() const { return machine_paused_; }
    Time blind_total() const { return blind_total_; }
    Time resumed_at() const { return resumed_at_; }

    // ---- events for the machine; queued while the agent is paused
    void deliver(int from, std::shared_ptr<cluster::Message const> message);
    void observe_soon(Time delay);
    void store_answered(std::uint64_t agent_life, cluster::StoreAnswer answer);
    void record_learned(std::shared_ptr<cluster::Record const> record);
    std::uint64_t agent_life() const { return agent_life_; }
    cluster::Observation look() const;
    // One line for people: agent, machine, server.
    std::string describe() const;

  private:
    struct Waiting {
        enum class Kind { tick, message, observe, done, store, learn } kind = Kind::tick;
        int from = -1;
        std::shared_ptr<cluster::Message const> message = nullptr;
        std::shared_ptr<cluster::CommandDone const> done = nullptr;
        std::shared_ptr<cluster::StoreAnswer const> answer = nullptr;
        std::shared_ptr<cluster::Record const> record = nullptr;
    };
    void enqueue(Waiting event);
    void run(Waiting const& event);
    void drain();
    void apply(std::vector<cluster::Effect> effects, std::size_t from);
    void apply_one(cluster::Effect& effect);
    void persist(Epoch floor, std::vector<cluster::Effect> effects, std::size_t rest);
    void finish_persist(Time span, std::uint64_t life, Epoch floor,
                        std::shared_ptr<std::vector<cluster::Effect>> const& kept, std::size_t rest);
    void arm(Instant deadline);
    void guard();
    void tick_later();
    void look_later();
    void next_store_request();
    cluster::Clock now() const;

    // commands.cc
    void begin(cluster::Command const& command);
    void finish(bool ok, std::string text);
    void after(Time delay, void (Host::*next)());
    void succeed();
    void refuse();
    void run_start();
    void start_up();
    void run_follow();
    void run_cut();
    void cut_check();
    void run_promote();
    void promote_names_in_force();
    void promote_later(Time delay, std::uint64_t server, std::uint32_t timeline,
                       std::shared_ptr<std::vector<cluster::Branch> const> lineage);
    void promote_done();
    void run_set_names();
    void nobody_barrier();
    void reach_names();
    void names_barrier();
    void run_stop();
    void stop_clients();
    void stop_wait();
    void run_kill();
    void kill_done();
    bool source_serves() const;
    void run_rewind();
    void rewind_done();
    void run_clone();
    void clone_done();
    void take_copy();
    void abort_copy();

    World& world_;
    int self_;
    NodeId id_;
    cluster::Kind kind_;
    HostClock clock_;
    bool powered_ = true;
    int agent_paused_ = 0;
    bool machine_paused_ = false;
    bool blind_pause_ = false;
    Time paused_at_ = 0;
    Time stalled_at_ = 0;
    Time blind_total_ = 0;
    Time resumed_at_ = 0;

    std::unique_ptr<cluster::Node> node_;
    std::uint64_t agent_life_ = 0;
    std::uint64_t incarnation_ = 0;
    std::deque<Waiting> inbox_;
    bool draining_ = false;
    bool look_scheduled_ = false;
    cluster::State last_state_ = cluster::State::fresh;

    std::optional<Instant> armed_;
    bool guarding_ = false;

    struct StoreRequest {
        std::uint64_t expected = 0;
        std::shared_ptr<cluster::Record const> record;  // null: refresh
    };
    std::deque<StoreRequest> store_queue_;
    bool store_busy_ = false;

    std::optional<cluster::Command> running_;
    std::uint64_t command_life_ = 0;
    Time command_began_ = 0;
    int copy_from_ = -1;
    std::uint64_t copy_life_ = 0;
    bool names_certain_ = false;  // what is in force is known, not only what the file says
    bool lying_ = false;          // the defect "no F0": says that the receiver is gone
    bool was_blocked_ = false;
};

}  // namespace keel::sim
