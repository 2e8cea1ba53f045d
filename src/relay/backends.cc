// The relay's connections to servers: opened for a pool, given to clients and taken back.
#include <fmt/format.h>

#include <algorithm>

#include "auth/scram.h"
#include "protocol/startup.h"
#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using proxy::Server;
using runtime::Wire;

namespace {

std::pair<std::string, std::uint16_t> split_address(std::string const& text) {
    auto const colon = text.rfind(':');
    if (colon == std::string::npos) return {text, 5432};
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return {host, static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1))};
}

// What passes by itself: a server that starts, one that is not primary yet, one that is full.
bool passes(std::string_view code) {
    return code.starts_with("08") || code.starts_with("57P") || code == "53300" || code.empty();
}

}  // namespace

Backend::Backend(Relay::State& of, Wire given, Server::Seed seed)
    : state(of), wire(std::move(given)), server(std::move(seed), of.settings), since(of.now) {}

void Backend::on_ready(runtime::Poller::Ready ready) { state.on_backend(*this, ready); }

void Relay::State::fail_open(std::uint64_t id, proxy::PoolKey const& key, proxy::Pools::Failure failure) {
    avoid(key);
    ++shared.figures.totals.servers_failed;
    pools.failed(id, failure, now);
    pools_changed = true;
}

void Relay::State::open(proxy::Open const& wanted) {
    auto const target = wanted.key.node.value.empty() ? routes.leader : wanted.key.node;
    auto const* where = node(target);
    auto const known = credentials.find(wanted.key.user);
    if (where == nullptr || known == credentials.end())
        return fail_open(wanted.server, wanted.key, {false, "08006", "the server is not known"});
    auto const [host, port] = split_address(where->postgres);
    auto wire = Wire::dial(host, port);
    if (!wire) return fail_open(wanted.server, wanted.key, {false, "08006", wire.error().text});
    Server::Seed seed;
    if (wanted.key.own != 0) {
        auto const owner = clients.find(wanted.key.own);
        if (owner == clients.end())
            return fail_open(wanted.server, wanted.key, {false, "08006", "its client has gone"});
        seed.startup = owner->second->session.startup_of_own();
    }
    seed.id = wanted.server;
    seed.key = wanted.key;
    seed.epoch = routes.epoch;
    seed.timeline = timeline_of(routes.epoch);
    seed.node = target;
    seed.credentials = known->second;
    std::string nonce;
    for (int i = 0; i < 3; ++i) {
        auto const word = runtime::random_u64();
        nonce.append(reinterpret_cast<char const*>(&word), sizeof word);
    }
    seed.nonce = auth::scram_nonce(nonce.substr(0, auth::kNonceBytes));
    auto const backend = std::make_shared<Backend>(*this, std::move(*wire), std::move(seed));
    backend->name = where->name;
    // What does not leave this host needs no cover, but a certificate can only be shown behind TLS.
    backend->use_tls = target != routes.self || known->second.by_node;
    if (!poller.add(backend->wire.descriptor(), *backend, backend->interest))
        return fail_open(wanted.server, wanted.key, {false, "53000", "no file descriptor left"});
    backends[wanted.server] = backend;
}

// True when it goes on with the login.
bool Relay::State::connect_backend(Backend& backend) {
    using Stage = Backend::Stage;
    auto const broken = [&](std::string_view code, std::string text) {
        backend.server.mark_broken(code, text);
        lose(backend, false);
        return false;
    };
    if (backend.stage == Stage::connecting) {
        if (auto const trouble = backend.wire.connect_trouble(); !trouble.empty())
            return broken("08006", fmt::format("{}: {}", backend.name, trouble));
        backend.stage = backend.use_tls ? Stage::asking_tls : Stage::login;
        if (backend.use_tls)
            protocol::write_ssl_request(backend.server.out);
        else
            backend.server.begin();
        flush(backend);
        return false;
    }
    if (backend.stage == Stage::asking_tls) {
        char answer = 0;
        auto const moved = backend.wire.read({&answer, 1});
        if (moved.state == Wire::State::again) return false;
        if (moved.state != Wire::State::done || answer != 'S')
            return broken("08006", fmt::format("{} does not speak TLS", backend.name));
        if (!backend.wire.begin_tls(options.server_tls, false)) return broken("08006", "TLS cannot begin");
        backend.stage = Stage::handshaking;
    }
    auto const done = backend.wire.handshake();
    if (done == Wire::State::again) {
        poller.change(backend.wire.descriptor(), backend, backend.interest = {true, backend.wire.wants_write()});
        return false;
    }
    if (done != Wire::State::done)
        return broken("08006", fmt::format("TLS with {}: {}", backend.name, backend.wire.tls_trouble()));
    // The certificate of the very node that the record names, not only of some member.
    if (backend.wire.peer_name() != backend.server.node().value)
        return broken("08006", fmt::format("{} shows the certificate of another node", backend.name));
    backend.stage = Stage::login;
    backend.server.begin();
    flush(backend);
    return !backend.gone;
}

void Relay::State::on_backend(Backend& backend, runtime::Poller::Ready ready) {
    if (backend.gone) return;
    see_time();
    if (backend.stage < Backend::Stage::login && !connect_backend(backend)) return;
    if (ready.write && backend.outlet.waiting() > 0) {
        flush(backend);
        if (backend.gone) return;
        if (backend.client != nullptr) {
            backend.client->session.carry_on();
            attend(*backend.client);
            if (backend.gone) return;
        }
    }
    if (ready.read) read_backend(backend);
}

void Relay::State::read_backend(Backend& backend) {
    auto const keep = backends.at(backend.server.id());
    for (int i = 0; i < 4 && !backend.gone; ++i) {
        // What a client does not take is not fetched from its server either, beyond a bound.
        if (backend.client != nullptr && backend.client->outlet.waiting() > options.policy.buffer_bytes) break;
        auto const moved = backend.wire.read(scratch);
        if (moved.state == Wire::State::again) break;
        if (moved.state != Wire::State::done) {
            lose(backend, moved.state == Wire::State::ended && backend.wire.ended_in_order());
            return;
        }
        std::string_view const bytes(scratch.data(), moved.bytes);
        if (backend.stage == Backend::Stage::login || backend.stage == Backend::Stage::cleaning) {
            backend.in += bytes;
            take_login(backend);
        } else if (backend.client == nullptr) {
            // It has nothing to say when nobody asked it, but that it ends.
            lose(backend, true);
        } else {
            auto& client = *backend.client;
            spare.lend(client.session.out);
            client.session.from_server(bytes);
            note_replayed(client, backend.server);
            if (backend.server.phase() == Server::Phase::broken || client.session.server() != &backend.server) {
                backend.client = nullptr;
                client.backend = nullptr;
                destroy(backend);
                attend(client);
                return;
            }
            attend(client);
        }
        if (!backend.gone && !backend.wire.has_pending() && moved.bytes < scratch.size()) break;
    }
    if (!backend.gone) set_interest(backend);
}

// Its client takes bytes again.
void Relay::State::resume(Backend& backend) {
    set_interest(backend);
    if (backend.interest.read && backend.wire.has_pending()) read_backend(backend);
}

void Relay::State::take_login(Backend& backend) {
    if (backend.stage == Backend::Stage::cleaning) {
        auto const done = backend.server.cleaned(backend.in);
        if (!done) return;
        if (!*done) return destroy(backend);
        return put_back(backend);
    }
    backend.server.login(backend.in);
    if (backend.server.phase() == Server::Phase::broken) return lose(backend, true);
    flush(backend);
    if (backend.gone || backend.server.phase() != Server::Phase::ready) return;
    auto const standby = backend.server.reported->find(std::string_view("in_hot_standby"));
    bool const wants_primary = backend.server.key().node.value.empty();
    if (wants_primary && standby != backend.server.reported->end() && standby->second == "on") {
        backend.server.mark_broken("57P03", fmt::format("{} is not primary yet", backend.name));
        return lose(backend, true);
    }
    backend.since = now;
    ++shared.figures.totals.servers_opened;
    put_back(backend);
}

// Free, and as new: whoever waits gets it.
void Relay::State::put_back(Backend& backend) {
    bool const old = backend.server.key().node.value.empty() && backend.server.epoch() != routes.epoch;
    auto const own = backend.server.key().own;
    auto const owner = clients.find(own);
    bool const left = own != 0 && (owner == clients.end() || !owner->second->waiting);
    if (old || left || backend.server.retire) return destroy(backend);
    backend.stage = Backend::Stage::open;
    if (pools.ready(backend.server.id(), now)) pools_changed = true;
}

void Relay::State::lose(Backend& backend, bool complete) {
    auto const keep = backends.at(backend.server.id());
    if (backend.stage < Backend::Stage::open) {
        auto const report = protocol::parse_report(backend.server.refusal());
        proxy::Pools::Failure failure;
        failure.code = report.code.empty() ? "08006" : std::string(report.code);
        failure.text = report.message.empty() ? fmt::format("{} closed the connection", backend.name)
                                              : std::string(report.message);
        failure.lasting = !passes(failure.code);
        log::info("proxy", "no connection to {} for {}@{}: {}", backend.name, backend.server.key().user,
                  backend.server.key().database, failure.text);
        auto const id = backend.server.id();
        fail_open(id, backend.server.key(), std::move(failure));
        return destroy(backend);
    }
    if (backend.client != nullptr) {
        auto const client = clients.at(backend.client->session.id());
        ++shared.figures.totals.servers_lost;
        client->session.lost(complete);
        client->backend = nullptr;
        backend.client = nullptr;
        destroy(backend);
        return attend(*client);
    }
    destroy(backend);
}

void Relay::State::give(Client& client, Backend& backend) {
    client.waiting = false;
    client.waiting_for.reset();
    // While it waited for a server there may have been another promotion.
    if (client.session.need() == proxy::Session::Need::fate && !may_ask_fate(client, backend)) {
        put_back(backend);
        return attend(client);
    }
    client.backend = &backend;
    backend.client = &client;
    note_given(client);
    spare.lend(backend.server.out);
    hand_over(client, backend);
    attend(client);
    if (!backend.gone) set_interest(backend);
}

// Takes the client's server from it: back into the pool, cleaned first, or closed.
void Relay::State::release(Client& client) {
    auto& backend = *std::exchange(client.backend, nullptr);
    auto const keep = backends.at(backend.server.id());
    bool const leaving = client.closing || client.gone;
    bool const tied = !client.session.pinned().empty() || options.policy.mode == proxy::PoolMode::session;
    client.session.detach();
    backend.client = nullptr;
    bool const free = backend.server.is_free() && backend.outlet.waiting() == 0 && backend.server.out.empty();
    if (!free || backend.server.retire) return destroy(backend);
    // A cancel request that is on its way would meet the cleaning.
    if (leaving && tied && backend.cancels > 0) return destroy(backend);
    if (leaving && tied) {
        backend.stage = Backend::Stage::cleaning;
        backend.since = now;
        backend.server.begin_clean();
        return flush(backend);
    }
    if (backend.cancels == 0) put_back(backend);
    // Else it comes back when the last cancel request has been taken.
}

void Relay::State::set_interest(Backend& backend) {
    if (backend.stage < Backend::Stage::login) return;
    bool const stalled = backend.client != nullptr && backend.client->outlet.waiting() > options.policy.buffer_bytes;
    runtime::Poller::Ready const wanted{!stalled, backend.outlet.waiting() > 0};
    if (wanted.read == backend.interest.read && wanted.write == backend.interest.write) return;
    backend.interest = wanted;
    poller.change(backend.wire.descriptor(), backend, wanted);
}

void Relay::State::flush(Backend& backend) {
    if (backend.server.out.empty() && backend.outlet.waiting() == 0) {
        spare.take_back(backend.server.out);
        if (backend.stage >= Backend::Stage::asking_tls) set_interest(backend);
        return;
    }
    auto const done = backend.outlet.flush(backend.wire, backend.server.out);
    spare.take_back(backend.server.out);
    if (done == Wire::State::failed || done == Wire::State::ended) {
        // What it still had to say is read first: a server that goes says why.
        backend.outlet = {};
        backend.server.out.clear();
    }
    if (backend.stage == Backend::Stage::asking_tls)
        poller.change(backend.wire.descriptor(), backend, backend.interest = {true, false});
    else
        set_interest(backend);
}

void Relay::State::destroy(Backend& backend) {
    if (std::exchange(backend.gone, true)) return;
    auto const id = backend.server.id();
    pools.gone(id);
    poller.remove(backend.wire.descriptor());
    poller.keep(backends.at(id));
    backends.erase(id);
    pools_changed = true;
}

}  // namespace keel::relay
