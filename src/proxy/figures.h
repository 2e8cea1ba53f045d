// What a proxy counts: per pool as its applications name it (database and user), and in all. Pure, of one thread;
// whoever shows it elsewhere takes a copy.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace keel::proxy {

// How long something took, in buckets as Prometheus has them.
struct Histogram {
    // The upper ends; one bucket more has what is longer.
    static constexpr std::array<Duration, 9> kBounds = {100us, 1ms, 5ms, 25ms, 100ms, 500ms, 2s, 10s, 30s};
    std::array<std::uint64_t, kBounds.size() + 1> buckets{};  // each for itself
    Duration sum{0};

    void add(Duration took);
    std::uint64_t count() const;
};

// Counters: they only grow.
struct Counts {
    std::uint64_t transactions = 0;
    std::uint64_t queries = 0;
    std::uint64_t bytes_received = 0;  // from clients, behind TLS
    std::uint64_t bytes_sent = 0;      // to clients
    Histogram transactions_took;       // with a transaction open, or a query at a server
    Histogram queries_took;            // with a query at a server; those of a pipeline as one
    Histogram waits;                   // for a server: one for each that was given

    Counts& operator+=(Counts const& other);
    // What came since `other` was copied.
    Counts& operator-=(Counts const& other);
};

// ErrorResponses that clients were sent, by SQLSTATE class ("23"). A function can raise any code: what is no class of
// PostgreSQL's appendix A counts as "other".
class Errors {
  public:
    void add(std::string_view sqlstate);
    // Classes that occurred.
    std::map<std::string, std::uint64_t> by_class() const;

  private:
    static constexpr std::size_t kClasses = 43;
    static std::array<std::string_view, kClasses> const kKnown;
    std::array<std::uint64_t, kClasses + 1> counts_{};
};

// Of the whole proxy.
struct Totals {
    Errors errors_of_servers;
    Errors errors_of_proxy;
    std::uint64_t logins_accepted = 0;
    std::uint64_t logins_refused = 0;
    std::uint64_t servers_opened = 0;
    std::uint64_t servers_failed = 0;  // could not be opened
    std::uint64_t servers_lost = 0;    // while a client had them
    std::uint64_t cancels_sent = 0;
    std::uint64_t cancels_in_vain = 0;  // a wrong key, or nothing to cancel
    std::uint64_t runs_again = 0;       // batches that a standby refused or lost, and that went to the primary
    // Of commits that were on their way when their server was lost.
    std::uint64_t fates_committed = 0;
    std::uint64_t fates_not_committed = 0;
    std::uint64_t fates_unknown = 0;
};

struct Figures {
    // So many pools are told apart, and so many as have names of this length together (as they are shown); what comes
    // later counts as one, kOther: whoever reads all of it must not be drowned.
    static constexpr std::size_t kPoolsMost = 1000;
    static constexpr std::size_t kNamesMost = 100'000;
    static constexpr char const* kOther = "(other)";
    using Key = std::pair<std::string, std::string>;  // database, user

    // The counts stay where they are.
    Counts& of(std::string const& database, std::string const& user);
    Counts all() const;
    // By database.
    std::map<std::string, Counts> by_database() const;

    std::map<Key, Counts> pools;
    Counts other;
    Counts unsorted;  // of clients that never had a server: logins, and sessions that did nothing
    Totals totals;

  private:
    std::size_t names_ = 0;  // bytes
};

// What was counted by database within the last whole period: for averages.
class Periods {
  public:
    static constexpr Duration kPeriod = 60s;
    // To be called more often than once in a period.
    void turn(Figures const& figures, Instant now);
    // Nothing before the first period is over.
    Counts const* find(std::string const& database) const;
    Duration length() const { return length_; }

  private:
    std::map<std::string, Counts> mark_, last_;
    Instant marked_{};
    Duration length_{0};
};

// ---- a copy for others ----

struct PoolState {
    std::string database, user;
    Counts counts;
    std::size_t clients_active = 0;  // at a server
    std::size_t clients_waiting = 0;
    std::size_t clients_idle = 0;
    std::size_t servers_active = 0;
    std::size_t servers_idle = 0;
    std::size_t servers_opening = 0;  // or being cleaned
    Duration longest_wait{0};         // of those who wait now
};

struct NodeState {
    std::string name;
    bool leader = false;
    bool takes_reads = false;
    std::size_t servers_active = 0;
    std::size_t servers_idle = 0;
    std::size_t servers_opening = 0;
};

struct Snapshot {
    Counts all;
    Totals totals;
    std::vector<PoolState> pools;  // kOther is the last one, if there is need of it
    std::vector<NodeState> nodes;
    std::size_t clients_logging_in = 0;
    std::size_t clients_console = 0;
    std::size_t clients_max = 0;
    std::size_t servers_max_per_pool = 0;
    std::size_t paused = 0;  // databases; all of them count as one
    bool holding = false;    // new work waits for a primary
    bool agent_silent = false;
    std::int64_t started_unix_ms = 0;
};

// What somebody who looks at a page wants to know of it. The counters only grow: a rate, and how long things take now,
// come of two of them.
struct Glance {
    std::int64_t unix_ms = 0;
    std::int64_t started_unix_ms = 0;
    std::uint64_t pools = 0;
    std::uint64_t clients_active = 0, clients_waiting = 0, clients_idle = 0, clients_max = 0;
    std::uint64_t servers_active = 0, servers_idle = 0, servers_opening = 0;
    double longest_wait_seconds = 0;
    std::uint64_t queries = 0, transactions = 0;
    std::vector<double> bounds_seconds;       // upper ends of the next one's buckets, but for the last
    std::vector<std::uint64_t> queries_took;  // each bucket for itself
    bool holding = false;
    std::uint64_t paused = 0;
};
BOOST_DESCRIBE_STRUCT(Glance, (),
                      (unix_ms, started_unix_ms, pools, clients_active, clients_waiting, clients_idle, clients_max,
                       servers_active, servers_idle, servers_opening, longest_wait_seconds, queries, transactions,
                       bounds_seconds, queries_took, holding, paused))
Glance glance_of(Snapshot const& now, std::int64_t unix_ms);

}  // namespace keel::proxy
