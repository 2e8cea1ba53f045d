// The relay's view of the cluster, and its cancel requests.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/startup.h"
#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using runtime::Wire;

namespace {
constexpr Duration kStreamlessMost = 10s;
}  // namespace

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
    for (auto const& one : next.nodes) {
        auto const* before = node(one.id);
        if (one.standby)
            streamless.erase(one.id);
        else if (before != nullptr && before->standby)
            streamless[one.id] = now;
    }
    routes = std::move(next);
    routes_at = now;
    history.clear();
    for (auto const& branch : routes.branches) history.push_back({branch.timeline, branch.fork});
    apply_hold();
    meet_standbys();
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

// While a leader is lost and another one found no standby streams, and none misses anything: reads go on. One that has
// no stream for longer may be on the wrong side of a cut, and older than anybody expects.
bool Relay::State::takes_reads(cluster::RouteNode const& one, Reading const& reading) const {
    bool const meant = reading.tag.empty() ? one.reads : std::ranges::find(one.tags, reading.tag) != one.tags.end();
    if (!meant || one.lag_bytes > reading.lag_bytes_max || one.id == routes.leader) return false;
    auto const lost = streamless.find(one.id);
    return one.standby || (one.in_recovery && lost != streamless.end() && now - lost->second <= kStreamlessMost);
}

// ---- cancel ----

void Relay::State::pass_cancel(Client& client) {
    ++(send_cancel(client.session.cancel()) ? shared.figures.totals.cancels_sent
                                            : shared.figures.totals.cancels_in_vain);
}

bool Relay::State::send_cancel(protocol::Cancel const& asked) {
    auto const process = by_process.find(asked.process);
    if (process == by_process.end()) return false;
    auto const meant = clients.find(process->second);
    if (meant == clients.end()) return false;
    // Protocol 3.0 knows the first four bytes only.
    auto const key = meant->second->session.cancel_key();
    bool const fits = (asked.key.size() == 4 || asked.key.size() == key.size()) && key.starts_with(asked.key);
    if (!fits) return false;
    if (meant->second->asked) return cancel_command(*meant->second);
    if (meant->second->backend == nullptr) return false;
    auto& backend = *meant->second->backend;
    auto const* where = node(backend.server.node());
    if (where == nullptr || !meant->second->session.is_busy()) return false;
    auto const colon = where->postgres.rfind(':');
    auto host = where->postgres.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    auto wire = Wire::dial(host, static_cast<std::uint16_t>(std::atoi(where->postgres.c_str() + colon + 1)));
    if (!wire) return false;
    auto const canceller = std::make_shared<Canceller>(*this, std::move(*wire), backend.server.id());
    canceller->since = now;
    canceller->use_tls = backend.use_tls;
    canceller->tls_name = where->id.value;
    protocol::write_cancel(canceller->request, backend.server.process(), backend.server.cancel_key());
    if (!poller.add(canceller->wire.descriptor(), *canceller, {false, true})) return false;
    cancellers[canceller.get()] = canceller;
    ++backend.cancels;
    return true;
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
