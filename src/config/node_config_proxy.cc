#include "config/section_reader.h"

namespace keel::config {

void read_proxy(Reader& reader, Proxy& out) {
    constexpr std::int64_t kMany = 1'000'000;
    reader.read("proxy", "enabled", out.enabled);
    reader.read_list("proxy", "listen", out.listen);
    reader.read("proxy", "port", out.port, 0, 65535);
    reader.read("proxy", "read_write_port", out.read_write_port, 0, 65535);
    reader.read("proxy", "read_only_port", out.read_only_port, 0, 65535);
    reader.read("proxy", "socket_directory", out.socket_directory);
    reader.read_enum("proxy", "tls", out.tls);
    reader.read("proxy", "cert_file", out.cert_file);
    reader.read("proxy", "key_file", out.key_file);
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
}

void check_proxy(Reader& reader, NodeConfig& out) {
    Proxy& proxy = out.proxy;
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("proxy", key), std::move(text), std::move(mend));
    };
    if (proxy.listen.empty()) proxy.listen = {out.bind};
    if (!proxy.enabled) return;
    if (proxy.cert_file.empty() != proxy.key_file.empty())
        bad("cert_file", "proxy.cert_file and proxy.key_file belong together", "set both or none");
    if (!proxy.socket_directory.empty() && !proxy.socket_directory.starts_with('/'))
        bad("socket_directory",
            fmt::format("proxy.socket_directory = \"{}\" is not an absolute path", proxy.socket_directory),
            "begin it with '/'");
    std::vector<std::pair<std::string, std::uint16_t>> const ports = {{"proxy.port", proxy.port},
                                                                      {"proxy.read_write_port", proxy.read_write_port},
                                                                      {"proxy.read_only_port", proxy.read_only_port},
                                                                      {"node.peer_port", out.peer_port},
                                                                      {"node.api_port", out.api_port},
                                                                      {"postgres.port", out.postgres.port}};
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = i + 1; j < ports.size(); ++j) {
            if (ports[i].second == 0 || ports[i].second != ports[j].second) continue;
            bad(ports[i].first.c_str() + 6,
                fmt::format("{} and {} are both {}", ports[i].first, ports[j].first, ports[i].second),
                "give each a port of its own; 0 is none");
        }
    }
}

}  // namespace keel::config
