// The checkers of docs/PROTOCOL.md section 10. Each looks at the truth of the whole world, which no node can see.
#pragma once

#include <map>
#include <vector>

#include "cluster/node.h"
#include "wal.h"

namespace keel::sim {

class World;

class Invariants {
  public:
    explicit Invariants(World& world) : world_(world) {}

    void on_acknowledged(int node, Position commit, bool waited);
    void on_names(int node);
    void on_record(int author, cluster::Record const& before, cluster::Record const& after);
    void on_promoted(int node, int branch);
    void on_directory(int node);
    void on_start(int node);
    void on_release(int node);
    void on_state(int node, cluster::State from, cluster::State to);

  private:
    // I1: C and C2
    void check_coverage();
    void check_holders(char const* moment);
    // I2
    void check_one_writer(int node, Position commit, bool waited);
    // I4
    void check_leader_has_everything(int author, cluster::Record const& before, cluster::Record const& after);
    void check_late_commit(int node, Position commit);
    // I7, I8
    void check_epochs(int author, cluster::Record const& before, cluster::Record const& after);
    void guarantee(Position commit);

    World& world_;
    std::vector<Position> guaranteed_;               // newest acknowledged commit per branch that must survive
    std::map<std::uint64_t, int> opened_;            // epoch -> who was read-write in it
    std::map<std::uint64_t, cluster::Mode> reigns_;  // epoch that is over -> its last mode
    std::uint64_t newest_open_ = 0;
    std::int64_t newest_open_since_ = 0;
    int newest_open_branch_ = -1;
};

}  // namespace keel::sim
