// Clients that bypass all routing: they write to every server that is read-write, all the time.
#pragma once

#include "rng.h"

namespace keel::sim {

class World;

class Clients {
  public:
    explicit Clients(World& world) : world_(world) {}
    void begin() { write_later(); }

  private:
    void write_later();
    World& world_;
};

}  // namespace keel::sim
