// The demo's customers: connections that order and read all the time and remember what the server acknowledged.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "postgres/libpq.h"

namespace keel::cli::demo {

// How to reach the shop: every node's PostgreSQL, in any order.
struct Shop {
    std::vector<postgres::Endpoint> nodes;
    std::string database = "shop";
    std::string user = "shop";
    std::string passfile;  // libpq's password file
};

// Role, database, tables and first rows; `administrator` connects to the primary as a superuser.
Status create_shop(postgres::ConnInfo const& administrator, Shop const& shop, Secret const& password);

// What became of one order, as its client knows it.
struct Ledger {
    std::vector<std::int64_t> acknowledged;  // the server said COMMIT
    std::vector<std::int64_t> unknown;       // the connection broke while COMMIT was on its way
    std::uint64_t refused = 0;               // certainly not stored: it broke before COMMIT
    std::vector<Instant> write_moments;      // when each acknowledgement arrived, in order
    std::vector<Instant> read_moments;       // when each read was answered, in order
};

// The longest span without an answer that ends after `from`; zero when there is no answer after it.
struct Outage {
    Instant begin;
    Instant end;
    Duration length() const { return end - begin; }
};
Outage longest_outage(std::vector<Instant> const& moments, Instant from);

// What the surviving primary really has, compared with the ledger row by row.
struct Audit {
    std::size_t acknowledged = 0;
    std::vector<std::int64_t> lost;     // acknowledged, and not there
    std::size_t unknown_stored = 0;     // outcome unknown to the client: these are there ...
    std::size_t unknown_absent = 0;     // ... and these are not; both are right answers
    std::size_t foreign = 0;            // rows that nobody ordered
    std::int64_t stock_difference = 0;  // stock sold minus quantities ordered: 0 when every order was stored whole
    bool good() const { return lost.empty() && foreign == 0 && stock_difference == 0; }
};
Result<Audit> audit(Shop const& shop, Ledger const& ledger);

enum class Commit { acknowledged, refused, unknown };

// Runs from start() to stop(). During an outage of writes one scout asks all nodes for the primary every 5 ms.
class Load {
  public:
    explicit Load(Shop shop);
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
    void write_orders(int writer);
    void read_orders(int reader);
    void place_orders(postgres::Endpoint const& primary, std::int64_t& next);
    void enter(std::int64_t order, Commit outcome);
    // Where the primary is; waits for one. Empty host when the load ends.
    postgres::Endpoint find_primary();
    bool pause(Duration span);

    Shop shop_;
    std::atomic<bool> ending_{false};
    std::vector<std::thread> threads_;
    std::mutex search_;           // one scout at a time
    postgres::Endpoint primary_;  // under search_
    Instant primary_found_;
    mutable std::mutex book_;
    std::condition_variable ended_;
    Ledger ledger_;  // under book_
};

}  // namespace keel::cli::demo
