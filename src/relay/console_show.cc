// The tables of the admin console: PgBouncer's names of tables and columns where they mean the same here, so that what
// reads them goes on; columns of our own follow theirs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cluster/status.h"
#include "relay/state.h"

namespace keel::relay {

using proxy::Table;

namespace {

constexpr bool kNumber = true;

template <class Number>
std::string text(Number value) {
    return std::to_string(value);
}
std::int64_t micros(Duration span) { return span.count(); }
std::string flag(bool value) { return value ? "1" : "0"; }
// Whole seconds, and the rest of them in microseconds.
std::string seconds(Duration span) { return text(micros(span) / 1'000'000); }
std::string rest_us(Duration span) { return text(micros(span) % 1'000'000); }
std::string when(Instant then, Instant now) { return cluster::utc_text(runtime::unix_ms_now() - to_ms(now - then)); }
std::string mode_of(Options const& options) { return boost::describe::enum_to_string(options.policy.mode, "?"); }

std::pair<std::string, std::string> split_address(std::string const& address) {
    auto const colon = address.rfind(':');
    if (colon == std::string::npos) return {address, {}};
    return {address.substr(0, colon), address.substr(colon + 1)};
}

Table show_pools(proxy::Snapshot const& now, Options const& options) {
    Table out({{"database"},
               {"user"},
               {"cl_active", kNumber},
               {"cl_waiting", kNumber},
               {"sv_active", kNumber},
               {"sv_idle", kNumber},
               {"sv_login", kNumber},
               {"maxwait", kNumber},
               {"maxwait_us", kNumber},
               {"pool_mode"},
               {"cl_idle", kNumber}});
    for (auto const& one : now.pools)
        out.row({one.database, one.user, text(one.clients_active + one.clients_idle), text(one.clients_waiting),
                 text(one.servers_active), text(one.servers_idle), text(one.servers_opening), seconds(one.longest_wait),
                 rest_us(one.longest_wait), mode_of(options), text(one.clients_idle)});
    return out;
}

Table show_databases(proxy::Snapshot const& now, Relay::State const& state) {
    Table out({{"name"},
               {"host"},
               {"port", kNumber},
               {"database"},
               {"pool_size", kNumber},
               {"reserve_pool_size", kNumber},
               {"pool_mode"},
               {"max_connections", kNumber},
               {"current_connections", kNumber},
               {"current_client_connections", kNumber},
               {"paused", kNumber}});
    std::map<std::string, std::size_t> clients;
    for (auto const& one : now.pools)
        clients[one.database] += one.clients_active + one.clients_idle + one.clients_waiting;
    for (auto const& name : state.pools.paused()) {
        if (!name.empty()) clients.try_emplace(name, 0);
    }
    auto const* const leader = state.node(state.routes.leader);
    auto const [host, port] =
        leader == nullptr ? std::pair<std::string, std::string>{} : split_address(leader->postgres);
    auto const& policy = state.options.policy;
    for (auto const& [name, count] : clients)
        out.row({name, leader ? Table::Cell(host) : std::nullopt, leader ? Table::Cell(port) : std::nullopt, name,
                 text(policy.pool_size), text(policy.reserve_pool), mode_of(state.options), text(policy.database_max),
                 text(state.pools.servers(name)), text(count), flag(state.pools.is_paused(name))});
    return out;
}

Table show_stats(proxy::Figures const& figures, proxy::Periods const& periods) {
    Table out({{"database"},
               {"total_server_assignment_count", kNumber},
               {"total_xact_count", kNumber},
               {"total_query_count", kNumber},
               {"total_received", kNumber},
               {"total_sent", kNumber},
               {"total_xact_time", kNumber},
               {"total_query_time", kNumber},
               {"total_wait_time", kNumber},
               {"avg_server_assignment_count", kNumber},
               {"avg_xact_count", kNumber},
               {"avg_query_count", kNumber},
               {"avg_recv", kNumber},
               {"avg_sent", kNumber},
               {"avg_xact_time", kNumber},
               {"avg_query_time", kNumber},
               {"avg_wait_time", kNumber}});
    auto const span = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(to_ms(periods.length())));
    proxy::Counts const none;
    for (auto const& [database, all] : figures.by_database()) {
        auto const* const known = periods.find(database);
        auto const& last = known == nullptr ? none : *known;
        auto const rate = [&](std::uint64_t count) { return text(count * 1000 / span); };
        auto const each = [](Duration total, std::uint64_t count) {
            return text(count == 0 ? 0 : micros(total) / static_cast<std::int64_t>(count));
        };
        out.row({database, text(all.waits.count()), text(all.transactions), text(all.queries), text(all.bytes_received),
                 text(all.bytes_sent), text(micros(all.transactions_took.sum)), text(micros(all.queries_took.sum)),
                 text(micros(all.waits.sum)), rate(last.waits.count()), rate(last.transactions), rate(last.queries),
                 rate(last.bytes_received), rate(last.bytes_sent), each(last.transactions_took.sum, last.transactions),
                 each(last.queries_took.sum, last.queries), each(last.waits.sum, last.waits.count())});
    }
    return out;
}

Table show_clients(Relay::State const& state) {
    Table out({{"type"},
               {"user"},
               {"database"},
               {"state"},
               {"addr"},
               {"port", kNumber},
               {"connect_time"},
               {"wait", kNumber},
               {"wait_us", kNumber},
               {"link", kNumber},
               {"tls"},
               {"application_name"},
               {"id", kNumber},
               {"endpoint"},
               {"node"},
               {"pinned"}});
    std::map<std::uint64_t, Client const*> ordered;
    for (auto const& [id, client] : state.clients) ordered[id] = client.get();
    for (auto const& [id, client] : ordered) {
        auto const& session = client->session;
        auto const [host, port] = split_address(client->wire.peer_address());
        bool const waits = client->waiting_since != Instant{};
        auto const waited = waits ? state.now - client->waiting_since : Duration{0};
        auto const endpoint = client->target == Target::auto_        ? "auto"
                              : client->target == Target::read_write ? "read-write"
                                                                     : "read-only";
        out.row({"C", session.user(), session.database(),
                 client->closing                               ? "closing"
                 : !session.is_ready() && !waits               ? "login"
                 : client->backend != nullptr || client->asked ? "active"
                 : waits                                       ? "waiting"
                                                               : "idle",
                 host, port.empty() ? std::nullopt : Table::Cell(port), when(client->since, state.now), seconds(waited),
                 rest_us(waited), client->backend ? Table::Cell(text(client->backend->server.id())) : std::nullopt,
                 client->wire.secure() ? "TLS" : "", session.application(), text(id), endpoint,
                 client->backend ? Table::Cell(client->backend->name) : std::nullopt,
                 session.pinned().empty() ? std::nullopt : Table::Cell(session.pinned())});
    }
    return out;
}

char const* state_of(Backend const& backend) {
    if (backend.cancels > 0) return "being_canceled";
    if (backend.client != nullptr) return "active";
    if (backend.stage == Backend::Stage::open) return "idle";
    return backend.stage == Backend::Stage::cleaning ? "tested" : "login";
}

Table show_servers(Relay::State const& state) {
    Table out({{"type"},
               {"user"},
               {"database"},
               {"state"},
               {"addr"},
               {"port", kNumber},
               {"connect_time"},
               {"close_needed", kNumber},
               {"link", kNumber},
               {"remote_pid", kNumber},
               {"tls"},
               {"application_name"},
               {"id", kNumber},
               {"node"},
               {"role"},
               {"epoch", kNumber}});
    std::map<std::uint64_t, Backend const*> ordered;
    for (auto const& [id, backend] : state.backends) ordered[id] = backend.get();
    for (auto const& [id, backend] : ordered) {
        auto const& server = backend->server;
        auto const [host, port] = split_address(backend->wire.peer_address());
        bool const standby = !server.key().node.value.empty();
        out.row({"S", server.key().user, server.key().database, state_of(*backend), host,
                 port.empty() ? std::nullopt : Table::Cell(port), when(backend->since, state.now), flag(server.retire),
                 backend->client ? Table::Cell(text(backend->client->session.id())) : std::nullopt,
                 text(server.process()), backend->wire.secure() ? "TLS" : "",
                 backend->client ? backend->client->session.application() : std::string{}, text(id), backend->name,
                 standby ? "standby" : "primary", text(server.epoch().value)});
    }
    return out;
}

Table show_node_pools(Relay::State const& state) {
    Table out({{"node"},
               {"database"},
               {"user"},
               {"cl_waiting", kNumber},
               {"sv_active", kNumber},
               {"sv_idle", kNumber},
               {"sv_login", kNumber},
               {"maxwait", kNumber},
               {"maxwait_us", kNumber}});
    for (auto const& [key, one] : state.pools.counts(state.now)) {
        auto const* const where = state.node(key.node);
        auto const name = key.node.value.empty() ? "(primary)" : where == nullptr ? key.node.value : where->name;
        out.row({name, key.database, key.user, text(one.waiting), text(one.used), text(one.idle), text(one.opening),
                 seconds(one.longest_wait), rest_us(one.longest_wait)});
    }
    return out;
}

Table show_nodes(Relay::State const& state, proxy::Snapshot const& now) {
    Table out({{"name"},
               {"host"},
               {"port", kNumber},
               {"role"},
               {"takes_reads", kNumber},
               {"streaming", kNumber},
               {"timeline", kNumber},
               {"replay_lsn"},
               {"lag_bytes", kNumber},
               {"lag_ms", kNumber},
               {"sv_active", kNumber},
               {"sv_idle", kNumber},
               {"sv_login", kNumber}});
    for (std::size_t i = 0; i < state.routes.nodes.size(); ++i) {
        auto const& one = state.routes.nodes[i];
        bool const leads = one.id == state.routes.leader;
        auto const [host, port] = split_address(one.postgres);
        auto const known = [&](bool is, std::string value) {
            return is ? Table::Cell(std::move(value)) : std::nullopt;
        };
        out.row(
            {one.name, host, port,
             leads             ? "primary"
             : one.in_recovery ? "standby"
                               : "not heard",
             flag(now.nodes[i].takes_reads), flag(one.standby), known(one.timeline.value > 0, text(one.timeline.value)),
             known(one.in_recovery, to_string(one.replay)), known(one.in_recovery, text(one.lag_bytes)),
             known(one.in_recovery && one.lag >= Duration{0}, text(to_ms(one.lag))), text(now.nodes[i].servers_active),
             text(now.nodes[i].servers_idle), text(now.nodes[i].servers_opening)});
    }
    return out;
}

Table show_state(Relay::State const& state) {
    Table out({{"key"}, {"value"}});
    auto const& paused = state.pools.paused();
    bool const all = paused.contains({});
    out.row({"active", !all && !state.pools.held() ? "yes" : "no"});
    out.row({"paused", all ? "yes" : "no"});
    std::vector<std::string> names(paused.begin(), paused.end());
    std::erase(names, std::string{});
    out.row({"paused_databases", fmt::format("{}", fmt::join(names, ", "))});
    out.row({"waits_because", state.pools.hold_reason()});
    out.row({"cluster", state.routes.cluster});
    out.row({"epoch", text(state.routes.epoch.value)});
    auto const* const leader = state.node(state.routes.leader);
    out.row({"primary", leader == nullptr ? std::string{} : leader->name});
    out.row({"agent", state.silent ? "does not answer" : "answers"});
    return out;
}

Table show_lists(Relay::State const& state, proxy::Snapshot const& now) {
    Table out({{"list"}, {"items", kNumber}});
    std::set<std::string> databases;
    for (auto const& one : now.pools) databases.insert(one.database);
    std::size_t linked = 0;
    for (auto const& [id, backend] : state.backends) linked += backend->client != nullptr ? 1 : 0;
    out.row({"databases", text(databases.size())});
    out.row({"users", text(state.users.size())});
    out.row({"pools", text(now.pools.size())});
    out.row({"used_clients", text(state.clients.size())});
    out.row({"login_clients", text(now.clients_logging_in)});
    out.row({"used_servers", text(linked)});
    out.row({"free_servers", text(state.backends.size() - linked)});
    out.row({"nodes", text(state.routes.nodes.size())});
    return out;
}

// By their names in node.toml.
std::vector<std::pair<char const*, std::string>> settings_of(Options const& from) {
    auto const whole = [](Duration span) { return text(to_ms(span) / 1000); };
    auto const& policy = from.policy;
    auto const& reading = from.readings.front();
    return {{"balance", boost::describe::enum_to_string(reading.balance, "?")},
            {"causal_reads", boost::describe::enum_to_string(from.causal_reads, "?")},
            {"causal_wait_ms_max", text(to_ms(from.causal_wait_max))},
            {"client_idle_s_max", whole(policy.client_idle_max)},
            {"clients_max", text(policy.clients_max)},
            {"database_max", text(policy.database_max)},
            {"monotonic_reads", from.monotonic_reads ? "true" : "false"},
            {"pool", mode_of(from)},
            {"pool_size", text(policy.pool_size)},
            {"prepared_max", text(policy.prepared_max)},
            {"query_s_max", whole(policy.query_max)},
            {"read_from_primary", reading.from_primary ? "true" : "false"},
            {"read_lag_kbytes_max", text(reading.lag_bytes_max / 1024)},
            {"reserve_pool", text(policy.reserve_pool)},
            {"server_idle_s_max", whole(policy.server_idle_max)},
            {"server_life_s_max", whole(policy.server_life_max)},
            {"split_reads", from.split_reads ? "true" : "false"},
            {"transaction_idle_s_max", whole(policy.transaction_idle_max)},
            {"wait_s_max", whole(policy.wait_max)}};
}

// `changeable`: by RELOAD.
Table show_settings(Options const& options) {
    Table out({{"key"}, {"value"}, {"default"}, {"changeable"}});
    auto const now = settings_of(options);
    auto const usual = settings_of(Options{});
    for (std::size_t i = 0; i < now.size(); ++i)
        out.row(
            {now[i].first, now[i].second, usual[i].second, std::string_view(now[i].first) == "pool" ? "no" : "yes"});
    for (std::size_t i = 1; i < options.readings.size(); ++i) {
        auto const& one = options.readings[i];
        auto const name = "endpoints." + one.name;
        out.row({name,
                 fmt::format("tag {}, {}, clients_max {}, pool_size {}, read_lag_kbytes_max {}, read_from_primary {}",
                             one.tag, boost::describe::enum_to_string(one.balance, "?"), one.clients_max,
                             options.policy.pool_size_of(i), one.lag_bytes_max / 1024, one.from_primary),
                 std::nullopt, "yes"});
    }
    std::vector<std::string> doors;
    for (auto const& one : options.listeners)
        doors.push_back(one.port == 0 ? one.address : fmt::format("{}:{}", one.address, one.port));
    out.row({"listeners", fmt::format("{}", fmt::join(doors, ", ")), std::nullopt, "no"});
    out.row({"tls", !options.client_tls ? "off" : options.tls_required ? "require" : "allow", "allow", "yes"});
    return out;
}

Table show_help() {
    Table out({{"command"}, {"for"}, {"does"}});
    for (auto const& line : proxy::help_lines()) out.row({line.command, line.who, line.text});
    return out;
}

}  // namespace

Table Relay::State::show(std::string const& what) const {
    if (what == "CLIENTS") return show_clients(*this);
    if (what == "SERVERS") return show_servers(*this);
    if (what == "NODE_POOLS") return show_node_pools(*this);
    if (what == "STATE") return show_state(*this);
    if (what == "STATS") return show_stats(shared.figures, periods);
    if (what == "CONFIG" || what == "SETTINGS") return show_settings(options);
    if (what == "HELP") return show_help();
    if (what == "VERSION") {
        Table out({{"version"}});
        out.row({"pgkeel " + options.version});
        return out;
    }
    auto const now_all = snapshot();
    if (what == "DATABASES") return show_databases(now_all, *this);
    if (what == "LISTS") return show_lists(*this, now_all);
    if (what == "NODES") return show_nodes(*this, now_all);
    return show_pools(now_all, options);
}

}  // namespace keel::relay
