// The network between nodes: peer messages are lost, delayed, repeated and reordered; WAL streams are ordered but
// stall. Each direction of each pair can be cut for either kind of traffic; cuts of several faults add up.
#pragma once

#include "cluster/messages.h"
#include "postgres_model.h"

namespace keel::sim {

enum class Traffic { peer, wal, store };
inline constexpr int kTraffics = 3;

class Network {
  public:
    explicit Network(World& world) : world_(world) {}

    double loss = 0;
    double duplicate = 0;
    double late = 0;  // probability of a delay of up to `late_max`
    Time late_max = 0;
    Time delay_min = 100;
    Time delay_max = 600;

    template <class F>
    void post(int from, int to, F arrive);
    void send(int from, int to, cluster::Message const& message);
    bool open(Traffic kind, int from, int to) const { return cuts_[static_cast<int>(kind)][from][to] == 0; }
    void cut(Traffic kind, int from, int to);
    void heal(Traffic kind, int from, int to);
    void heal_everything();
    Time delay();
    // WAL streams: retransmission instead of loss.
    Time stream_delay();

  private:
    World& world_;
    int cuts_[kTraffics][kMaxNodes][kMaxNodes]{};
};

}  // namespace keel::sim
