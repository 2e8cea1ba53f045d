// After everything is healed: one primary, full redundancy and acknowledged writes within a bounded time.
#pragma once

#include <string>

#include "rng.h"

namespace keel::sim {

class World;

class Liveness {
  public:
    explicit Liveness(World& world) : world_(world) {}
    // What is still missing; empty when the cluster is whole.
    std::string missing() const;
    // Strict mode with fewer standbys than it wants: by design nothing is acknowledged.
    bool writes_may_wait() const;
    static constexpr Time kBound = 60 * kSecond;

  private:
    std::string missing_standbys(int leader) const;
    std::string missing_sync(int leader) const;
    World& world_;
};

}  // namespace keel::sim
