// The cluster's record in the real replicated register (consensus/register.h): its acceptors and proposers on every
// node, over the modelled network and disks; records are passed by number, so that no JSON is parsed in the loop.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "consensus/register.h"
#include "store.h"

namespace keel::sim {

class RegisterStore : public Store {
  public:
    RegisterStore(World& world, SharedRecord first);
    void read(int node, Done done) override;
    void swap(int node, int author, std::uint64_t expected, SharedRecord next, Done done) override;
    SharedRecord truth() const override { return truth_; }
    void node_stopped(int node) override;
    void node_started(int node) override;
    void node_resumed(int node) override;

  private:
    struct Request {
        enum class Kind { read, swap, reseat } kind = Kind::read;
        std::uint64_t expected = 0;
        std::string text = {};
        std::set<NodeId> voters = {};
        Done done = {};
    };
    // One node's share: the disk survives its crashes, the rest does not.
    struct Seat {
        consensus::Seat number = 0;
        consensus::Durable disk;
        std::unique_ptr<consensus::Acceptor> acceptor;
        std::unique_ptr<consensus::Proposer> proposer;
        std::uint64_t life = 0;
        std::uint64_t serial = 0;  // of the current operation; its timers carry it
        std::deque<Request> requests;
        std::optional<Request> current;
        std::optional<consensus::Learned> known;
        std::deque<std::pair<int, consensus::Message>> waiting;
        std::optional<consensus::Durable> saving;
        bool reseating = false;
        std::vector<std::function<void()>> held;  // while the agent is paused
    };
    struct Written {
        SharedRecord record;
        int author = -1;
    };

    Seat& seat(int node) { return seats_[static_cast<std::size_t>(node)]; }
    NodeId const& id(int node) const;
    template <class F>
    void later(int node, Time delay, F function);
    template <class F>
    void on_operation(int node, Time delay, F function);
    void run_or_hold(int node, std::function<void()> function);
    void submit(int node, Request request);
    void next(int node);
    void tick_later(int node);
    void carry_out(int node, consensus::Step const& step);
    void finish(int node, consensus::Finish const& end);
    void learn(int node, consensus::Learned const& learned);
    void reseat_if_needed(int node);
    void send(int from, int to, consensus::Message const& message);
    void deliver(int node, int from, consensus::Message const& message);
    void save_next(int node);
    void saved(int node, consensus::Durable durable, int to, consensus::Message const& reply);
    // The checker's eye: is what this acceptor just took chosen now? Acceptors may have gone on to newer ballots.
    void look_at(int node);
    void chosen(consensus::Value const& value);
    SharedRecord record_of(consensus::Value const& value) const;

    World& world_;
    std::vector<Seat> seats_;
    std::vector<Written> texts_;
    std::map<std::string, std::string> text_of_write_;
    std::map<consensus::Ballot, consensus::Answers> taken_;
    SharedRecord truth_;
    std::string truth_text_;
    std::string truth_write_ = "genesis";
};

}  // namespace keel::sim
