// The HTTP API of an agent: health endpoints, metrics, status for everybody who may look, and the operator's actions
// for those who may change something.
#pragma once

#include <functional>
#include <memory>

#include "alert/listing.h"
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
    // For the proxies of this node, through its Unix socket only: routes as they change, and the roles' verifiers.
    std::function<runtime::Task<void>(runtime::HttpStream&)> routes;
    std::function<runtime::Task<Result<std::string>>()> users;
    // Read from <dir>/pki when asked; never kept.
    std::function<runtime::Task<Result<Authority>>()> authority;
    // Empty on a witness, which keeps no book of alerts.
    std::function<alert::Listing()> alerts;
    std::function<runtime::Task<Status>(alert::Request)> ask_alerts;
    std::function<runtime::Task<Result<std::vector<alert::TestResult>>>(std::string channel)> test_alerts;
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
