// The proxy's one thread of data: accepts clients, opens servers, moves bytes between them, and does what the machines
// of proxy/ say.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/rules.h"
#include "auth/users.h"
#include "cluster/routes.h"
#include "proxy/figures.h"
#include "proxy/policy.h"
#include "proxy/token.h"
#include "runtime/poller.h"
#include "runtime/tls.h"
#include "sql/catalogue.h"

namespace keel::relay {

// Where a listener's clients go. auto_: reads to standbys, all else to the primary. read_write: the primary. read_only:
// standbys, by policy.
enum class Target { auto_, read_write, read_only };
BOOST_DESCRIBE_ENUM(Target, auto_, read_write, read_only)
enum class Balance { round_robin, random, least_connections, lag_aware };
BOOST_DESCRIBE_ENUM(Balance, round_robin, random, least_connections, lag_aware)

struct Listener {
    Target target = Target::auto_;
    std::string address;  // an IP address, or the path of a Unix socket
    std::uint16_t port = 0;
    std::size_t lane = 0;  // of Options::readings
    bool operator==(Listener const&) const = default;
};

// Which standbys an endpoint reads from.
struct Reading {
    std::string name;  // of the endpoint, for people
    std::string tag;   // of the members that it uses, in words of cluster::tag_words; empty: all that are for reads
    Balance balance = Balance::least_connections;
    std::uint64_t lag_bytes_max = 16U << 20U;  // a standby further behind gets no reads
    bool from_primary = true;                  // when no standby is usable
    std::size_t clients_max = 0;               // 0: as many as the proxy takes
};

struct Options {
    proxy::Policy policy;
    std::vector<Listener> listeners;
    // The first is that of the three usual ports; each other one belongs to an endpoint of its own, with pools of its
    // own.
    std::vector<Reading> readings{1};
    bool split_reads = true;  // of clients of auto_
    proxy::Causal causal_reads = proxy::Causal::session;
    bool monotonic_reads = false;
    Duration causal_wait_max = 10ms;  // for a standby that has not replayed enough; then the primary is asked
    bool tls_required = false;
    std::string silence = "the agent of this node does not answer";  // why work waits then, for people
    runtime::TlsContext client_tls;                                  // empty: none is offered
    runtime::TlsContext server_tls;                                  // to servers
    std::shared_ptr<std::vector<auth::Rule> const> rules;            // none: whoever has the password may log in
    // Asks for the users anew; set_users() brings them.
    std::function<void()> ask_users;
    // The same for what a database has: set_catalogue(). `version` of what is known already; empty: nothing is.
    std::function<void(std::string const& database, std::string const& version)> ask_catalogue;
    // Has the settings read anew: set_reloaded(). These functions and the version stay what they are.
    std::function<void()> ask_reload;
    std::string version;  // of this program
};

// What a database has. No catalogue: it is still that of the version.
struct CatalogueNews {
    std::string version;
    std::shared_ptr<sql::Catalogue const> catalogue;
};

class Relay {
  public:
    Relay(runtime::Poller& poller, Options options);
    ~Relay();
    Relay(Relay const&) = delete;
    Relay& operator=(Relay const&) = delete;

    Status listen();
    // All on the relay's thread (Poller::post).
    void set_routes(cluster::Routes routes);
    // The agent is not heard any more, or is again.
    void set_silent(bool silent);
    // None: they could not be had; those from before stay.
    void set_users(std::optional<std::vector<auth::User>> users);
    void set_catalogue(std::string const& database, CatalogueNews news);
    void set_tls(runtime::TlsContext client_tls, runtime::TlsContext server_tls);
    // As RELOAD asked for it, or why it could not be read: what was in force stays then.
    void set_reloaded(Result<Options> options);
    proxy::Snapshot snapshot();

    // Works until stop() was called, or drain() has come to its end.
    void run();
    void stop();
    // Takes no more clients, tells those that are idle that it ends (57P01), and the others when they are, or when
    // `most` has passed.
    void drain(Duration most);

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace keel::relay
