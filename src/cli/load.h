// Clients for the demo and for drills: connections that write and read all the time and remember what the server
// acknowledged, and the comparison of that with what is stored in the end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "postgres/libpq.h"

namespace keel::cli {

// What the clients do, and where.
struct Traffic {
    std::vector<postgres::Endpoint> nodes;  // every node's PostgreSQL, or its proxy
    postgres::ConnInfo login;               // all of it but host, port and target_session_attrs
    std::function<std::vector<std::string>(std::int64_t number)> write;  // one transaction, without BEGIN and COMMIT
    std::string read;
    std::vector<postgres::Endpoint> readers = {};  // where to read, when it is elsewhere; reader N begins at the Nth
};

Result<postgres::Connection> connect(Traffic const& traffic, postgres::Endpoint const& place,
                                     std::string const& wanted);
// The first node that accepts writes; which one it is goes into `primary`.
Result<postgres::Connection> connect_to_primary(Traffic const& traffic, postgres::Endpoint& primary);

// What became of each write, as its client knows it.
struct Ledger {
    std::vector<std::int64_t> acknowledged;  // the server said COMMIT
    std::vector<std::int64_t> unknown;       // the connection broke while COMMIT was on its way
    std::uint64_t refused = 0;               // certainly not stored: it broke before COMMIT
    std::vector<Instant> write_moments;      // when each acknowledgement arrived, in order
    std::vector<Instant> read_moments;       // when each read was answered, in order
};

// The longest span without an answer that ends after `from`; zero when there is no answer after it. Pure.
struct Outage {
    Instant begin;
    Instant end;
    Duration length() const { return end - begin; }
};
Outage longest_outage(std::vector<Instant> const& moments, Instant from);

// What the surviving primary really has, compared with the ledger write by write.
struct Audit {
    std::size_t acknowledged = 0;
    std::vector<std::int64_t> lost;  // acknowledged, and not there
    std::size_t unknown_stored = 0;  // outcome unknown to the client: these are there ...
    std::size_t unknown_absent = 0;  // ... and these are not; both are right answers
    std::size_t foreign = 0;         // rows that nobody wrote
    bool good() const { return lost.empty() && foreign == 0; }
};
// Pure.
Audit compare(Ledger const& ledger, std::set<std::int64_t> stored);
// compare() with the numbers that the query gives on the primary.
Result<Audit> audit(postgres::Connection& primary, std::string const& query, Ledger const& ledger);

enum class Commit { acknowledged, refused, unknown };

// Runs from start() to stop(). During an outage of writes one scout asks all nodes for the primary every 5 ms.
class Load {
  public:
    explicit Load(Traffic traffic);
    ~Load();
    Load(Load const&) = delete;
    Load& operator=(Load const&) = delete;

    void start(int writers, int readers);
    void stop();
    std::size_t acknowledged() const;
    std::size_t answered_reads() const;
    // Time of the newest acknowledged write; Instant{} before the first.
    Instant last_write() const;
    Ledger ledger() const;

  private:
    void keep_writing(int writer);
    void keep_reading(int reader);
    void write_over(postgres::Endpoint const& primary, std::int64_t& next);
    void enter(std::int64_t number, Commit outcome);
    // Where the primary is; waits for one. Empty host when the load ends.
    postgres::Endpoint find_primary();
    bool pause(Duration span);

    Traffic traffic_;
    std::atomic<bool> ending_{false};
    std::vector<std::thread> threads_;
    std::mutex search_;           // one scout at a time
    postgres::Endpoint primary_;  // under search_
    Instant primary_found_;
    mutable std::mutex book_;
    std::condition_variable ended_;
    Ledger ledger_;  // under book_
};

}  // namespace keel::cli
