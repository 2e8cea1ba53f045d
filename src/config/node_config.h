// A node's own settings, node.toml: text in, types out, and every problem with its place and its mend. Pure.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/record.h"
#include "config/problem.h"

namespace keel::config {

inline constexpr std::uint16_t kPeerPort = 7432;
inline constexpr std::uint16_t kApiPort = 8008;
inline constexpr std::uint16_t kPostgresPort = 5432;
inline constexpr char const* kDirectory = "/var/lib/pgkeel";
// Nobody else's applications, unless [proxy] says otherwise.
inline constexpr char const* kProxyHostListen = "127.0.0.1";
inline constexpr char const* kFileName = "node.toml";

// embedded: a register replicated by the nodes themselves. etcd: a cluster of etcd >= 3.4 that exists already.
enum class StoreKind { embedded, etcd };
BOOST_DESCRIBE_ENUM(StoreKind, embedded, etcd)

struct Store {
    StoreKind kind = StoreKind::embedded;
    // The rest is for etcd only.
    std::vector<std::string> endpoints;  // https://host:2379
    std::string prefix = "/pgkeel";      // the record's key is <prefix>/<cluster name>/record
    std::string user;                    // empty: no authentication by password
    std::string password_file;           // first line; must not be readable by others
    std::string ca_file, cert_file, key_file;
};

struct Postgres {
    std::string bin;  // directory of the binaries; empty: the newest installed (postgres::find_binaries)
    std::uint16_t port = kPostgresPort;
    std::vector<std::string> listen;                // empty in the file: node.bind
    std::map<std::string, std::string> parameters;  // as postgresql.conf wants them; win over the cluster's
    std::uint32_t clone_rate_kbytes_max = 0;        // per second; 0: as fast as it goes
};

// When a client of the proxy gives its server back: at the end of a transaction, of its session, or of each statement.
enum class ProxyPool { transaction, session, statement };
BOOST_DESCRIBE_ENUM(ProxyPool, transaction, session, statement)
enum class ProxyTls { off, allow, require };
BOOST_DESCRIBE_ENUM(ProxyTls, off, allow, require)
enum class ProxyBalance { round_robin, random, least_connections, lag_aware };
BOOST_DESCRIBE_ENUM(ProxyBalance, round_robin, random, least_connections, lag_aware)

enum class ProxyCausal { off, session, global };
BOOST_DESCRIBE_ENUM(ProxyCausal, off, session, global)

// A port of its own for reads from the members with a tag.
struct ProxyEndpoint {
    std::string name;
    std::uint16_t port = 0;
    std::string tag;  // a word of cluster::tag_words
    ProxyBalance balance = ProxyBalance::least_connections;
    std::uint32_t clients_max = 0;  // 0: only the proxy's own limit
    std::uint32_t pool_size = 20;
    std::uint32_t read_lag_kbytes_max = 1U << 20U;
    bool read_from_primary = false;
    bool operator==(ProxyEndpoint const&) const = default;
};

struct Proxy {
    bool enabled = true;
    std::vector<std::string> listen;  // IP addresses; empty in the file: node.bind
    std::uint16_t port = 6432;
    std::uint16_t read_write_port = 6433;
    std::uint16_t read_only_port = 6434;
    std::string socket_directory;  // for Unix sockets as well; empty: none
    ProxyTls tls = ProxyTls::allow;
    std::string cert_file, key_file;  // empty: the node's own
    std::string client_ca_file;       // authorities of clients' certificates; empty: none is asked for
    std::string hba_file;             // rules for logins; empty: whoever has the password
    ProxyPool pool = ProxyPool::transaction;
    ProxyBalance balance = ProxyBalance::least_connections;
    std::uint32_t clients_max = 1000;
    std::uint32_t pool_size = 20;
    std::uint32_t reserve_pool = 0;
    std::uint32_t database_max = 0;
    std::uint32_t prepared_max = 200;
    std::uint32_t wait_s_max = 30;
    std::uint32_t server_idle_s_max = 600;
    std::uint32_t server_life_s_max = 3600;
    std::uint32_t client_idle_s_max = 0;
    std::uint32_t transaction_idle_s_max = 0;
    std::uint32_t query_s_max = 0;
    std::uint32_t read_lag_kbytes_max = 16384;
    bool read_from_primary = true;
    bool split_reads = true;                  // of clients of `port`
    std::vector<std::string> read_functions;  // volatile ones that may run on standbys all the same
    ProxyCausal causal_reads = ProxyCausal::session;
    bool monotonic_reads = false;
    std::uint32_t causal_wait_ms_max = 10;
    std::vector<ProxyEndpoint> endpoints;
};

enum class LogLevel { debug, info, warning, error };
BOOST_DESCRIBE_ENUM(LogLevel, debug, info, warning, error)
enum class LogFormat { text, json };
BOOST_DESCRIBE_ENUM(LogFormat, text, json)

struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;
    std::string file;  // empty: standard error
};

// Where a bucket's name stands in a request: https://endpoint/bucket, or https://bucket.endpoint.
enum class S3Addressing { path, host };
BOOST_DESCRIBE_ENUM(S3Addressing, path, host)

// A repository, and what it takes to reach it.
struct RepositorySettings {
    // A directory that every data node sees (NFS and the like), or s3://bucket/prefix; empty: no archive.
    std::string repository;
    std::string encryption_key_file;  // 64 hex digits; must not be readable by others; empty: not encrypted
    // The rest is for s3:// only.
    std::string s3_endpoint;  // https://host:port; empty: Amazon's of the region
    std::string s3_region;
    std::string s3_credentials_file;  // as ~/.aws/credentials; must not be readable by others
    std::string s3_ca_file;           // authorities of the endpoint's certificate; empty: the system's
    S3Addressing s3_addressing = S3Addressing::path;
    bool operator==(RepositorySettings const&) const = default;
};

// Another repository, into which goes what the first one has.
struct BackupCopy : RepositorySettings {
    std::string name;
    bool operator==(BackupCopy const&) const = default;
};

struct Backup : RepositorySettings {
    std::string scratch;  // for restore tests; empty: <dir>/scratch
    std::vector<BackupCopy> copies;
};

struct NodeConfig {
    std::string name;               // unique in the cluster, for people; of a proxy host, among these
    std::string directory;          // where node.toml lies, unless it says otherwise
    std::string user = "postgres";  // whom root drops to
    // A proxy host has name, user, [proxy] and [log] only.
    cluster::Kind kind = cluster::Kind::data;
    std::string address;  // host name or IP under which the other nodes and the applications reach this one
    std::string bind;     // to listen on for peers and the API; empty in the file: address
    std::uint16_t peer_port = kPeerPort;
    std::uint16_t api_port = kApiPort;
    Postgres postgres;
    Store store;
    Proxy proxy;
    cluster::Tags tags;  // the member's tags at init or join; afterwards the record's count (pgkeel tag)
    Log log;
    Backup backup;

    std::string agent_socket() const { return directory + "/run/agent.sock"; }
    // The proxy, to its clients. A proxy host has no certificate of a node to show.
    bool proxy_offers_tls() const {
        return proxy.tls != ProxyTls::off && !(kind == cluster::Kind::proxy && proxy.cert_file.empty());
    }
};

struct Parsed {
    NodeConfig config;
    std::vector<Problem> problems;  // in the order of their lines
    // False when a problem is an error; warnings do not count.
    bool usable() const;
};
// `file` is for the messages only; `directory` is where the file lies.
Parsed parse_node_config(std::string_view text, std::string const& file, std::string const& directory);

// The whole file with every key and what it means; keys at their default are commented out.
std::string render_node_config(NodeConfig const& config);

// True for 1..63 characters of a-z, 0-9 and '-', beginning with a letter: names of nodes and clusters.
bool is_name(std::string_view text);
// "host:port" with brackets around an IPv6 address.
std::string host_port(std::string const& host, std::uint16_t port);

}  // namespace keel::config
