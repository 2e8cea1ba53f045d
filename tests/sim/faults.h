// The troublemaker: carries out the kinds of fault that the plan drew, at drawn times, and undoes them.
#pragma once

#include <functional>
#include <map>

#include "plan.h"
#include "store.h"

namespace keel::sim {

class World;

class Faults {
  public:
    explicit Faults(World& world) : world_(world) {}
    void begin();
    // Everything that was broken works again; nothing new breaks.
    void heal();

  private:
    void next();
    void cause(Fault fault);
    void on_network(Fault fault);
    void on_machine(Fault fault, int node);
    void on_disk(Fault fault, int node);
    void by_operator(Fault fault);
    void step_clock(int node);
    void settle_record();
    int victim();
    int data_victim();
    // The operator's edit; tried again a few times after a conflict. `edit` returns false when there is nothing to do.
    using Edit = std::function<bool(cluster::Record&)>;
    void edit_record(Edit edit, int attempts = 5);
    void edit_members(cluster::Record& record);
    // Undone after `span`, unless healing came first.
    template <class Undo>
    void later(Time span, Undo undo);

    World& world_;
    std::uint64_t era_ = 0;
    std::map<NodeId, cluster::Member> removed_;
};

}  // namespace keel::sim
