#include "cli/demo_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/clock.h"

namespace keel::cli::demo {

namespace {

constexpr Duration kBetweenOrders = 8ms;
constexpr Duration kBetweenReads = 10ms;
constexpr Duration kBetweenSearches = 5ms;
constexpr Duration kPatience = 2s;
constexpr std::int64_t kOrdersPerWriter = 1'000'000'000;
constexpr int kCustomers = 200;
constexpr int kProducts = 50;
constexpr int kStock = 1'000'000;

constexpr char const* kCustomersTable = "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)";
constexpr char const* kProductsTable = R"(CREATE TABLE products (
    id int PRIMARY KEY, name text NOT NULL, price numeric NOT NULL, stock bigint NOT NULL))";
constexpr char const* kOrdersTable = R"(CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    product_id int NOT NULL REFERENCES products,
    quantity int NOT NULL,
    placed timestamptz NOT NULL DEFAULT now()))";

using postgres::Bound;
using postgres::Connection;
using postgres::Endpoint;

Result<Connection> connect(Shop const& shop, Endpoint const& place, std::string const& wanted) {
    return Connection::open({{"host", place.host},
                             {"port", std::to_string(place.port)},
                             {"dbname", shop.database},
                             {"user", shop.user},
                             {"passfile", shop.passfile},
                             {"target_session_attrs", wanted},
                             {"application_name", "pgkeel-demo"}},
                            Bound(kPatience));
}

// The first node that accepts writes.
Result<Connection> connect_to_primary(Shop const& shop, Endpoint& primary) {
    for (auto const& place : shop.nodes) {
        if (auto connection = connect(shop, place, "read-write")) {
            primary = place;
            return connection;
        }
    }
    return fail(Code::unavailable, "no node accepts writes");
}

// One order is a row and the product's stock, in one transaction.
bool prepare_order(Connection& connection, std::int64_t id) {
    auto const quantity = id % 5 + 1, product = id % kProducts + 1, customer = id * 7 % kCustomers + 1;
    Bound const bound(kPatience);
    return connection.query("BEGIN", bound) &&
           connection.query(
               fmt::format("INSERT INTO orders (id, customer_id, product_id, quantity) VALUES ({}, {}, {}, {})", id,
                           customer, product, quantity),
               bound) &&
           connection.query(fmt::format("UPDATE products SET stock = stock - {} WHERE id = {}", quantity, product),
                            bound);
}

// A server that answers COMMIT with an error and keeps the connection stored nothing. One that warns that it gave up
// waiting for its standbys committed locally only: that promises nothing.
Commit commit(Connection& connection) {
    if (connection.query("COMMIT", Bound(kPatience))) {
        for (auto const& notice : connection.take_notices()) {
            if (notice.find("synchronous replication") != std::string::npos) return Commit::unknown;
        }
        return Commit::acknowledged;
    }
    return connection.is_open() ? Commit::refused : Commit::unknown;
}

Status run_all(Connection& connection, std::vector<std::string> const& statements) {
    for (auto const& sql : statements) {
        if (auto rows = connection.query(sql, Bound(10s)); !rows) return fail(std::move(rows).error());
    }
    return {};
}

}  // namespace

Status create_shop(postgres::ConnInfo const& administrator, Shop const& shop, Secret const& password) {
    KEEL_TRY(auto server, Connection::open(administrator, Bound(10s)));
    KEEL_CHECK(run_all(server, {"SET log_statement = 'none'", "SET log_min_error_statement = 'panic'",
                                fmt::format("CREATE ROLE {} LOGIN PASSWORD '{}'", shop.user, password.reveal()),
                                fmt::format("CREATE DATABASE {} OWNER {}", shop.database, shop.user)}));
    Endpoint primary;
    KEEL_TRY(auto connection, connect_to_primary(shop, primary));
    return run_all(
        connection,
        {kCustomersTable, kProductsTable, kOrdersTable, "CREATE INDEX ON orders (placed)",
         fmt::format("INSERT INTO customers SELECT i, 'Customer ' || i FROM generate_series(1, {}) i", kCustomers),
         fmt::format("INSERT INTO products SELECT i, 'Product ' || i, i * 1.5, {} FROM generate_series(1, {}) i",
                     kStock, kProducts)});
}

Outage longest_outage(std::vector<Instant> const& moments, Instant from) {
    Outage longest;
    for (std::size_t i = 1; i < moments.size(); ++i) {
        Outage const gap{moments[i - 1], moments[i]};
        if (gap.end > from && gap.length() > longest.length()) longest = gap;
    }
    return longest;
}

Result<Audit> audit(Shop const& shop, Ledger const& ledger) {
    Endpoint primary;
    KEEL_TRY(auto connection, connect_to_primary(shop, primary));
    KEEL_TRY(auto const rows, connection.query("SELECT id FROM orders", Bound(30s)));
    std::set<std::int64_t> stored;
    for (auto const& row : rows) stored.insert(std::stoll(row.at(0).value_or("0")));
    Audit audit;
    audit.acknowledged = ledger.acknowledged.size();
    for (auto const id : ledger.acknowledged) {
        if (stored.erase(id) == 0) audit.lost.push_back(id);
    }
    for (auto const id : ledger.unknown) ++(stored.erase(id) != 0 ? audit.unknown_stored : audit.unknown_absent);
    audit.foreign = stored.size();
    KEEL_TRY(auto const difference, connection.value(fmt::format("SELECT (SELECT sum({} - stock) FROM products) - "
                                                                 "(SELECT coalesce(sum(quantity), 0) FROM orders)",
                                                                 kStock),
                                                     Bound(10s)));
    audit.stock_difference = std::stoll(difference);
    return audit;
}

Load::Load(Shop shop) : shop_(std::move(shop)) {}

Load::~Load() { stop(); }

void Load::start(int writers, int readers) {
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this, i] { write_orders(i); });
    for (int i = 0; i < readers; ++i) threads_.emplace_back([this, i] { read_orders(i); });
}

void Load::stop() {
    {
        std::lock_guard const lock(book_);
        ending_ = true;
    }
    ended_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
}

std::size_t Load::acknowledged() const {
    std::lock_guard const lock(book_);
    return ledger_.acknowledged.size();
}

std::size_t Load::answered_reads() const {
    std::lock_guard const lock(book_);
    return ledger_.read_moments.size();
}

Instant Load::last_write() const {
    std::lock_guard const lock(book_);
    return ledger_.write_moments.empty() ? Instant{} : ledger_.write_moments.back();
}

Ledger Load::ledger() const {
    std::lock_guard const lock(book_);
    return ledger_;
}

// False when the load ends.
bool Load::pause(Duration span) {
    std::unique_lock lock(book_);
    ended_.wait_for(lock, span, [this] { return ending_.load(); });
    return !ending_;
}

Endpoint Load::find_primary() {
    auto const asked = runtime::boot_now();
    std::lock_guard const only_one(search_);
    if (primary_found_ > asked) return primary_;  // another writer found it while this one waited for its turn
    while (!ending_) {
        if (connect_to_primary(shop_, primary_)) {
            primary_found_ = runtime::boot_now();
            return primary_;
        }
        if (!pause(kBetweenSearches)) break;
    }
    return {};
}

void Load::write_orders(int writer) {
    std::int64_t next = writer * kOrdersPerWriter + 1;
    while (!ending_) {
        auto const primary = find_primary();
        if (primary.host.empty()) return;
        place_orders(primary, next);
        pause(kBetweenSearches);
    }
}

// Orders over one connection until it breaks.
void Load::place_orders(Endpoint const& primary, std::int64_t& next) {
    auto connection = connect(shop_, primary, "read-write");
    while (connection && !ending_) {
        auto const id = next++;  // used once, whatever becomes of it
        auto const outcome = prepare_order(*connection, id) ? commit(*connection) : Commit::refused;
        enter(id, outcome);
        if (outcome != Commit::acknowledged) return;
        pause(kBetweenOrders);
    }
}

void Load::enter(std::int64_t order, Commit outcome) {
    auto const now = runtime::boot_now();
    std::lock_guard const lock(book_);
    if (outcome == Commit::acknowledged) {
        ledger_.acknowledged.push_back(order);
        ledger_.write_moments.push_back(now);
    } else if (outcome == Commit::unknown) {
        ledger_.unknown.push_back(order);
    } else {
        ++ledger_.refused;
    }
}

void Load::read_orders(int reader) {
    constexpr char const* kBestSellers =
        "SELECT p.name, sum(o.quantity) FROM orders o JOIN products p ON p.id = o.product_id "
        "WHERE o.placed > now() - interval '1 second' GROUP BY 1 ORDER BY 2 DESC LIMIT 5";
    for (auto next = static_cast<std::size_t>(reader); !ending_; ++next) {
        auto connection = connect(shop_, shop_.nodes[next % shop_.nodes.size()], "any");
        while (connection && !ending_ && connection->query(kBestSellers, Bound(kPatience))) {
            {
                auto const now = runtime::boot_now();
                std::lock_guard const lock(book_);
                ledger_.read_moments.push_back(now);
            }
            pause(kBetweenReads);
        }
        pause(kBetweenSearches);
    }
}

}  // namespace keel::cli::demo
