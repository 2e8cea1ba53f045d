#include "app/proxy_options.h"

#include <fmt/format.h>

#include "runtime/files.h"

namespace keel::app {

namespace {
constexpr std::size_t kPemMax = 256U * 1024;
constexpr std::size_t kRulesMax = 4U << 20U;

relay::Reading reading(config::ProxyEndpoint const& from) {
    return {from.name,
            from.tag,
            static_cast<relay::Balance>(from.balance),
            std::uint64_t{from.read_lag_kbytes_max} * 1024,
            from.read_from_primary,
            from.clients_max};
}
}  // namespace

Result<ProxyTls> load_proxy_tls(config::NodeConfig const& config) {
    KEEL_TRY(auto identity, runtime::load_identity(config.directory + "/pki"));
    ProxyTls out;
    // A node's certificate logs in at the servers for roles of pgkeel_proxied; a proxy host's opens nothing there.
    bool const host = config.kind == cluster::Kind::proxy;
    KEEL_TRY(out.servers, runtime::client_mutual({identity.authority, host ? runtime::Pair{} : identity.own}));
    if (!config.proxy_offers_tls()) return out;
    runtime::Pair own = identity.own;
    if (!config.proxy.cert_file.empty()) {
        KEEL_TRY(own.certificate, runtime::read_file(config.proxy.cert_file, kPemMax));
        KEEL_TRY(auto key, runtime::read_file(config.proxy.key_file, kPemMax));
        own.key = Secret(std::move(key));
    }
    std::string authorities;
    if (auto const& file = config.proxy.client_ca_file; !file.empty()) {
        KEEL_TRY(authorities, runtime::read_file(file, kPemMax));
        // Empty it would mean that none is asked for.
        if (authorities.empty()) return fail(Code::invalid, file + " is empty", "write the authorities' certificates");
    }
    auto clients = runtime::server_for_applications(own, authorities);
    if (!clients) return fail(std::move(clients.error()).in("the proxy's certificates (cert_file, client_ca_file)"));
    out.clients = std::move(*clients);
    return out;
}

Result<ProxyRules> load_proxy_rules(config::NodeConfig const& config) {
    auto const& file = config.proxy.hba_file;
    if (file.empty()) return ProxyRules();
    KEEL_TRY(auto const text, runtime::read_file(file, kRulesMax));
    auto read = auth::parse_rules(text, file);
    auth::check_rules(
        read, file,
        {config.proxy_offers_tls(), !config.proxy.client_ca_file.empty(), config.kind != cluster::Kind::proxy});
    if (read.problems.empty()) return std::make_shared<std::vector<auth::Rule> const>(std::move(read.rules));
    Error all{Code::invalid, {}};
    for (auto const& one : read.problems) {
        all.text += fmt::format("{}{}:{}: {}", all.text.empty() ? "" : "; ", one.file, one.line, one.text);
        if (all.mend.empty()) all.mend = one.mend;
    }
    return fail(std::move(all));
}

relay::Options proxy_options(config::Proxy const& from) {
    relay::Options out;
    auto const seconds = [](std::uint32_t count) { return Duration(std::chrono::seconds(count)); };
    out.policy.mode = static_cast<proxy::PoolMode>(from.pool);
    out.policy.clients_max = from.clients_max;
    out.policy.pool_size = from.pool_size;
    out.policy.reserve_pool = from.reserve_pool;
    out.policy.database_max = from.database_max;
    out.policy.prepared_max = from.prepared_max;
    out.policy.wait_max = seconds(from.wait_s_max);
    out.policy.server_idle_max = seconds(from.server_idle_s_max);
    out.policy.server_life_max = seconds(from.server_life_s_max);
    out.policy.client_idle_max = seconds(from.client_idle_s_max);
    out.policy.transaction_idle_max = seconds(from.transaction_idle_s_max);
    out.policy.query_max = seconds(from.query_s_max);
    out.readings.front() = reading({{}, 0, {}, from.balance, 0, 0, from.read_lag_kbytes_max, from.read_from_primary});
    out.split_reads = from.split_reads;
    out.causal_reads = static_cast<proxy::Causal>(from.causal_reads);
    out.monotonic_reads = from.monotonic_reads;
    out.causal_wait_max = std::chrono::milliseconds(from.causal_wait_ms_max);
    out.tls_required = from.tls == config::ProxyTls::require;
    auto const listen = [&](relay::Target target, std::uint16_t port, std::size_t lane) {
        if (port == 0) return;
        for (auto const& address : from.listen) out.listeners.push_back({target, address, port, lane});
        if (!from.socket_directory.empty())
            out.listeners.push_back({target, from.socket_directory + "/.s.PGSQL." + std::to_string(port), 0, lane});
    };
    listen(relay::Target::auto_, from.port, 0);
    listen(relay::Target::read_write, from.read_write_port, 0);
    listen(relay::Target::read_only, from.read_only_port, 0);
    for (auto const& one : from.endpoints) {
        listen(relay::Target::read_only, one.port, out.readings.size());
        out.readings.push_back(reading(one));
        out.policy.lanes.push_back(one.pool_size);
    }
    return out;
}

}  // namespace keel::app
