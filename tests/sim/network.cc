#include "network.h"

#include "world.h"

namespace keel::sim {

Time Network::delay() {
    Rng& rng = world_.rng;
    if (late > 0 && rng.chance(late)) return rng.between(delay_max, late_max);
    return rng.between(delay_min, delay_max);
}

Time Network::stream_delay() {
    Rng& rng = world_.rng;
    Time result = delay();
    if (loss > 0 && rng.chance(loss)) result += rng.between(1, 40) * kMs;
    return result;
}

void Network::send(int from, int to, cluster::Message const& message) {
    auto const shared = std::make_shared<cluster::Message const>(message);
    post(from, to, [this, from, to, shared] { world_.host(to).deliver(from, shared); });
}

void Network::cut(Traffic kind, int from, int to) {
    if (from == to) return;
    if (cuts_[static_cast<int>(kind)][from][to]++ != 0 || kind != Traffic::wal) return;
    world_.host(from).postgres.link_cut(to);
    world_.host(to).postgres.link_cut(from);
}

void Network::heal(Traffic kind, int from, int to) {
    int& count = cuts_[static_cast<int>(kind)][from][to];
    if (from == to || count == 0) return;
    if (--count != 0 || kind != Traffic::wal) return;
    world_.host(from).postgres.link_healed(to);
    world_.host(to).postgres.link_healed(from);
}

void Network::heal_everything() {
    for (int kind = 0; kind < kTraffics; ++kind) {
        for (int from = 0; from < world_.size(); ++from) {
            for (int to = 0; to < world_.size(); ++to) {
                while (cuts_[kind][from][to] > 0) heal(static_cast<Traffic>(kind), from, to);
            }
        }
    }
}

}  // namespace keel::sim
