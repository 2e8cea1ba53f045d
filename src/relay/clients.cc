// The relay's clients: from the door to the end.
#include <fmt/format.h>

#include <algorithm>

#include "auth/scram.h"
#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using proxy::Session;
using runtime::Wire;

namespace {

constexpr Duration kUsersFresh = 1s;
constexpr Duration kFateAgain = 20ms;

std::string random_bytes(std::size_t count) {
    std::string out;
    while (out.size() < count) {
        auto const word = runtime::random_u64();
        out.append(reinterpret_cast<char const*>(&word), std::min(sizeof word, count - out.size()));
    }
    return out;
}

}  // namespace

Client::Client(Relay::State& of, Wire given, Session::Seed seed, Target where)
    : state(of),
      wire(std::move(given)),
      session(of.shared, std::move(seed)),
      target(where),
      since(of.now),
      active(of.now) {}

void Client::on_ready(runtime::Poller::Ready ready) { state.on_client(*this, ready); }

Door::~Door() {
    state.poller.remove(descriptor);
    (void)Wire(descriptor);
}

void Door::on_ready(runtime::Poller::Ready) { state.accept(*this); }

void Relay::State::accept(Door& door) {
    // A storm of new connections must not keep those waiting that are there.
    for (int i = 0; i < 32; ++i) {
        int const descriptor = runtime::accept_socket(door.descriptor);
        if (descriptor < 0) return;
        Wire wire(descriptor);
        Session::Seed seed;
        seed.id = ++next_client;
        seed.nonce = auth::scram_nonce(random_bytes(auth::kNonceBytes));
        auto const salt = random_bytes(4);
        std::ranges::copy(salt, seed.salt.begin());
        do {
            seed.process = static_cast<std::uint32_t>(runtime::random_u64() & 0x7fffffffU);
        } while (seed.process == 0 || by_process.contains(seed.process));
        seed.cancel_key = random_bytes(32);
        bool const local = door.listener.address.starts_with('/');
        seed.tls_offered = !local && options.client_tls;
        seed.tls_required = !local && options.tls_required;
        // Who is over the limit is told so; who is far over it is not even heard.
        auto const most = options.policy.clients_max;
        if (clients.size() >= most * 2 + 32) continue;
        if (clients.size() >= most)
            seed.crowded =
                fmt::format("sorry, too many clients already ({} of clients_max = {})", clients.size(), most);
        auto const process = seed.process;
        auto const client = std::make_shared<Client>(*this, std::move(wire), std::move(seed), door.listener.target);
        if (!poller.add(client->wire.descriptor(), *client, {true, false})) continue;
        by_process[process] = client->session.id();
        clients[client->session.id()] = client;
    }
}

void Relay::State::on_client(Client& client, runtime::Poller::Ready ready) {
    if (client.gone) return;
    now = runtime::boot_now();
    if (client.handshaking && !shake_client(client)) return;
    if (ready.write && client.outlet.waiting() > 0) {
        flush(client);
        if (client.gone) return;
        // It has made room: what its server has to say may come.
        if (client.backend != nullptr) resume(*client.backend);
        if (client.gone) return;
    }
    if (ready.read && !read_client(client)) return;
    attend(client);
}

bool Relay::State::shake_client(Client& client) {
    auto const done = client.wire.handshake();
    if (done == Wire::State::again) {
        poller.change(client.wire.descriptor(), client, client.interest = {true, client.wire.wants_write()});
        return false;
    }
    if (done != Wire::State::done) {
        log::info("proxy", "{}: TLS: {}", client.wire.peer_address(), client.wire.tls_trouble());
        close(client);
        return false;
    }
    client.handshaking = false;
    client.session.tls_done();
    return true;
}

// False when the client is gone.
bool Relay::State::read_client(Client& client) {
    for (int i = 0; i < 4; ++i) {
        if (client.closing || client.session.is_full()) return true;
        auto const moved = client.wire.read(scratch);
        if (moved.state == Wire::State::again) return true;
        if (moved.state != Wire::State::done) {
            close(client);
            return false;
        }
        client.active = now;
        client.session.from_client({scratch.data(), moved.bytes});
        if (client.session.need() == Session::Need::tls) return true;
        if (!client.wire.has_pending() && moved.bytes < scratch.size()) return true;
    }
    return true;
}

// Does what the client's machine wants, as far as it can be done now, and writes what is to be written.
void Relay::State::attend(Client& client) {
    if (client.gone) return;
    auto const keep = clients.at(client.session.id());
    for (int i = 0; i < 16 && !client.gone; ++i) {
        auto const before = client.session.need();
        if (client.session.is_releasable()) release(client);
        if (before == Session::Need::nothing || client.closing || client.waiting) break;
        meet_need(client);
        if (client.session.need() == before) break;
    }
    if (client.gone) return;
    if (client.backend != nullptr) flush(*client.backend);
    if (!client.gone) flush(client);
    if (!client.gone) set_interest(client);
    // TLS may hold bytes that the socket does not tell of; they are read when there is room again.
    if (!client.gone && client.interest.read && client.wire.has_pending()) late_reads.push_back(client.session.id());
}

void Relay::State::meet_need(Client& client) {
    switch (client.session.need()) {
        case Session::Need::nothing:
            return;
        case Session::Need::tls:
            flush(client);
            if (client.gone) return;
            if (!client.wire.begin_tls(options.client_tls, true)) return close(client);
            client.handshaking = true;
            // What came behind the handshake may have been read with it.
            if (shake_client(client)) (void)read_client(client);
            return;
        case Session::Need::users:
            if (users_at != Instant{} && now - users_at < kUsersFresh) return client.session.users_known();
            if (std::ranges::find(waiting_users, client.session.id()) == waiting_users.end())
                waiting_users.push_back(client.session.id());
            if (users_asked) return;
            users_asked = true;
            users_asked_at = now;
            if (options.ask_users) options.ask_users();
            return;
        case Session::Need::login:
            return check_login(client);
        case Session::Need::server:
            return want_server(client);
        case Session::Need::fate:
            return meet_fate(client);
        case Session::Need::cancel:
            pass_cancel(client);
            return close(client);
        case Session::Need::close:
            client.closing = true;
            if (client.backend != nullptr) release(client);
            return;
    }
}

void Relay::State::check_login(Client& client) {
    auto& session = client.session;
    auto const* user = users.find(session.user());
    if (user == nullptr)
        return session.refuse("28P01", fmt::format("password authentication failed for user \"{}\"", session.user()));
    auth::Login login;
    login.now_us = runtime::unix_ms_now() * 1000;
    login.connections = logins[session.user()];
    if (auto const allowed = auth::may_log_in(*user, login); !allowed) {
        log::info("proxy", "{} from {} refused: {}", session.user(), client.wire.peer_address(), allowed.error().text);
        if (!user->can_login)
            return session.refuse("28000", fmt::format("role \"{}\" is not permitted to log in", session.user()));
        if (user->connection_limit >= 0 && login.connections >= user->connection_limit)
            return session.refuse("53300", fmt::format("too many connections for role \"{}\"", session.user()));
        return session.refuse("28P01", fmt::format("password authentication failed for user \"{}\"", session.user()));
    }
    ++logins[session.user()];
    client.counted = true;
    credentials[session.user()] = session.credentials();
    session.admit();
}

void Relay::State::want_server(Client& client) {
    auto const key = key_of(client);
    if (auto const id = pools.take(key); id != 0) {
        auto const backend = backends.find(id);
        if (backend != backends.end()) return give(client, *backend->second);
    }
    client.waiting = true;
    pools.want(client.session.id(), key, now);
    pools_changed = true;
}

// Its transaction was lost on the way to its commit. Never says more than is known: proxy/outcome.h.
void Relay::State::meet_fate(Client& client) {
    auto& session = client.session;
    if (client.backend != nullptr) release(client);
    if (client.fate_until == Instant{}) client.fate_until = now + options.policy.wait_max;
    auto const told = [&](proxy::Fate fate) {
        client.fate_until = {};
        log::info("proxy", "a commit of {} was on its way when its server was lost (xid {}): {}", session.user(),
                  session.lost_xid(),
                  fate == proxy::Fate::committed       ? "it is stored"
                  : fate == proxy::Fate::not_committed ? "it is not stored"
                                                       : "not known");
        auto& count = fate == proxy::Fate::committed       ? counted.fates_committed
                      : fate == proxy::Fate::not_committed ? counted.fates_not_committed
                                                           : counted.fates_unknown;
        ++count;
        session.fate_known(fate);
    };
    if (now >= client.fate_until) return told(proxy::Fate::unknown);
    auto const later = [&] {
        client.fate_again = now + kFateAgain;
        waiting_fates.push_back(session.id());
    };
    if (now < client.fate_again || pools.held()) return later();
    client.fate_again = now + kFateAgain;
    switch (proxy::judge_lost(session.lost_xid(), session.lost_epoch(), routes.epoch, reigns())) {
        case proxy::Judgement::unknown:
            return told(proxy::Fate::unknown);
        case proxy::Judgement::not_committed:
            return told(proxy::Fate::not_committed);
        case proxy::Judgement::ask:
            return want_server(client);
    }
}

void Relay::State::set_interest(Client& client) {
    if (client.handshaking) return;
    bool const stalled = client.outlet.waiting() > options.policy.buffer_bytes;
    runtime::Poller::Ready const wanted{!client.closing && !stalled && !client.session.is_full(),
                                        client.outlet.waiting() > 0};
    if (wanted.read == client.interest.read && wanted.write == client.interest.write) return;
    client.interest = wanted;
    poller.change(client.wire.descriptor(), client, wanted);
}

void Relay::State::flush(Client& client) {
    if (client.handshaking || (client.session.out.empty() && client.outlet.waiting() == 0)) {
        if (client.closing && !client.handshaking) close(client);
        return;
    }
    auto const before = client.outlet.waiting() + client.session.out.size();
    auto const done = client.outlet.flush(client.wire, client.session.out);
    if (client.outlet.waiting() < before) client.active = now;
    if (done == Wire::State::failed || done == Wire::State::ended) return close(client);
    if (client.closing && client.outlet.waiting() == 0) close(client);
}

void Relay::State::close(Client& client) {
    if (std::exchange(client.gone, true)) return;
    auto const id = client.session.id();
    if (client.waiting) pools.forget(id);
    if (client.backend != nullptr) release(client);
    counted.transactions += client.session.transactions;
    counted.queries += client.session.queries;
    if (client.counted && --logins[client.session.user()] == 0) logins.erase(client.session.user());
    by_process.erase(client.session.process());
    poller.remove(client.wire.descriptor());
    poller.keep(clients.at(id));
    clients.erase(id);
    pools_changed = true;
}

}  // namespace keel::relay
