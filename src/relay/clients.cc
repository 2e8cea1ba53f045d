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

Client::Client(Relay::State& of, Wire given, Session::Seed seed, Listener const& from)
    : state(of),
      wire(std::move(given)),
      session(of.shared, std::move(seed)),
      target(from.target),
      lane(from.lane),
      counts(&of.shared.figures.unsorted),
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
        std::ranges::copy(random_bytes(seed.cancel_key.size()), seed.cancel_key.begin());
        bool const local = door.listener.address.starts_with('/');
        if (!local) seed.from = wire.peer_ip();
        seed.tls_offered = !local && options.client_tls;
        seed.tls_required = !local && options.tls_required;
        seed.reads = door.listener.target == Target::read_only                      ? proxy::Reads::standby
                     : door.listener.target == Target::auto_ && options.split_reads ? proxy::Reads::split
                                                                                    : proxy::Reads::primary;
        // Who is over the limit is told so; who is far over it is not even heard.
        auto const most = options.policy.clients_max;
        if (clients.size() >= most * 2 + 32) continue;
        if (clients.size() >= most)
            seed.crowded =
                fmt::format("sorry, too many clients already ({} of clients_max = {})", clients.size(), most);
        auto const lane = door.listener.lane;
        auto const& reading = options.readings[lane];
        if (reading.clients_max > 0 && crowds[lane] >= reading.clients_max)
            seed.crowded = fmt::format("sorry, too many clients of endpoint \"{}\" already ({} of clients_max = {})",
                                       reading.name, crowds[lane], reading.clients_max);
        auto const process = seed.process;
        auto const client = std::make_shared<Client>(*this, std::move(wire), std::move(seed), door.listener);
        if (!poller.add(client->wire.descriptor(), *client, {true, false})) continue;
        ++crowds[lane];
        by_process[process] = client->session.id();
        clients[client->session.id()] = client;
    }
}

void Relay::State::on_client(Client& client, runtime::Poller::Ready ready) {
    if (client.gone) return;
    see_time();
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
    client.session.tls_done(client.wire.own_certificate_hash(),
                            {client.wire.peer_is_certified(), client.wire.peer_name()});
    return true;
}

// False when the client is gone.
bool Relay::State::read_client(Client& client) {
    for (int i = 0; i < 4; ++i) {
        if (client.closing || is_full(client)) return true;
        auto const moved = client.wire.read(scratch);
        if (moved.state == Wire::State::again) return true;
        if (moved.state != Wire::State::done) {
            close(client);
            return false;
        }
        client.active = now;
        client.counts->bytes_received += moved.bytes;
        if (client.backend != nullptr) spare.lend(client.backend->server.out);
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
    auto const more = [&](int i) { return i < 16 || client.session.need() == Session::Need::console; };
    for (int i = 0; more(i) && !client.gone; ++i) {
        if (client.session.is_releasable()) {
            release(client);
            // What waits for another server.
            client.session.carry_on();
        }
        auto const before = client.session.need();
        // The next lost commit has its own time to be asked for.
        if (before != Session::Need::fate && !client.session.is_asking_fate()) client.fate_until = {};
        if (before == Session::Need::nothing || client.closing || client.waiting || client.asked) break;
        meet_need(client);
        if (client.session.need() == before && before != Session::Need::console) break;
    }
    if (client.gone) return;
    note_work(client);
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
        case Session::Need::console:
            return run_command(client);
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
    auto const refuse = [&](char const* code, std::string const& text, std::string const& hint = {}) {
        ++shared.figures.totals.logins_refused;
        session.refuse(code, text, hint);
    };
    // Who has shown no password but a certificate may know that there is no such role.
    if (user == nullptr && !session.by_password())
        return refuse("28000", fmt::format("role \"{}\" does not exist", session.user()));
    if (user == nullptr)
        return refuse("28P01", fmt::format("password authentication failed for user \"{}\"", session.user()));
    auth::Login login;
    login.by_password = session.by_password();
    login.now_us = runtime::unix_ms_now() * 1000;
    login.connections = logins[session.user()];
    if (auto const allowed = auth::may_log_in(*user, login); !allowed) {
        log::info("proxy", "{} from {} refused: {}", session.user(), client.wire.peer_address(), allowed.error().text);
        if (!user->can_login)
            return refuse("28000", fmt::format("role \"{}\" is not permitted to log in", session.user()));
        if (user->connection_limit >= 0 && login.connections >= user->connection_limit)
            return refuse("53300", fmt::format("too many connections for role \"{}\"", session.user()));
        return refuse("28P01", fmt::format("password authentication failed for user \"{}\"", session.user()));
    }
    if (session.is_console()) {
        if (auto const allowed = proxy::may_look(*user); !allowed)
            return refuse("42501", allowed.error().text, allowed.error().mend);
    }
    if (session.is_replication() && !may_replicate(client, *user)) return;
    ++logins[session.user()];
    client.counted = true;
    note_credentials(session.user(), session.credentials());
    session.admit();
}

// A password's keys and a login without any are two ways to the same role: the one does not end the other.
void Relay::State::note_credentials(std::string const& user, proxy::Credentials const& shown) {
    auto& kept = credentials[user];
    bool const by_node = kept.by_node || shown.by_node;
    if (!shown.by_node) kept = shown;
    kept.by_node = by_node;
}

// False: it was refused.
bool Relay::State::may_replicate(Client& client, auth::User const& user) {
    auto& session = client.session;
    if (!user.superuser && !user.replication) {
        session.refuse("42501", "must be superuser or replication role to start walsender",
                       fmt::format("ALTER ROLE \"{}\" REPLICATION", user.name));
        return false;
    }
    // A primary takes whoever streams under a standby's name for that standby, and would acknowledge commits that only
    // this client has. It does not care about upper and lower case.
    auto const name = proxy::lower(session.application());
    bool const taken = std::ranges::any_of(routes.nodes, [&](auto const& one) { return one.id.value == name; });
    if (!taken) return true;
    session.refuse("42501", fmt::format("application_name \"{}\" is a node's of this cluster", name),
                   "Give the replication connection another application_name.");
    return false;
}

// Its transaction was lost on the way to its commit. Never says more than is known: proxy/outcome.h.
void Relay::State::meet_fate(Client& client) {
    auto& session = client.session;
    if (client.backend != nullptr) release(client);
    if (client.fate_until == Instant{}) client.fate_until = now + options.policy.wait_max;
    auto const told = [&](proxy::Fate fate) {
        client.fate_until = client.waiting_since = {};
        log::info("proxy", "a commit of {} was on its way when its server was lost (xid {}): {}", session.user(),
                  session.lost_xid(),
                  fate == proxy::Fate::committed       ? "it is stored"
                  : fate == proxy::Fate::not_committed ? "it is not stored"
                                                       : "not known");
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

// What its server does not take is not fetched from it either, beyond a bound.
bool Relay::State::is_full(Client const& client) const {
    bool const stalled = client.backend != nullptr && client.backend->outlet.waiting() > options.policy.buffer_bytes;
    return stalled || client.session.is_full();
}

void Relay::State::set_interest(Client& client) {
    if (client.handshaking) return;
    bool const stalled = client.outlet.waiting() > options.policy.buffer_bytes;
    runtime::Poller::Ready const wanted{!client.closing && !stalled && !is_full(client), client.outlet.waiting() > 0};
    if (wanted.read == client.interest.read && wanted.write == client.interest.write) return;
    client.interest = wanted;
    poller.change(client.wire.descriptor(), client, wanted);
}

void Relay::State::flush(Client& client) {
    if (client.handshaking || (client.session.out.empty() && client.outlet.waiting() == 0)) {
        spare.take_back(client.session.out);
        if (client.closing && !client.handshaking) close(client);
        return;
    }
    auto const before = client.outlet.waiting() + client.session.out.size();
    auto const done = client.outlet.flush(client.wire, client.session.out);
    spare.take_back(client.session.out);
    client.counts->bytes_sent += before - client.outlet.waiting();
    if (client.outlet.waiting() < before) client.active = now;
    if (done == Wire::State::failed || done == Wire::State::ended) return close(client);
    if (client.closing && client.outlet.waiting() == 0) close(client);
}

void Relay::State::close(Client& client) {
    if (std::exchange(client.gone, true)) return;
    auto const id = client.session.id();
    if (client.waiting) pools.forget(id);
    if (client.asked) leave_console(client);
    if (client.backend != nullptr) release(client);
    note_work(client);
    if (client.counted && --logins[client.session.user()] == 0) logins.erase(client.session.user());
    by_process.erase(client.session.process());
    --crowds[client.lane];
    poller.remove(client.wire.descriptor());
    poller.keep(clients.at(id));
    clients.erase(id);
    pools_changed = true;
}

}  // namespace keel::relay
