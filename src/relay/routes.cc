// The relay's view of the cluster, and its cancel requests.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/startup.h"
#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using runtime::Wire;

cluster::RouteNode const* Relay::State::node(NodeId const& id) const {
    auto const found = std::ranges::find(routes.nodes, id, &cluster::RouteNode::id);
    return found == routes.nodes.end() ? nullptr : &*found;
}

std::vector<proxy::Reign> Relay::State::reigns() const {
    std::vector<proxy::Reign> out;
    for (auto const& branch : routes.branches) out.push_back({branch.epoch, branch.first_xid});
    return out;
}

Timeline Relay::State::timeline_of(Epoch epoch) const {
    auto const found = std::ranges::find(routes.branches, epoch, &cluster::RouteBranch::epoch);
    return found == routes.branches.end() ? Timeline{} : found->timeline;
}

bool Relay::State::may_ask_fate(Client const& client, Backend const& backend) const {
    auto const& session = client.session;
    return backend.server.epoch() == routes.epoch && backend.server.key().node.value.empty() &&
           proxy::judge_lost(session.lost_xid(), session.lost_epoch(), routes.epoch, reigns()) == proxy::Judgement::ask;
}

void Relay::State::take_routes(cluster::Routes next) {
    bool const reign_ended = next.epoch != routes.epoch;
    routes = std::move(next);
    apply_hold();
    if (!reign_ended) return;
    // Nothing that an older reign's server says counts any more.
    pools.close_primary();
    std::vector<std::shared_ptr<Backend>> old;
    for (auto const& [id, backend] : backends) {
        if (backend->server.key().node.value.empty() && backend->server.epoch() != routes.epoch) old.push_back(backend);
    }
    for (auto const& backend : old) {
        if (!backend->gone) lose(*backend, false);
    }
    pools_changed = true;
}

// The standby that a reader is sent to; empty: none is usable.
NodeId Relay::State::standby_for(Client const&) {
    std::vector<cluster::RouteNode const*> usable;
    for (auto const& one : routes.nodes) {
        if (one.standby && one.reads && one.lag_bytes <= options.lag_bytes_max && one.id != routes.leader)
            usable.push_back(&one);
    }
    if (usable.empty()) return {};
    switch (options.balance) {
        case Balance::round_robin:
            return usable[turn++ % usable.size()]->id;
        case Balance::random:
            return usable[runtime::random_u64() % usable.size()]->id;
        case Balance::lag_aware:
            return (*std::ranges::min_element(usable, {}, [](auto const* one) { return one->lag_bytes; }))->id;
        case Balance::least_connections:
            break;
    }
    std::map<NodeId, std::size_t> busy;
    for (auto const& [id, backend] : backends) {
        if (backend->client != nullptr) ++busy[backend->server.node()];
    }
    // Among equals in turn.
    std::ranges::rotate(usable, usable.begin() + static_cast<std::ptrdiff_t>(turn++ % usable.size()));
    return (*std::ranges::min_element(usable, {}, [&](auto const* one) { return busy[one->id]; }))->id;
}

proxy::PoolKey Relay::State::key_of(Client const& client) {
    proxy::PoolKey key{client.session.database(), client.session.user(), {}};
    if (client.target != Target::read_only || client.session.need() == proxy::Session::Need::fate) return key;
    key.node = standby_for(client);
    return key;
}

// ---- cancel ----

void Relay::State::pass_cancel(Client& client) {
    auto const& asked = client.session.cancel();
    auto const process = by_process.find(asked.process);
    if (process == by_process.end()) return;
    auto const meant = clients.find(process->second);
    if (meant == clients.end() || meant->second->backend == nullptr) return;
    // Protocol 3.0 knows the first four bytes only.
    auto const& key = meant->second->session.cancel_key();
    bool const fits = (asked.key.size() == 4 || asked.key.size() == key.size()) && key.starts_with(asked.key);
    if (!fits) return;
    auto& backend = *meant->second->backend;
    auto const* where = node(backend.server.node());
    if (where == nullptr || !meant->second->session.is_busy()) return;
    auto const colon = where->postgres.rfind(':');
    auto host = where->postgres.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    auto wire = Wire::dial(host, static_cast<std::uint16_t>(std::atoi(where->postgres.c_str() + colon + 1)));
    if (!wire) return;
    auto const canceller = std::make_shared<Canceller>(*this, std::move(*wire), backend.server.id());
    canceller->since = now;
    canceller->use_tls = backend.use_tls;
    canceller->tls_name = where->id.value;
    protocol::write_cancel(canceller->request, backend.server.process(), backend.server.cancel_key());
    if (!poller.add(canceller->wire.descriptor(), *canceller, {false, true})) return;
    cancellers[canceller.get()] = canceller;
    ++backend.cancels;
}

void Canceller::end() {
    auto const keep = state.cancellers.at(this);
    state.poller.remove(wire.descriptor());
    state.poller.keep(keep);
    state.cancellers.erase(this);
    auto const known = state.backends.find(backend);
    if (known == state.backends.end()) return;
    auto const target = known->second;
    if (--target->cancels == 0 && target->client == nullptr && target->stage == Backend::Stage::open)
        state.put_back(*target);
}

void Canceller::on_ready(runtime::Poller::Ready) {
    if (stage == Stage::connecting) {
        if (!wire.connect_trouble().empty()) return end();
        if (use_tls) {
            std::string ask;
            protocol::write_ssl_request(ask);
            if (wire.write(ask).state != Wire::State::done) return end();
            stage = Stage::asking_tls;
            return state.poller.change(wire.descriptor(), *this, {true, false});
        }
    } else if (stage == Stage::sent) {
        // The server closes when the signal is on its way.
        char byte = 0;
        if (wire.read({&byte, 1}).state != Wire::State::again) end();
        return;
    } else {
        if (stage == Stage::asking_tls) {
            char answer = 0;
            auto const moved = wire.read({&answer, 1});
            if (moved.state == Wire::State::again) return;
            if (moved.state != Wire::State::done || answer != 'S' || !wire.begin_tls(state.options.server_tls, false))
                return end();
            stage = Stage::handshaking;
        }
        auto const done = wire.handshake();
        if (done == Wire::State::again)
            return state.poller.change(wire.descriptor(), *this, {true, wire.wants_write()});
        if (done != Wire::State::done || wire.peer_name() != tls_name) return end();
    }
    if (wire.write(request).state != Wire::State::done) return end();
    stage = Stage::sent;
    state.poller.change(wire.descriptor(), *this, {true, false});
}

}  // namespace keel::relay
