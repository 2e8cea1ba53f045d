#include "cli/demo_shop.h"

#include <fmt/format.h>

namespace keel::cli::demo {

namespace {

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

constexpr char const* kBestSellers =
    "SELECT p.name, sum(o.quantity) FROM orders o JOIN products p ON p.id = o.product_id "
    "WHERE o.placed > now() - interval '1 second' GROUP BY 1 ORDER BY 2 DESC LIMIT 5";

using postgres::Bound;
using postgres::Connection;
using postgres::Endpoint;

Status run_all(Connection& connection, std::vector<std::string> const& statements) {
    for (auto const& sql : statements) {
        if (auto rows = connection.query(sql, Bound(10s)); !rows) return fail(std::move(rows).error());
    }
    return {};
}

// One order is a row and the product's stock, in one transaction.
std::vector<std::string> order(std::int64_t id) {
    auto const quantity = id % 5 + 1, product = id % kProducts + 1, customer = id * 7 % kCustomers + 1;
    return {fmt::format("INSERT INTO orders (id, customer_id, product_id, quantity) VALUES ({}, {}, {}, {})", id,
                        customer, product, quantity),
            fmt::format("UPDATE products SET stock = stock - {} WHERE id = {}", quantity, product)};
}

}  // namespace

Traffic traffic_of(Shop const& shop) {
    return {shop.nodes,
            {{"dbname", shop.database},
             {"user", shop.user},
             {"passfile", shop.passfile},
             {"application_name", "pgkeel-demo"}},
            order,
            kBestSellers,
            shop.readers};
}

Status create_shop(postgres::ConnInfo const& administrator, Shop const& shop, Secret const& password) {
    KEEL_TRY(auto server, Connection::open(administrator, Bound(10s)));
    KEEL_CHECK(run_all(server, {"SET log_statement = 'none'", "SET log_min_error_statement = 'panic'",
                                fmt::format("CREATE ROLE {} LOGIN PASSWORD '{}'", shop.user, password.reveal()),
                                fmt::format("CREATE DATABASE {} OWNER {}", shop.database, shop.user)}));
    Endpoint primary;
    KEEL_TRY(auto connection, connect_to_primary(traffic_of(shop), primary));
    return run_all(
        connection,
        {kCustomersTable, kProductsTable, kOrdersTable, "CREATE INDEX ON orders (placed)",
         fmt::format("INSERT INTO customers SELECT i, 'Customer ' || i FROM generate_series(1, {}) i", kCustomers),
         fmt::format("INSERT INTO products SELECT i, 'Product ' || i, i * 1.5, {} FROM generate_series(1, {}) i",
                     kStock, kProducts)});
}

Result<ShopAudit> audit(Shop const& shop, Ledger const& ledger) {
    Endpoint primary;
    KEEL_TRY(auto connection, connect_to_primary(traffic_of(shop), primary));
    ShopAudit out;
    KEEL_TRY(static_cast<Audit&>(out), cli::audit(connection, "SELECT id FROM orders", ledger));
    KEEL_TRY(auto const difference, connection.value(fmt::format("SELECT (SELECT sum({} - stock) FROM products) - "
                                                                 "(SELECT coalesce(sum(quantity), 0) FROM orders)",
                                                                 kStock),
                                                     Bound(10s)));
    out.stock_difference = std::stoll(difference);
    return out;
}

}  // namespace keel::cli::demo
