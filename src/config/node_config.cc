#include "config/node_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "config/section_reader.h"

namespace keel::config {

namespace {

void read_values(Reader& reader, NodeConfig& out) {
    reader.read("node", "name", out.name);
    reader.read("node", "dir", out.directory);
    reader.read("node", "user", out.user);
    reader.read_enum("node", "kind", out.kind);
    reader.read("node", "address", out.address);
    reader.read("node", "bind", out.bind);
    reader.read("node", "peer_port", out.peer_port, 1, 65535);
    reader.read("node", "api_port", out.api_port, 1, 65535);
    reader.read("postgres", "bin", out.postgres.bin);
    reader.read("postgres", "port", out.postgres.port, 1, 65535);
    reader.read_list("postgres", "listen", out.postgres.listen);
    reader.read("postgres", "clone_rate_kbytes_max", out.postgres.clone_rate_kbytes_max, 0, 1'048'576);
    reader.read_parameters(out.postgres.parameters);
    reader.read_enum("store", "kind", out.store.kind);
    reader.read_list("store", "endpoints", out.store.endpoints);
    reader.read("store", "prefix", out.store.prefix);
    reader.read("store", "user", out.store.user);
    reader.read("store", "password_file", out.store.password_file);
    reader.read("store", "ca_file", out.store.ca_file);
    reader.read("store", "cert_file", out.store.cert_file);
    reader.read("store", "key_file", out.store.key_file);
    reader.read("tags", "nofailover", out.tags.nofailover);
    reader.read("tags", "nosync", out.tags.nosync);
    reader.read("tags", "noloadbalance", out.tags.noloadbalance);
    reader.read("tags", "spare", out.tags.spare);
    reader.read("tags", "analytics", out.tags.analytics);
    reader.read("tags", "clonefrom", out.tags.clonefrom);
    reader.read("tags", "priority", out.tags.priority, -1000, 1000);
    reader.read("tags", "domain", out.tags.domain);
    reader.read("tags", "delayed_s", out.tags.delayed_s, 0, 30 * 86400);
    read_proxy(reader, out.proxy);
    reader.read_enum("log", "level", out.log.level);
    reader.read_enum("log", "format", out.log.format);
    reader.read("log", "file", out.log.file);
    read_repository(reader, out.backup);
}

bool is_wildcard(std::string const& address) { return address == "0.0.0.0" || address == "::" || address == "*"; }

void check_address(Reader& reader, NodeConfig& out) {
    auto const bad = [&](std::string text, std::string mend) {
        reader.complain(reader.line("node", "address"), std::move(text), std::move(mend));
    };
    if (out.address.empty())
        bad("node.address is missing", "name the address under which the other nodes reach this one");
    else if (is_wildcard(out.address))
        bad(fmt::format("node.address = \"{}\" is no address that another node can reach", out.address),
            "name this node's own address; to listen on all of them, set node.bind");
    else if (out.address.find_first_of(" /\t") != std::string::npos)
        bad(fmt::format("node.address = \"{}\" is neither a host name nor an IP address", out.address),
            "write the address alone; the ports have keys of their own");
    if (out.bind.empty()) out.bind = out.address;
}

// What only nodes have.
void check_proxy_host(Reader& reader, NodeConfig& out) {
    for (char const* section : {"postgres", "store", "tags", "backup"}) {
        if (reader.has(section))
            reader.complain(reader.line(section, ""), fmt::format("a proxy host has no [{}]", section),
                            "take the section out");
    }
    for (char const* key : {"address", "bind", "peer_port", "api_port"}) {
        if (reader.has("node", key))
            reader.complain(reader.line("node", key), fmt::format("node.{} has no meaning for a proxy host", key),
                            "take it out; what the proxy listens on is in [proxy]");
    }
    if (reader.has("proxy", "enabled"))
        reader.complain(reader.line("proxy", "enabled"), "a proxy host has nothing but its proxy", "take it out");
    // Its certificate makes it a client of the cluster, not a server that applications could trust.
    if (out.proxy.tls == ProxyTls::require && out.proxy.cert_file.empty())
        reader.complain(reader.line("proxy", "tls"), "proxy.tls = \"require\" needs a certificate on a proxy host",
                        "name one with cert_file and key_file");
    if (out.proxy.listen.empty()) out.proxy.listen = {kProxyHostListen};
}

void check_node(Reader& reader, NodeConfig& out, std::string const& directory) {
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("node", key), std::move(text), std::move(mend));
    };
    if (out.name.empty())
        bad("name", "node.name is missing", "give the node a name that no other one has: name = \"anna\"");
    else if (!is_name(out.name))
        bad("name", fmt::format("node.name = \"{}\" is not a name", out.name),
            "use 1..63 of a-z, 0-9 and '-', beginning with a letter");
    if (out.user == "root") bad("user", "PostgreSQL must not run as root", "name an ordinary user, such as postgres");
    if (out.user.empty()) bad("user", "node.user is empty", "name the user that owns the data, such as postgres");
    if (!out.directory.starts_with('/'))
        bad("dir", fmt::format("node.dir = \"{}\" is not an absolute path", out.directory), "begin it with '/'");
    else if (!directory.empty() && out.directory != directory)
        bad("dir", fmt::format("node.dir = \"{}\", but the file lies in {}", out.directory, directory),
            "take the line out, or move the directory");
    if (out.kind == cluster::Kind::proxy) return;
    check_address(reader, out);
    std::vector<std::pair<std::string, std::uint16_t>> const ports = {
        {"node.peer_port", out.peer_port}, {"node.api_port", out.api_port}, {"postgres.port", out.postgres.port}};
    for (std::size_t i = 0; i < ports.size(); ++i) {
        for (std::size_t j = i + 1; j < ports.size(); ++j) {
            if (ports[i].second != ports[j].second) continue;
            bad("api_port", fmt::format("{} and {} are both {}", ports[i].first, ports[j].first, ports[i].second),
                "give each a port of its own");
        }
    }
}

void check_store(Reader& reader, NodeConfig& out) {
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("store", key), std::move(text), std::move(mend));
    };
    Store const& store = out.store;
    if (store.kind == StoreKind::embedded) {
        for (char const* key : {"endpoints", "prefix", "user", "password_file", "ca_file", "cert_file", "key_file"}) {
            if (reader.has("store", key))
                bad(key, fmt::format("store.{} has no meaning for the embedded store", key),
                    "take it out, or set kind = \"etcd\"");
        }
        return;
    }
    if (store.endpoints.empty())
        bad("endpoints", "store.kind is etcd, and no endpoints are named",
            "endpoints = [\"https://10.0.0.1:2379\", ...]");
    bool plain = false;
    for (auto const& endpoint : store.endpoints) {
        plain = plain || endpoint.starts_with("http://");
        if (!endpoint.starts_with("http://") && !endpoint.starts_with("https://"))
            bad("endpoints", fmt::format("store.endpoints: \"{}\" is no URL", endpoint),
                fmt::format("write https://{}", endpoint));
    }
    if (plain && !store.user.empty())
        bad("endpoints", "a password would go over plain HTTP to etcd", "use https:// endpoints");
    if (store.user.empty() != store.password_file.empty())
        bad("user", "store.user and store.password_file belong together", "set both or none");
    if (store.cert_file.empty() != store.key_file.empty())
        bad("cert_file", "store.cert_file and store.key_file belong together", "set both or none");
    if (!store.prefix.starts_with('/'))
        bad("prefix", fmt::format("store.prefix = \"{}\" does not begin with '/'", store.prefix),
            "prefix = \"/pgkeel\"");
}

void check_tags(Reader& reader, NodeConfig const& out) {
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("tags", key), std::move(text), std::move(mend));
    };
    cluster::Tags const& tags = out.tags;
    if (tags.nofailover && tags.priority > 0)
        bad("priority", "tags.priority is above 0, but tags.nofailover says never", "keep one of the two");
    if (tags.delayed_s > 0 && tags.priority > 0)
        bad("delayed_s", "a delayed member is never promoted, so tags.priority has no meaning", "keep one of the two");
    if (!tags.clonefrom.empty() && tags.clonefrom == out.name)
        bad("clonefrom", "tags.clonefrom names this node itself", "name another member");
    if (out.kind == cluster::Kind::witness) {
        if (reader.has("postgres"))
            reader.complain(reader.line("postgres", ""), "a witness has no PostgreSQL",
                            "take the section [postgres] out, or set kind = \"data\"");
        if (reader.has("tags"))
            reader.complain(reader.line("tags", ""), "a witness has no tags", "take the section [tags] out");
    }
}

}  // namespace

bool Parsed::usable() const {
    return std::ranges::none_of(problems, [](Problem const& p) { return p.severity == Severity::error; });
}

Parsed parse_node_config(std::string_view text, std::string const& file, std::string const& directory) {
    Parsed out;
    out.config.directory = directory.empty() ? kDirectory : directory;
    toml::parse_result const result = toml::parse(text, std::string_view(file));
    if (!result) {
        out.problems.push_back({file, line_of(result.error().source()),
                                std::string("not TOML: ") + std::string(result.error().description()),
                                "texts stand in double quotes, sections in [brackets]: https://toml.io"});
        return out;
    }
    Reader reader(result.table(), file, out.problems);
    reader.unknown_names();
    read_values(reader, out.config);
    check_node(reader, out.config, directory);
    if (out.config.kind == cluster::Kind::proxy) check_proxy_host(reader, out.config);
    check_store(reader, out.config);
    check_tags(reader, out.config);
    check_proxy(reader, out.config);
    check_repository(reader, out.config);
    if (out.config.postgres.listen.empty()) out.config.postgres.listen = {out.config.bind};
    std::ranges::sort(out.problems, {}, [](Problem const& p) { return std::tie(p.line, p.text); });
    return out;
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > 63 || text.front() < 'a' || text.front() > 'z') return false;
    return std::ranges::all_of(text,
                               [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string host_port(std::string const& host, std::uint16_t port) {
    bool const v6 = host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

}  // namespace keel::config
