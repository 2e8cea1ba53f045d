// The demo's shop: its tables, what an order is, and whether the books are right in the end.
#pragma once

#include "base/secret.h"
#include "cli/load.h"

namespace keel::cli::demo {

// How to reach the shop: every node's PostgreSQL, in any order.
struct Shop {
    std::vector<postgres::Endpoint> nodes;    // proxies: their way to the primary ...
    std::vector<postgres::Endpoint> readers;  // ... and to the standbys
    std::string database = "shop";
    std::string user = "shop";
    std::string passfile;  // libpq's password file
};

// Its customers: they order, and read the best sellers.
Traffic traffic_of(Shop const& shop);

// Role, database, tables and first rows; `administrator` connects to the primary as a superuser.
Status create_shop(postgres::ConnInfo const& administrator, Shop const& shop, Secret const& password);

struct ShopAudit : Audit {
    std::int64_t stock_difference = 0;  // stock sold minus quantities ordered: 0 when every order was stored whole
    bool good() const { return Audit::good() && stock_difference == 0; }
};
Result<ShopAudit> audit(Shop const& shop, Ledger const& ledger);

}  // namespace keel::cli::demo
