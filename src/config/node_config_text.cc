#include <fmt/format.h>

#include "config/node_config.h"

namespace keel::config {

namespace {

// A TOML basic string.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + "\"";
}

std::string quoted(std::vector<std::string> const& texts) {
    std::string out;
    for (auto const& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
    return "[" + out + "]";
}

class Writer {
  public:
    void section(char const* name, char const* doc) { out_ += fmt::format("\n# {}\n[{}]\n", doc, name); }
    // Commented out while it has its default, so that the file shows what this node has of its own.
    void key(char const* name, std::string const& value, std::string const& standard, char const* doc) {
        out_ += fmt::format("# {}\n{}{} = {}\n", doc, value == standard ? "# " : "", name, value);
    }
    void text(std::string const& line) { out_ += line; }
    std::string take() { return std::move(out_); }

  private:
    std::string out_ =
        "# Settings of this node. Cluster-wide ones are replicated: `pgkeel config get`.\n"
        "# A line with a '#' shows the default. After a change: pgkeel reload (ports and addresses need a restart of\n"
        "# the node). `pgkeel doctor` checks this file.\n";
};

template <class Enum>
std::string name_of(Enum value) {
    return quoted(boost::describe::enum_to_string(value, "?"));
}
std::string flag(bool value) { return value ? "true" : "false"; }

void write_node(Writer& out, NodeConfig const& config) {
    NodeConfig const standard;
    out.section("node", "Who this node is.");
    out.key("name", quoted(config.name), "", "Unique in the cluster, for people.");
    out.key("address", quoted(config.address), "",
            "Host name or IP under which the other nodes and the applications reach this one.");
    out.key("bind", quoted(config.bind), quoted(config.address),
            "What to listen on for peers and the API: the address, unless that is another machine's (NAT).");
    out.key("kind", name_of(config.kind), name_of(standard.kind), "data has a PostgreSQL, witness only votes.");
    out.key("user", quoted(config.user), quoted(standard.user), "root starts everything as this user.");
    out.key("peer_port", std::to_string(config.peer_port), std::to_string(standard.peer_port),
            "Between nodes: mutual TLS only.");
    out.key("api_port", std::to_string(config.api_port), std::to_string(standard.api_port),
            "Health, metrics, and over TLS everything else.");
}

void write_postgres(Writer& out, NodeConfig const& config) {
    Postgres const standard;
    Postgres const& postgres = config.postgres;
    out.section("postgres", "This node's PostgreSQL.");
    out.key("bin", quoted(postgres.bin), quoted(standard.bin),
            "Directory of its programs; empty: the newest installed.");
    out.key("port", std::to_string(postgres.port), std::to_string(standard.port),
            "Port for applications and standbys.");
    out.key("listen", quoted(postgres.listen), quoted(std::vector<std::string>{config.bind}), "listen_addresses.");
    out.key("clone_rate_kbytes_max", std::to_string(postgres.clone_rate_kbytes_max),
            std::to_string(standard.clone_rate_kbytes_max), "Kilobytes a second of a clone or 0 for no limit.");
    out.text(
        "\n# PostgreSQL's own parameters on this node only, as in shared_buffers = \"2GB\"; they win over the "
        "cluster's\n"
        "# (pgkeel config set postgres.<parameter> <value>).\n[postgres.parameters]\n");
    for (auto const& [name, value] : postgres.parameters)
        out.text(fmt::format("{} = {}\n", quoted(name), quoted(value)));
}

void write_proxy(Writer& out, NodeConfig const& config) {
    Proxy const standard;
    Proxy const& proxy = config.proxy;
    auto const number = [&](char const* name, auto value, auto usual, char const* doc) {
        out.key(name, std::to_string(value), std::to_string(usual), doc);
    };
    out.section("proxy",
                "Applications connect to it: it pools, follows the primary, and holds work while there is none.");
    out.key("enabled", flag(proxy.enabled), flag(standard.enabled), "Whether this node runs one.");
    std::vector<std::string> const everywhere{config.bind};
    out.key("listen", quoted(proxy.listen.empty() ? everywhere : proxy.listen), quoted(everywhere), "IP addresses.");
    number("port", proxy.port, standard.port, "Wherever a statement belongs. 0: none, as for the next two.");
    number("read_write_port", proxy.read_write_port, standard.read_write_port, "The primary only.");
    number("read_only_port", proxy.read_only_port, standard.read_only_port, "Standbys.");
    out.key("socket_directory", quoted(proxy.socket_directory), quoted(standard.socket_directory),
            "For Unix sockets too; empty: none.");
    out.key("tls", name_of(proxy.tls), name_of(standard.tls), "off, allow or require.");
    out.key("cert_file", quoted(proxy.cert_file), quoted(standard.cert_file), "Empty: the node's own certificate.");
    out.key("key_file", quoted(proxy.key_file), quoted(standard.key_file), "Its key; mode 0600.");
    out.key("pool", name_of(proxy.pool), name_of(standard.pool),
            "A client gives its server back after each transaction, session or statement.");
    out.key("balance", name_of(proxy.balance), name_of(standard.balance),
            "Among standbys: round_robin, random, least_connections or lag_aware.");
    number("clients_max", proxy.clients_max, standard.clients_max, "Clients at one time.");
    number("pool_size", proxy.pool_size, standard.pool_size, "Server connections per database and user.");
    number("reserve_pool", proxy.reserve_pool, standard.reserve_pool, "And so many more for who waits five seconds.");
    number("database_max", proxy.database_max, standard.database_max, "Server connections per database; 0: no limit.");
    number("prepared_max", proxy.prepared_max, standard.prepared_max, "Statements prepared on one server connection.");
    number("wait_s_max", proxy.wait_s_max, standard.wait_s_max, "For a server connection, or a primary.");
    number("server_idle_s_max", proxy.server_idle_s_max, standard.server_idle_s_max, "Then it is closed.");
    number("server_life_s_max", proxy.server_life_s_max, standard.server_life_s_max, "The same, once it is free.");
    number("client_idle_s_max", proxy.client_idle_s_max, standard.client_idle_s_max, "0: no limit.");
    number("transaction_idle_s_max", proxy.transaction_idle_s_max, standard.transaction_idle_s_max, "0: no limit.");
    number("query_s_max", proxy.query_s_max, standard.query_s_max, "0: no limit.");
    number("read_lag_kbytes_max", proxy.read_lag_kbytes_max, standard.read_lag_kbytes_max,
           "A standby further behind gets no reads.");
    out.key("read_from_primary", flag(proxy.read_from_primary), flag(standard.read_from_primary),
            "When no standby is usable.");
}

void write_store(Writer& out, Store const& store) {
    Store const standard;
    out.section("store", "Where the cluster's record lives.");
    out.key("kind", name_of(store.kind), name_of(standard.kind), "embedded: on the nodes. etcd: in an etcd of yours.");
    if (store.kind != StoreKind::etcd) return;
    out.key("endpoints", quoted(store.endpoints), "", "https://host:2379, tried in turn.");
    out.key("prefix", quoted(store.prefix), quoted(standard.prefix), "The key is <prefix>/<cluster>/record.");
    out.key("user", quoted(store.user), quoted(standard.user), "etcd's user, with password_file.");
    out.key("password_file", quoted(store.password_file), quoted(standard.password_file), "First line; mode 0600.");
    out.key("ca_file", quoted(store.ca_file), quoted(standard.ca_file), "etcd's authority; empty: the system's.");
    out.key("cert_file", quoted(store.cert_file), quoted(standard.cert_file), "Client certificate for etcd.");
    out.key("key_file", quoted(store.key_file), quoted(standard.key_file), "Its key.");
}

void write_tags(Writer& out, cluster::Tags const& tags) {
    cluster::Tags const standard;
    out.section("tags", "What init and join gave this member; later changes are made with `pgkeel tag`.");
    out.key("nofailover", flag(tags.nofailover), flag(standard.nofailover), "Never promoted.");
    out.key("nosync", flag(tags.nosync), flag(standard.nosync), "Never waited for by commits.");
    out.key("noloadbalance", flag(tags.noloadbalance), flag(standard.noloadbalance), "Gets no reads from a balancer.");
    out.key("spare", flag(tags.spare), flag(standard.spare), "Waits to take the place of a lost member.");
    out.key("analytics", flag(tags.analytics), flag(standard.analytics), "For reports only.");
    out.key("clonefrom", quoted(tags.clonefrom), quoted(standard.clonefrom),
            "Member to clone from, while it is alive.");
    out.key("priority", std::to_string(tags.priority), std::to_string(standard.priority),
            "Higher wins among equally advanced candidates.");
    out.key("domain", quoted(tags.domain), quoted(standard.domain), "Failure domain: rack or zone.");
    out.key("delayed_s", std::to_string(tags.delayed_s), std::to_string(standard.delayed_s),
            "Replays this many seconds late; then it is neither promoted nor waited for.");
}

}  // namespace

std::string render_node_config(NodeConfig const& config) {
    Writer out;
    write_node(out, config);
    if (config.kind == cluster::Kind::data) write_postgres(out, config);
    write_store(out, config.store);
    write_proxy(out, config);
    if (config.kind == cluster::Kind::data) write_tags(out, config.tags);
    if (config.kind == cluster::Kind::data) {
        out.section("backup", "The WAL archive and the backups; the same repository on every data node.");
        out.key("repository", quoted(config.backup.repository), quoted(""),
                "A directory that every data node sees, on other disks; empty: none. Needs a restart of the node.");
    }
    Log const standard;
    out.section("log", "The agent's log.");
    out.key("level", name_of(config.log.level), name_of(standard.level), "debug, info, warning or error.");
    out.key("format", name_of(config.log.format), name_of(standard.format), "text or json.");
    out.key("file", quoted(config.log.file), quoted(standard.file), "Empty: standard error.");
    return out.take();
}

}  // namespace keel::config
