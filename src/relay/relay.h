// The proxy's one thread of data: accepts clients, opens servers, moves bytes between them, and does what the machines
// of proxy/ say.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/users.h"
#include "cluster/routes.h"
#include "proxy/policy.h"
#include "runtime/poller.h"
#include "runtime/tls.h"

namespace keel::relay {

// Where a listener's clients go. auto_ and read_write: the primary. read_only: standbys, by policy.
enum class Target { auto_, read_write, read_only };
BOOST_DESCRIBE_ENUM(Target, auto_, read_write, read_only)
enum class Balance { round_robin, random, least_connections, lag_aware };
BOOST_DESCRIBE_ENUM(Balance, round_robin, random, least_connections, lag_aware)

struct Listener {
    Target target = Target::auto_;
    std::string address;  // an IP address, or the path of a Unix socket
    std::uint16_t port = 0;
};

struct Options {
    proxy::Policy policy;
    std::vector<Listener> listeners;
    Balance balance = Balance::least_connections;
    std::uint64_t lag_bytes_max = 16U << 20U;  // a standby further behind gets no reads
    bool read_from_primary = true;             // when no standby is usable
    bool tls_required = false;
    runtime::TlsContext client_tls;  // empty: none is offered
    runtime::TlsContext server_tls;  // to servers on other hosts
    // Asks for the users anew; set_users() brings them.
    std::function<void()> ask_users;
};

struct Totals {
    std::size_t clients = 0;
    std::size_t servers = 0;
    std::uint64_t transactions = 0;
    std::uint64_t queries = 0;
    std::uint64_t fates_committed = 0;
    std::uint64_t fates_not_committed = 0;
    std::uint64_t fates_unknown = 0;
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
    void set_tls(runtime::TlsContext client_tls, runtime::TlsContext server_tls);
    Totals totals() const;

    // Works until stop() was called.
    void run();
    void stop();

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace keel::relay
