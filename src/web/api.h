// The HTTP API of an agent: health endpoints, metrics, status for everybody who may look, and the operator's actions
// for those who may change something.
#pragma once

#include <functional>
#include <memory>

#include "alert/listing.h"
#include "availability/outages.h"
#include "availability/row.h"
#include "cluster/operations.h"
#include "cluster/status.h"
#include "config/problem.h"
#include "runtime/http.h"

namespace keel::web {

// One finding of `doctor`.
struct Finding {
    bool good = false;
    std::string what;  // "clock", "disk space of /var/lib/pgkeel"
    std::string text;
    std::string mend;
};
BOOST_DESCRIBE_STRUCT(Finding, (), (good, what, text, mend))

// Counted by the agent since it started; what it cannot know yet stays empty.
struct Counters {
    std::uint64_t elections = 0;   // epochs that this node saw begin
    std::uint64_t promotions = 0;  // of this node
    std::uint64_t fenced = 0;      // times that its server was killed by the fence
    std::uint64_t record_writes = 0;
    std::uint64_t record_conflicts = 0;
    std::int64_t started_unix_ms = 0;
    // Phases of the last failover that this node took part in, seconds: detect, fence, decide, promote, open.
    std::map<std::string, double> failover_seconds;
};

// What a joining node needs beside its certificate.
struct Authority {
    std::string certificate;  // ca.crt
    Secret key;               // ca.key; empty on a node that has none (a witness)
};

// Where the cluster's record lives: what a joining node cannot guess of node.toml's [store]. With the wrong store it
// would begin a second truth.
struct StoreHint {
    std::string kind;  // "embedded" or "etcd"; empty: not known
    std::vector<std::string> endpoints;
    std::string prefix;
    std::string user;
    bool private_authority = false;   // etcd's ca_file is set
    bool client_certificate = false;  // its cert_file is set
};
BOOST_DESCRIBE_STRUCT(StoreHint, (), (kind, endpoints, prefix, user, private_authority, client_certificate))

// A stretch of the history, Unix milliseconds, both ends included; of more than `most` the last.
struct Span {
    std::int64_t from_ms = 0, until_ms = 0;
    std::size_t most = 0;
};

// What the agent offers. app/ fills it in; every function is called on the agent's one thread and must be there.
struct Desk {
    using Edit = std::function<Status(cluster::Record&)>;

    std::function<cluster::Sight()> look;
    // Reads the record, edits it, writes it by compare-and-swap, and starts over when somebody else was faster (the
    // edit may so be called more than once). The edit's own error comes back unchanged, and nothing was written then.
    // An error with Outcome::unknown: it may have happened. The record is the one written.
    std::function<runtime::Task<Result<cluster::Record>>(Edit)> change;
    // node.toml is read again and PostgreSQL's configuration is reloaded; the text says what needs a restart.
    std::function<runtime::Task<Result<std::string>>()> reload;
    std::function<runtime::Task<std::vector<Finding>>()> doctor;
    // What PostgreSQL itself has against these parameters, before they become every node's.
    std::function<runtime::Task<Status>(std::map<std::string, std::string>)> try_parameters;
    std::function<Counters()> counters;
    // Notified when the record or this node's state has changed, as long as it is held.
    std::function<std::shared_ptr<runtime::Event>()> watch;
    // For proxies: routes as they change (to a proxy host, as long as it is one; empty: this node's own proxy), the
    // roles' verifiers (to another host only those that let nobody in by themselves), and what a database has (only the
    // version, when that is the known one).
    std::function<runtime::Task<void>(runtime::HttpStream&, NodeId reader)> routes;
    std::function<runtime::Task<Result<std::string>>(bool to_another_host)> users;
    std::function<runtime::Task<Result<std::string>>(std::string database, std::string known)> catalogue;
    // Read from <dir>/pki when asked; never kept.
    std::function<runtime::Task<Result<Authority>>()> authority;
    // Empty on a witness, which keeps no book of alerts.
    std::function<alert::Listing()> alerts;
    std::function<runtime::Task<Status>(alert::Request)> ask_alerts;
    std::function<runtime::Task<Result<std::vector<alert::TestResult>>>(std::string channel)> test_alerts;
    // What the repository for backups holds, oldest first; empty on a witness.
    std::function<std::vector<cluster::KeptBackup>()> kept_backups;
    // What is kept on disk for a year, and the outages in it.
    std::function<runtime::Task<Result<std::vector<cluster::HistoryEvent>>>(Span)> events;
    std::function<runtime::Task<Result<std::vector<availability::Row>>>(Span)> rows;
    std::function<availability::Ledger()> availability;
    bool has_proxy = false;  // this node runs one
    // What it said of itself last (proxy::Glance as JSON); empty while it is silent. Set by the Api itself.
    std::function<std::string()> proxy_glance;
    StoreHint store;  // from node.toml, for nodes that join
    std::string version;
};

// The agent's part of restart and reinit is the record's errands: it does the one of its own id and calls
// cluster::finish_errand through change().

class Api {
  public:
    explicit Api(Desk desk);
    ~Api();
    Api(Api const&) = delete;
    Api& operator=(Api const&) = delete;

    // For runtime::HttpServer; must not outlive this object.
    runtime::HttpHandler handler();

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace keel::web
