#include "relay/relay.h"

#include <fmt/format.h>

#include <algorithm>

#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;

namespace {
constexpr std::size_t kScratch = 64 * 1024;
constexpr Duration kSilenceMost = 1s;
constexpr Duration kSweepEvery = 500ms;
constexpr Duration kOpenMost = 10s;
constexpr Duration kRestsAfter = 1s;

std::string random_bytes(std::size_t count) {
    std::string out;
    while (out.size() < count) {
        auto const word = runtime::random_u64();
        out.append(reinterpret_cast<char const*>(&word), std::min(sizeof word, count - out.size()));
    }
    return out;
}
}  // namespace

Relay::State::State(runtime::Poller& with, Options given)
    : poller(with),
      options(std::move(given)),
      texts({runtime::random_u64(), runtime::random_u64()}),
      pools(options.policy),
      scratch(kScratch),
      now(runtime::boot_now()) {
    crowds.resize(options.readings.size());
    shared.policy = &options.policy;
    shared.settings = &settings;
    shared.prepared = &prepared;
    shared.texts = &texts;
    shared.users = &users;
    shared.rules = options.rules.get();
    shared.welcomes = &welcomes;
    shared.judges = &judges;
    shared.causal = options.causal_reads;
    shared.monotonic = options.monotonic_reads;
    shared.mock = Secret(random_bytes(32));
    shared.version = options.version;
    started_unix_ms = runtime::unix_ms_now();
    routes.wait = "the agent has not been heard yet";
    apply_hold();
}

// Who may have the primary now.
void Relay::State::apply_hold() {
    std::string why = routes.wait;
    if (why.empty() && routes.leader.value.empty()) why = "no primary is known";
    if (silent && now - silent_since >= kSilenceMost) why = options.silence;
    if (why != pools.hold_reason()) {
        if (why.empty())
            log::info("proxy", "work goes to {} in epoch {}", node(routes.leader) ? node(routes.leader)->name : "?",
                      routes.epoch.value);
        else
            log::info("proxy", "new work waits: {}", why);
    }
    pools.hold(std::move(why));
    pools_changed = true;
}

void Relay::State::run_pools() {
    while (pools_changed || now >= pools.next_time()) {
        pools_changed = false;
        auto const actions = pools.step(now);
        for (auto const& one : actions.close) {
            auto const backend = backends.find(one.server);
            if (backend != backends.end()) destroy(*backend->second);
        }
        for (auto const& one : actions.open) open(one);
        for (auto const& one : actions.turn_away) {
            auto const client = clients.find(one.client);
            if (client == clients.end()) continue;
            client->second->waiting = false;
            client->second->waiting_since = {};
            if (client->second->session.need() == proxy::Session::Need::fate)
                client->second->session.fate_known(proxy::Fate::unknown);
            else
                client->second->session.refuse(one.code, one.text, one.hint);
            attend(*client->second);
        }
        for (auto const& one : actions.give) {
            auto const client = clients.find(one.client);
            auto const backend = backends.find(one.server);
            if (client == clients.end() || backend == backends.end()) continue;
            give(*client->second, *backend->second);
        }
    }
}

// Limits of time; that they are noticed half a second late does not matter.
void Relay::State::sweep(Client& client) {
    auto const& policy = options.policy;
    auto& session = client.session;
    auto const over = [&](Duration limit, Instant from) { return limit > Duration::zero() && now - from >= limit; };
    auto const refuse = [&](char const* code, char const* text) {
        session.refuse(code, text);
        attend(client);
    };
    bool const idle = session.is_ready() && client.backend == nullptr && !client.waiting;
    if (idle && client.rested != client.active && now - client.active >= kRestsAfter) {
        session.rest();
        client.rested = client.active;
    }
    if (client.outlet.waiting() > 0 && over(policy.reader_stall_max, client.active)) {
        log::warning("proxy", "{} has taken nothing for {} s: closed", client.wire.peer_address(),
                     to_ms(policy.reader_stall_max) / 1000);
        close(client);
    } else if (client.closing && over(10s, client.active)) {
        close(client);
    } else if (client.closing) {
        return;
    } else if (!session.is_ready() && !client.waiting && over(policy.login_max, client.since)) {
        refuse("57014", "canceling authentication due to timeout");
    } else if (idle && over(policy.client_idle_max, client.active)) {
        refuse("57P05", "terminating connection due to idle-session timeout");
    } else if (session.in_transaction() && !session.is_busy() && over(policy.transaction_idle_max, client.active)) {
        refuse("25P03", "terminating connection due to idle-in-transaction timeout");
    } else if (session.is_busy() && !session.is_replication() && over(policy.query_max, client.active)) {
        refuse("57014", "query_timeout");
    }
}

void Relay::State::sweep_clients() {
    std::vector<std::shared_ptr<Client>> all;
    all.reserve(clients.size());
    for (auto const& [id, client] : clients) all.push_back(client);
    for (auto const& client : all) {
        if (!client->gone) sweep(*client);
    }
}

void Relay::State::send_away() {
    doors.clear();
    bool const over = now >= *ends;
    std::vector<std::shared_ptr<Client>> all;
    for (auto const& [id, client] : clients) all.push_back(client);
    for (auto const& client : all) {
        auto& session = client->session;
        bool const works = client->waiting || session.is_busy() || session.in_transaction() ||
                           session.need() != proxy::Session::Need::nothing;
        if (client->gone || client->closing || (works && session.is_ready() && !over)) continue;
        if (std::exchange(client->waiting, false)) pools.forget(session.id());
        session.refuse("57P01", "terminating connection due to administrator command");
        attend(*client);
    }
    // Whoever does not take its last words is not waited for.
    if (clients.empty() || over) stopping = true;
}

void Relay::State::users_known() {
    users_asked = false;
    for (auto const id : std::exchange(waiting_users, {})) {
        auto const known = clients.find(id);
        if (known == clients.end()) continue;
        auto const client = known->second;
        client->session.users_known();
        attend(*client);
    }
}

void Relay::State::read_late() {
    for (auto const id : std::exchange(late_reads, {})) {
        auto const known = clients.find(id);
        if (known == clients.end()) continue;
        auto const client = known->second;
        if (client->wire.has_pending() && read_client(*client)) attend(*client);
    }
}

void Relay::State::meet_fates() {
    for (auto const id : std::exchange(waiting_fates, {})) {
        auto const known = clients.find(id);
        if (known == clients.end()) continue;
        auto const client = known->second;
        attend(*client);
    }
}

void Relay::State::sweep_servers() {
    std::vector<std::shared_ptr<Backend>> stuck;
    for (auto const& [id, backend] : backends) {
        if (backend->stage != Backend::Stage::open && now - backend->since >= kOpenMost) stuck.push_back(backend);
    }
    for (auto const& backend : stuck) {
        backend->server.mark_broken(
            "08006", fmt::format("{} did not answer within {} s", backend->name, to_ms(kOpenMost) / 1000));
        lose(*backend, false);
    }
    std::vector<std::shared_ptr<Canceller>> late;
    for (auto const& [key, one] : cancellers) {
        if (now - one->since >= kOpenMost) late.push_back(one);
    }
    for (auto const& one : late) one->end();
}

void Relay::State::keep_time() {
    now = runtime::boot_now();
    if (silent && pools.hold_reason().empty()) apply_hold();
    // Those from before have to do.
    if (users_asked && now - users_asked_at >= 2s) users_known();
    if (now - swept >= kSweepEvery) {
        swept = now;
        sweep_servers();
        sweep_standbys();
        sweep_catalogues();
        sweep_clients();
        periods.turn(shared.figures, now);
    }
    read_late();
    meet_fates();
    meet_replays();
    keep_catalogues();
    run_pools();
    meet_pauses();
    if (ends) send_away();
}

Duration Relay::State::idle_time() const {
    if (!late_reads.empty()) return Duration::zero();
    auto next = std::min(pools.next_time(), swept + kSweepEvery);
    if (!waiting_fates.empty()) next = std::min(next, now + 20ms);
    if (!waiting_replays.empty()) next = std::min(next, now + 1ms);
    if (ends) next = std::min(next, now + 20ms);
    return std::max<Duration>(next - now, Duration::zero());
}

Relay::Relay(runtime::Poller& poller, Options options) : state_(std::make_unique<State>(poller, std::move(options))) {}
Relay::~Relay() = default;

Status Relay::listen() {
    for (auto const& one : state_->options.listeners) {
        bool const local = one.address.starts_with('/');
        auto const opened =
            local ? runtime::listen_unix_socket(one.address, 0777) : runtime::listen_tcp_socket(one.address, one.port);
        if (!opened) return fail(opened.error());
        auto& door = state_->doors.emplace_back(std::make_unique<Door>(*state_, one, *opened));
        KEEL_CHECK(state_->poller.add(*opened, *door, {true, false}));
    }
    return {};
}

void Relay::set_routes(cluster::Routes routes) {
    state_->now = runtime::boot_now();
    state_->take_routes(std::move(routes));
}

void Relay::set_silent(bool silent) {
    if (silent && !state_->silent) state_->silent_since = runtime::boot_now();
    state_->silent = silent;
    state_->apply_hold();
}

void Relay::set_users(std::optional<std::vector<auth::User>> users) {
    auto& state = *state_;
    state.now = runtime::boot_now();
    if (users) {
        state.users.assign(std::move(*users));
        state.users_at = state.now;
    }
    state.users_known();
}

void Relay::set_catalogue(std::string const& database, CatalogueNews news) {
    state_->now = runtime::boot_now();
    state_->take_catalogue(database, std::move(news));
}

void Relay::set_tls(runtime::TlsContext client_tls, runtime::TlsContext server_tls) {
    state_->options.client_tls = std::move(client_tls);
    state_->options.server_tls = std::move(server_tls);
}

void Relay::set_reloaded(Result<Options> options) {
    state_->now = runtime::boot_now();
    state_->take_reloaded(std::move(options));
}

proxy::Snapshot Relay::snapshot() {
    state_->now = runtime::boot_now();
    return state_->snapshot();
}

void Relay::run() {
    while (!state_->stopping) {
        state_->poller.wait(state_->idle_time());
        state_->keep_time();
    }
}

void Relay::stop() { state_->stopping = true; }

void Relay::drain(Duration most) { state_->ends = runtime::boot_now() + most; }

}  // namespace keel::relay
