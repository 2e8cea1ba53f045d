#include "clients.h"

#include "world.h"

namespace keel::sim {

void Clients::write_later() {
    Time const mean = world_.plan.client_interval;
    world_.scheduler.after(world_.rng.between(mean / 2, mean * 3 / 2), [this] {
        for (int node = 0; node < world_.size(); ++node) {
            auto& host = world_.host(node);
            if (host.postgres.read_write() && !host.machine_paused()) host.postgres.write_commit();
        }
        write_later();
    });
}

}  // namespace keel::sim
