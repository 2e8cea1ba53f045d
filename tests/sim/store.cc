#include "store.h"

#include "world.h"

namespace keel::sim {

using cluster::Swapped;

// The store is no node: the cut of a node's store traffic to its neighbour stands for the way to the store.
bool MemoryStore::reachable(int node) const {
    return (world_.network.open(Traffic::store, node, (node + 1) % world_.size()) && world_.host(node).powered());
}

void MemoryStore::read(int node, Done done) {
    auto& scheduler = world_.scheduler;
    if (!reachable(node)) {
        scheduler.after(world_.rng.between(200, 800) * kMs, [done] { done(Swapped::unknown, nullptr); });
        return;
    }
    scheduler.after(world_.network.delay(), [this, node, done] {
        SharedRecord const now = record_;
        world_.scheduler.after(world_.network.delay(), [this, node, done, now] {
            if (reachable(node))
                done(Swapped::done, now);
            else
                done(Swapped::unknown, nullptr);
        });
    });
}

void MemoryStore::swap(int node, int author, std::uint64_t expected, SharedRecord next, Done done) {
    auto& scheduler = world_.scheduler;
    if (!reachable(node)) {
        scheduler.after(world_.rng.between(200, 800) * kMs, [done] { done(Swapped::unknown, nullptr); });
        return;
    }
    bool const answer_lost = world_.rng.chance(world_.plan.lost_answers);
    // A request may take effect long after its sender gave up on it.
    Time const delay =
        answer_lost ? world_.rng.between(0, 1500) * kMs : world_.network.delay() + world_.rng.between(0, 3) * kMs;
    scheduler.after(delay, [this, node, author, expected, next, done, answer_lost] {
        bool const fits = record_->revision == expected;
        if (fits) {
            auto written = std::make_shared<cluster::Record>(*next);
            written->revision = expected + 1;
            SharedRecord const before = std::exchange(record_, std::move(written));
            world_.record_written(author, *before, *record_);
        }
        if (answer_lost) return;
        SharedRecord const now = record_;
        world_.scheduler.after(world_.network.delay(), [this, node, done, fits, now] {
            if (reachable(node))
                done(fits ? Swapped::done : Swapped::conflict, now);
            else
                done(Swapped::unknown, nullptr);
        });
    });
    if (answer_lost) scheduler.after(world_.rng.between(100, 1200) * kMs, [done] { done(Swapped::unknown, nullptr); });
}

}  // namespace keel::sim
