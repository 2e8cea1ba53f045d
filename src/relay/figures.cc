// What the relay counts while it works, and the copy of it for others.
#include <algorithm>

#include "relay/state.h"
#include "runtime/clock.h"

namespace keel::relay {

using proxy::PoolState;

namespace {

// Of servers: whom it counts for.
template <class Place>
void count_server(Backend const& backend, Place& place) {
    if (backend.client != nullptr)
        ++place.servers_active;
    else if (backend.stage == Backend::Stage::open)
        ++place.servers_idle;
    else
        ++place.servers_opening;
}

}  // namespace

// Its pool is one from here on: whoever names a database that is not there makes none.
void Relay::State::note_given(Client& client) {
    if (client.counts == &shared.figures.unsorted)
        client.counts = &shared.figures.of(client.session.database(), client.session.user());
    client.counts->waits.add(client.waiting_since == Instant{} ? Duration{0} : now - client.waiting_since);
    client.waiting_since = {};
}

// After each thing that happened to it. Clocks are not read for this: `now` is that of the event.
void Relay::State::note_work(Client& client) {
    auto& session = client.session;
    auto& counts = *client.counts;
    counts.queries += std::exchange(session.queries, 0);
    counts.transactions += std::exchange(session.transactions, 0);
    auto const keep = [this](Instant& since, bool goes_on, proxy::Histogram& took) {
        if (goes_on == (since != Instant{})) return;
        if (!goes_on) took.add(now - since);
        since = goes_on ? now : Instant{};
    };
    bool const busy = client.backend != nullptr && session.is_busy();
    keep(client.busy_since, busy, counts.queries_took);
    keep(client.open_since, busy || (client.backend != nullptr && session.in_transaction()), counts.transactions_took);
}

proxy::Snapshot Relay::State::snapshot() const {
    proxy::Snapshot out;
    out.all = shared.figures.all();
    out.totals = shared.figures.totals;
    std::map<proxy::Figures::Key, std::size_t> places;
    auto const& known = shared.figures.pools;
    out.pools.reserve(known.size() + 1);
    for (auto const& [key, counts] : known) {
        places[key] = out.pools.size();
        auto& one = out.pools.emplace_back();
        std::tie(one.database, one.user) = key;
        one.counts = counts;
    }
    PoolState other;
    other.database = other.user = proxy::Figures::kOther;
    other.counts = shared.figures.other;
    auto const place = [&](std::string const& database, std::string const& user) -> PoolState& {
        auto const at = places.find({database, user});
        return at == places.end() ? other : out.pools[at->second];
    };
    for (auto const& [id, client] : clients) {
        auto const& session = client->session;
        if (!session.is_ready() && !client->waiting)
            ++out.clients_logging_in;
        else if (session.is_console())
            ++out.clients_console;
        else if (client->backend != nullptr)
            ++place(session.database(), session.user()).clients_active;
        else if (client->waiting_since != Instant{})
            ++place(session.database(), session.user()).clients_waiting;
        else
            ++place(session.database(), session.user()).clients_idle;
        if (client->waiting_since == Instant{} || session.is_console()) continue;
        auto& longest = place(session.database(), session.user()).longest_wait;
        longest = std::max(longest, now - client->waiting_since);
    }
    std::map<NodeId, std::size_t> nodes;
    for (auto const& one : routes.nodes) {
        nodes[one.id] = out.nodes.size();
        auto& state = out.nodes.emplace_back();
        state.name = one.name;
        state.leader = one.id == routes.leader;
        state.takes_reads = takes_reads(one, options.readings.front());
    }
    for (auto const& [id, backend] : backends) {
        auto const& key = backend->server.key();
        count_server(*backend, place(key.database, key.user));
        if (auto const at = nodes.find(backend->server.node()); at != nodes.end())
            count_server(*backend, out.nodes[at->second]);
    }
    bool const others = other.counts.waits.count() + other.clients_active + other.clients_waiting + other.clients_idle +
                            other.servers_active + other.servers_idle + other.servers_opening >
                        0;
    if (others) out.pools.push_back(std::move(other));
    out.clients_max = options.policy.clients_max;
    out.servers_max_per_pool = options.policy.pool_size;
    out.paused = pools.paused().size();
    out.holding = pools.held();
    out.agent_silent = silent;
    out.started_unix_ms = started_unix_ms;
    return out;
}

}  // namespace keel::relay
