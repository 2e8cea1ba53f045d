// The numbers a proxy works by, as its configuration gives them.
#pragma once

#include <boost/describe.hpp>
#include <cstddef>
#include <vector>

#include "base/time.h"

namespace keel::proxy {

// When a client gives its server back: at the end of a transaction, of the session, or of each statement (which then
// must not open a transaction).
enum class PoolMode { transaction, session, statement };
BOOST_DESCRIBE_ENUM(PoolMode, transaction, session, statement)

struct Policy {
    PoolMode mode = PoolMode::transaction;
    std::size_t clients_max = 1000;
    std::size_t pool_size = 20;         // servers per database, user and node
    std::vector<std::size_t> lanes;     // the same of the pools of lane 1, 2...
    std::size_t reserve_pool = 0;       // and so many more when somebody has waited for `reserve_after`
    std::size_t database_max = 0;       // servers per database over all users; 0: no limit
    std::size_t connecting_max = 8;     // logins at servers at one time: a release after a failover is paced by it
    std::size_t prepared_max = 200;     // statements prepared on one server
    std::size_t buffer_bytes = 262144;  // that may wait for one slow reader
    Duration reserve_after = 5s;
    Duration wait_max = 30s;   // for a server, and for a primary
    Duration login_max = 60s;  // of a client, from its first byte on
    Duration server_idle_max = 600s;
    Duration server_life_max = 3600s;
    Duration reader_stall_max = 60s;  // a client that takes nothing of what it asked for
    Duration client_idle_max{0};      // 0: no limit, as the next two
    Duration transaction_idle_max{0};
    Duration query_max{0};

    std::size_t pool_size_of(std::size_t lane) const { return lane == 0 ? pool_size : lanes.at(lane - 1); }
};

}  // namespace keel::proxy
