// The story of a node as its log tells it: every change of mind with its reason, every epoch, every failover with its
// phases; the last of them are kept for `explain`.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "cluster/node.h"

namespace keel::agent {

struct Decision {
    std::int64_t unix_ms = 0;
    Epoch epoch;
    cluster::State state = cluster::State::fresh;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(Decision, (), (unix_ms, epoch, state, reason))

// Counted since the agent started.
struct Counters {
    std::uint64_t elections = 0;  // epochs that this node saw begin
    std::uint64_t promotions = 0;
    std::uint64_t fenced = 0;  // times that the fence killed its server
    std::uint64_t record_writes = 0;
    std::uint64_t record_conflicts = 0;
    std::int64_t started_unix_ms = 0;
    // Of the last failover seen from here, in seconds: detect, fence, decide, promote, open.
    std::map<std::string, double> failover_seconds;
};

class Story {
  public:
    explicit Story(NodeId self) : self_(std::move(self)) {}

    // After every step of the machine.
    void after_step(cluster::Clock clock, cluster::Node const& node);
    void command_given(cluster::Command const& command);
    void command_ended(Instant now, cluster::Verb verb, bool ok);

    std::deque<Decision> const& decisions() const { return decisions_; }
    Counters const& counters() const { return counters_; }
    Counters& counters() { return counters_; }
    // The phases of the failover that this node has just won, once: "detect 612 ms, ...". Empty otherwise.
    std::string take_phases();

  private:
    void tell_record(cluster::Clock clock, cluster::Node const& node, cluster::Record const& record,
                     Instant lease_deadline);
    void tell_opinion(cluster::Clock clock, cluster::Node const& node, cluster::Opinion opinion);
    void failover_ended(Instant now, cluster::Record const& record);

    NodeId self_;
    std::deque<Decision> decisions_;
    Counters counters_;
    std::string last_reason_;
    cluster::State last_state_ = cluster::State::fresh;
    std::uint64_t revision_ = 0;
    std::uint64_t told_ = 0;  // number of the last history event
    Epoch epoch_;
    cluster::Phase phase_ = cluster::Phase::stable;
    NodeId leader_;
    Instant leader_heard_;  // of the leader of the last stable epoch
    // Moments of the election that runs.
    Instant revoked_, fenced_, appointed_, promoted_;
    Duration detect_{0};
    std::string phases_;
};

}  // namespace keel::agent
