// The default store: the replicated register of register.h, driven over the peer channel and the acceptor's file.
#pragma once

#include <filesystem>
#include <memory>
#include <set>

#include "base/time.h"
#include "consensus/register.h"
#include "consensus/store.h"

namespace keel::consensus {

class Embedded final : public Store {
  public:
    // What the driver gets from the agent; all are called on, and must call back on, the loop's thread.
    struct Ports {
        std::function<void(NodeId const&, std::string)> send;        // to a peer, never to oneself; may lose it
        std::function<void(Duration, std::function<void()>)> after;  // one-shot timer
        std::function<void(std::function<void()>)> post;             // run soon, not from inside this call
        // Runs `work` on another thread and `done` on the loop with its result. Empty: files are written inline.
        std::function<void(std::function<Status()> work, std::function<void(Status)> done)> blocking;
        std::function<std::uint64_t()> random;
    };
    struct Options {
        std::filesystem::path file;  // <dir>/state/acceptor
        std::string cluster_id;
        NodeId self;
        std::set<NodeId> peers;      // whom to ask for the record at first, as from node.toml or the join
        Duration give_up_after{2s};  // one operation
        Duration ask_again_after{60ms};
    };

    // For `pgkeel init`: creates the first node's file with the record (revision 1, voters {node}).
    static Status bootstrap(Options const& options, cluster::Record record, Seat seat);
    // Opens the acceptor's file; a missing one is created with a new seat (see register.h), so a joining node needs no
    // preparation, and a voter that lost its disk is seated again by itself.
    static Result<std::unique_ptr<Embedded>> open(Options options, Ports ports);
    ~Embedded() override;

    void read(Answer answer) override;
    void swap(std::uint64_t expected, cluster::Record record, Answer answer) override;
    void watch(Watcher watcher) override;
    std::string trouble() const override;

    // A message of the register's from a peer; foreign bytes are checked, nonsense is dropped.
    void receive(NodeId const& from, std::string_view bytes);
    // This peer knows a newer revision (its heartbeat says so): ask it.
    void fetch(NodeId const& peer);

  private:
    struct Driver;
    explicit Embedded(std::shared_ptr<Driver> driver);
    std::shared_ptr<Driver> driver_;
};

}  // namespace keel::consensus
