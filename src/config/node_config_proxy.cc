#include "cluster/routes.h"
#include "config/section_reader.h"

namespace keel::config {

namespace {

constexpr std::int64_t kMany = 1'000'000;

bool is_ipv4(std::string_view text) {
    int parts = 1, digits = 0, value = 0;
    for (char const c : text) {
        if (c == '.') {
            if (digits == 0) return false;
            ++parts;
            digits = value = 0;
            continue;
        }
        if (c < '0' || c > '9' || ++digits > 3) return false;
        value = value * 10 + (c - '0');
        if (value > 255) return false;
    }
    return parts == 4 && digits > 0;
}

// By its form; whether this host has it shows when it is listened on.
bool is_ip(std::string_view text) {
    if (std::ranges::count(text, ':') < 2) return is_ipv4(text);
    return text.substr(0, text.find('%')).find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

void read_endpoints(Reader& reader, std::vector<ProxyEndpoint>& out) {
    static Keys const keys = {
        "port", "tag", "balance", "clients_max", "pool_size", "read_lag_kbytes_max", "read_from_primary"};
    auto const* const tables = reader.tables("proxy", "endpoints");
    if (tables == nullptr) return;
    auto inner = reader.below(*tables, keys);
    for (auto const& [key, unused] : *tables) {
        auto& one = out.emplace_back();
        one.name = key.str();
        inner.read(one.name, "port", one.port, 1, 65535);
        inner.read(one.name, "tag", one.tag);
        inner.read_enum(one.name, "balance", one.balance);
        inner.read(one.name, "clients_max", one.clients_max, 0, kMany);
        inner.read(one.name, "pool_size", one.pool_size, 1, kMany);
        inner.read(one.name, "read_lag_kbytes_max", one.read_lag_kbytes_max, 0, UINT32_MAX);
        inner.read(one.name, "read_from_primary", one.read_from_primary);
        auto const bad = [&](char const* what, std::string text, std::string mend) {
            inner.complain(inner.line(one.name, what), std::move(text), std::move(mend));
        };
        if (one.port == 0 && !inner.has(one.name, "port"))
            bad("port", fmt::format("endpoint {} has no port", one.name), "give it one of its own: port = 6435");
        if (!cluster::is_tag_word(one.tag))
            bad("tag",
                one.tag.empty() ? fmt::format("endpoint {} has no tag", one.name)
                                : fmt::format("endpoint {}: no member can have the tag \"{}\"", one.name, one.tag),
                "it may be analytics, noloadbalance, nosync, nofailover, spare, delayed, or domain=NAME (`pgkeel "
                "tag`)");
    }
}

void check_ports(Reader& reader, NodeConfig const& config) {
    auto const& proxy = config.proxy;
    std::vector<std::pair<std::string, std::uint16_t>> ports = {{"proxy.port", proxy.port},
                                                                {"proxy.read_write_port", proxy.read_write_port},
                                                                {"proxy.read_only_port", proxy.read_only_port}};
    for (auto const& one : proxy.endpoints) ports.emplace_back("proxy.endpoints." + one.name + ".port", one.port);
    auto const own = ports.size();
    if (config.kind != cluster::Kind::proxy) {
        ports.emplace_back("node.peer_port", config.peer_port);
        ports.emplace_back("node.api_port", config.api_port);
        ports.emplace_back("postgres.port", config.postgres.port);
    }
    for (std::size_t i = 0; i < own; ++i) {
        for (std::size_t j = i + 1; j < ports.size(); ++j) {
            if (ports[i].second == 0 || ports[i].second != ports[j].second) continue;
            auto const key = ports[i].first.substr(6);
            reader.complain(reader.line("proxy", key.starts_with("endpoints") ? "endpoints" : key),
                            fmt::format("{} and {} are both {}", ports[i].first, ports[j].first, ports[i].second),
                            "give each a port of its own; 0 is none");
        }
    }
}

}  // namespace

void read_proxy(Reader& reader, Proxy& out) {
    reader.read("proxy", "enabled", out.enabled);
    reader.read_list("proxy", "listen", out.listen);
    reader.read("proxy", "port", out.port, 0, 65535);
    reader.read("proxy", "read_write_port", out.read_write_port, 0, 65535);
    reader.read("proxy", "read_only_port", out.read_only_port, 0, 65535);
    reader.read("proxy", "socket_directory", out.socket_directory);
    reader.read_enum("proxy", "tls", out.tls);
    reader.read("proxy", "cert_file", out.cert_file);
    reader.read("proxy", "key_file", out.key_file);
    reader.read("proxy", "client_ca_file", out.client_ca_file);
    reader.read("proxy", "hba_file", out.hba_file);
    reader.read_enum("proxy", "pool", out.pool);
    reader.read_enum("proxy", "balance", out.balance);
    reader.read("proxy", "clients_max", out.clients_max, 1, kMany);
    reader.read("proxy", "pool_size", out.pool_size, 1, kMany);
    reader.read("proxy", "reserve_pool", out.reserve_pool, 0, kMany);
    reader.read("proxy", "database_max", out.database_max, 0, kMany);
    reader.read("proxy", "prepared_max", out.prepared_max, 1, kMany);
    reader.read("proxy", "wait_s_max", out.wait_s_max, 1, 86'400);
    reader.read("proxy", "server_idle_s_max", out.server_idle_s_max, 1, kMany);
    reader.read("proxy", "server_life_s_max", out.server_life_s_max, 1, kMany);
    reader.read("proxy", "client_idle_s_max", out.client_idle_s_max, 0, kMany);
    reader.read("proxy", "transaction_idle_s_max", out.transaction_idle_s_max, 0, kMany);
    reader.read("proxy", "query_s_max", out.query_s_max, 0, kMany);
    reader.read("proxy", "read_lag_kbytes_max", out.read_lag_kbytes_max, 0, UINT32_MAX);
    reader.read("proxy", "read_from_primary", out.read_from_primary);
    reader.read("proxy", "split_reads", out.split_reads);
    reader.read_list("proxy", "read_functions", out.read_functions);
    reader.read_enum("proxy", "causal_reads", out.causal_reads);
    reader.read("proxy", "monotonic_reads", out.monotonic_reads);
    reader.read("proxy", "causal_wait_ms_max", out.causal_wait_ms_max, 0, 60'000);
    read_endpoints(reader, out.endpoints);
}

void check_proxy(Reader& reader, NodeConfig& out) {
    Proxy& proxy = out.proxy;
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("proxy", key), std::move(text), std::move(mend));
    };
    if (proxy.enabled) {
        // A name may lead to any address, also to one that is not meant to be open.
        for (auto const& address : proxy.listen) {
            if (!is_ip(address))
                bad("listen", fmt::format("proxy.listen: \"{}\" is not an IP address", address),
                    "write an address of this host, as in listen = [\"10.0.0.1\"]; all of them: [\"0.0.0.0\"], IPv6 as "
                    "well: [\"::\"]");
        }
    }
    if (proxy.listen.empty()) proxy.listen = {out.bind};
    if (!proxy.enabled) return;
    if (proxy.cert_file.empty() != proxy.key_file.empty())
        bad("cert_file", "proxy.cert_file and proxy.key_file belong together", "set both or none");
    for (auto const& [key, path] : {std::pair{"socket_directory", &proxy.socket_directory},
                                    {"client_ca_file", &proxy.client_ca_file},
                                    {"hba_file", &proxy.hba_file}}) {
        if (!path->empty() && !path->starts_with('/'))
            bad(key, fmt::format("proxy.{} = \"{}\" is not an absolute path", key, *path), "begin it with '/'");
    }
    if (!proxy.client_ca_file.empty() && !out.proxy_offers_tls())
        bad("client_ca_file", "proxy.client_ca_file has no meaning: clients are not offered TLS",
            out.kind == cluster::Kind::proxy ? "name a certificate with cert_file and key_file"
                                             : "set tls = \"allow\"");
    check_ports(reader, out);
}

}  // namespace keel::config
