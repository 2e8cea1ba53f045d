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
    explicit Writer(char const* about) : out_(about) {}
    void section(char const* name, char const* doc) { out_ += fmt::format("\n# {}\n[{}]\n", doc, name); }
    // Commented out while it has its default, so that the file shows what this node has of its own.
    void key(char const* name, std::string const& value, std::string const& standard, char const* doc) {
        out_ += fmt::format("# {}\n{}{} = {}\n", doc, value == standard ? "# " : "", name, value);
    }
    template <class Number>
    void number(char const* name, Number value, Number standard, char const* doc) {
        key(name, std::to_string(value), std::to_string(standard), doc);
    }
    void text(std::string const& line) { out_ += line; }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

constexpr char const* kOfNode =
    "# Settings of this node. Cluster-wide ones are replicated: `pgkeel config get`.\n"
    "# A line with a '#' shows the default. After a change: pgkeel reload (ports and addresses need a restart of\n"
    "# the node). `pgkeel doctor` checks this file.\n";
constexpr char const* kOfProxyHost =
    "# Settings of the proxy of this host. A line with a '#' shows the default. After a change: start it again.\n";

template <class Enum>
std::string name_of(Enum value) {
    return quoted(boost::describe::enum_to_string(value, "?"));
}
std::string flag(bool value) { return value ? "true" : "false"; }

void write_node(Writer& out, NodeConfig const& config) {
    NodeConfig const standard;
    out.section("node", "Who this node is.");
    out.key("name", quoted(config.name), "", "Unique in the cluster, for people.");
    if (config.kind == cluster::Kind::proxy) {
        out.key("kind", name_of(config.kind), "", "A proxy for the applications of this host; no node.");
        out.key("user", quoted(config.user), "", "root starts it as this user.");
        return;
    }
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

void write_endpoint(Writer& out, ProxyEndpoint const& endpoint) {
    ProxyEndpoint const standard;
    out.text(fmt::format("\n[proxy.endpoints.{}]\nport = {}\ntag = {}\n", quoted(endpoint.name), endpoint.port,
                         quoted(endpoint.tag)));
    out.key("balance", name_of(endpoint.balance), name_of(standard.balance), "As that of [proxy], like the next four.");
    out.number("clients_max", endpoint.clients_max, standard.clients_max, "0: only the proxy's own limit.");
    out.number("pool_size", endpoint.pool_size, standard.pool_size, "Its pools are its own.");
    out.number("read_lag_kbytes_max", endpoint.read_lag_kbytes_max, standard.read_lag_kbytes_max,
               "A member further behind gets no reads.");
    out.key("read_from_primary", flag(endpoint.read_from_primary), flag(standard.read_from_primary),
            "When no such member is usable.");
}

void write_proxy(Writer& out, NodeConfig const& config) {
    Proxy const standard;
    Proxy const& proxy = config.proxy;
    bool const host = config.kind == cluster::Kind::proxy;
    out.section("proxy",
                "Applications connect to it: it pools, follows the primary, and holds work while there is none.");
    if (!host) out.key("enabled", flag(proxy.enabled), flag(standard.enabled), "Whether this node runs one.");
    std::vector<std::string> const everywhere{host ? kProxyHostListen : config.bind};
    out.key("listen", quoted(proxy.listen.empty() ? everywhere : proxy.listen), quoted(everywhere), "IP addresses.");
    out.number("port", proxy.port, standard.port, "Wherever a statement belongs. 0: none, as for the next two.");
    out.number("read_write_port", proxy.read_write_port, standard.read_write_port, "The primary only.");
    out.number("read_only_port", proxy.read_only_port, standard.read_only_port, "Standbys.");
    out.key("socket_directory", quoted(proxy.socket_directory), quoted(standard.socket_directory),
            "For Unix sockets too; empty: none.");
    out.key("tls", name_of(proxy.tls), name_of(standard.tls), "off, allow or require.");
    out.key("cert_file", quoted(proxy.cert_file), quoted(standard.cert_file),
            host ? "Without one there is no TLS for applications." : "Empty: the node's own certificate.");
    out.key("key_file", quoted(proxy.key_file), quoted(standard.key_file), "Its key; mode 0600.");
    out.key("client_ca_file", quoted(proxy.client_ca_file), quoted(standard.client_ca_file),
            "Authorities (PEM) of clients' certificates; empty: none is asked for.");
    out.key("hba_file", quoted(proxy.hba_file), quoted(standard.hba_file),
            "Who may log in from where and how, in pg_hba.conf's manner; empty: whoever has the password.");
    out.key("pool", name_of(proxy.pool), name_of(standard.pool),
            "A client gives its server back after each transaction, session or statement.");
    out.key("balance", name_of(proxy.balance), name_of(standard.balance),
            "Among standbys: round_robin, random, least_connections or lag_aware.");
    out.number("clients_max", proxy.clients_max, standard.clients_max, "Clients at one time.");
    out.number("pool_size", proxy.pool_size, standard.pool_size, "Server connections per database and user.");
    out.number("reserve_pool", proxy.reserve_pool, standard.reserve_pool,
               "And so many more for who waits five seconds.");
    out.number("database_max", proxy.database_max, standard.database_max,
               "Server connections per database; 0: no limit.");
    out.number("prepared_max", proxy.prepared_max, standard.prepared_max,
               "Statements prepared on one server connection.");
    out.number("wait_s_max", proxy.wait_s_max, standard.wait_s_max, "For a server connection, or a primary.");
    out.number("server_idle_s_max", proxy.server_idle_s_max, standard.server_idle_s_max, "Then it is closed.");
    out.number("server_life_s_max", proxy.server_life_s_max, standard.server_life_s_max, "The same, once it is free.");
    out.number("client_idle_s_max", proxy.client_idle_s_max, standard.client_idle_s_max, "0: no limit.");
    out.number("transaction_idle_s_max", proxy.transaction_idle_s_max, standard.transaction_idle_s_max, "0: no limit.");
    out.number("query_s_max", proxy.query_s_max, standard.query_s_max, "0: no limit.");
    out.number("read_lag_kbytes_max", proxy.read_lag_kbytes_max, standard.read_lag_kbytes_max,
               "A standby further behind gets no reads.");
    out.key("read_from_primary", flag(proxy.read_from_primary), flag(standard.read_from_primary),
            "When no standby is usable.");
    out.key("split_reads", flag(proxy.split_reads), flag(standard.split_reads),
            "Reads of `port` go to standbys; false: all to the primary.");
    out.key("read_functions", quoted(proxy.read_functions), quoted(standard.read_functions),
            "Volatile functions that standbys may run all the same.");
    out.key("causal_reads", name_of(proxy.causal_reads), name_of(standard.causal_reads),
            "Reads see what their session has committed; or global, or off.");
    out.key("monotonic_reads", flag(proxy.monotonic_reads), flag(standard.monotonic_reads),
            "Reads of a session never see less than its earlier ones.");
    out.number("causal_wait_ms_max", proxy.causal_wait_ms_max, standard.causal_wait_ms_max,
               "For a standby to replay that; then the primary is asked.");
    out.text(
        "\n# A port of its own for reads from the members with a tag (`pgkeel tag`), as in\n# "
        "[proxy.endpoints.reports]\n"
        "# port = 6435\n# tag = \"analytics\"\n# More: balance, clients_max, pool_size, read_lag_kbytes_max, "
        "read_from_primary.\n");
    for (auto const& one : proxy.endpoints) write_endpoint(out, one);
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

void write_repository(Writer& out, RepositorySettings const& at) {
    RepositorySettings const standard;
    out.key("repository", quoted(at.repository), quoted(standard.repository),
            "A directory that every data node sees, on other disks, or s3://bucket/prefix; empty: none. Needs a "
            "restart of the node.");
    out.key("encryption_key_file", quoted(at.encryption_key_file), quoted(standard.encryption_key_file),
            "64 hex digits (openssl rand -hex 32), the same on every node; mode 0600. Keep a copy elsewhere.");
    out.key("s3_endpoint", quoted(at.s3_endpoint), quoted(standard.s3_endpoint),
            "https://host:port of the object store; empty: Amazon's of the region.");
    out.key("s3_region", quoted(at.s3_region), quoted(standard.s3_region), "The bucket's.");
    out.key("s3_credentials_file", quoted(at.s3_credentials_file), quoted(standard.s3_credentials_file),
            "Its key, in the format of ~/.aws/credentials; mode 0600.");
    out.key("s3_ca_file", quoted(at.s3_ca_file), quoted(standard.s3_ca_file),
            "Authorities of its certificate; empty: the system's.");
    out.key("s3_addressing", name_of(at.s3_addressing), name_of(standard.s3_addressing),
            "path: https://endpoint/bucket. host: https://bucket.endpoint.");
}

void write_backup(Writer& out, Backup const& backup) {
    out.section("backup", "The WAL archive and the backups; the same repository on every data node.");
    out.key("scratch", quoted(backup.scratch), quoted(Backup().scratch),
            "Where restore tests unpack the whole database, and remove it again; empty: scratch below the node's.");
    write_repository(out, backup);
    out.text(
        "\n# Another repository, on every data node, into which goes what the first one has (pgkeel config set "
        "backup_copy):\n# [backup.copies.offsite]\n# repository = \"s3://bucket/prefix\"\n");
    for (auto const& one : backup.copies) {
        out.text(fmt::format("\n[backup.copies.{}]\n", quoted(one.name)));
        write_repository(out, one);
    }
}

}  // namespace

std::string render_node_config(NodeConfig const& config) {
    Writer out(config.kind == cluster::Kind::proxy ? kOfProxyHost : kOfNode);
    write_node(out, config);
    if (config.kind == cluster::Kind::data) write_postgres(out, config);
    if (config.kind != cluster::Kind::proxy) write_store(out, config.store);
    write_proxy(out, config);
    if (config.kind == cluster::Kind::data) write_tags(out, config.tags);
    if (config.kind == cluster::Kind::data) write_backup(out, config.backup);
    Log const standard;
    out.section("log", config.kind == cluster::Kind::proxy ? "The proxy's log." : "The agent's log.");
    out.key("level", name_of(config.log.level), name_of(standard.level), "debug, info, warning or error.");
    out.key("format", name_of(config.log.format), name_of(standard.format), "text or json.");
    out.key("file", quoted(config.log.file), quoted(standard.file), "Empty: standard error.");
    return out.take();
}

}  // namespace keel::config
