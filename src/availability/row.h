// One row of the long-running metrics: what one node saw at one moment.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cluster/status.h"

namespace keel::availability {

struct Row {
    std::int64_t unix_ms = 0;
    bool writes = false;  // somebody leads with the lease, as far as this node knows
    std::string leader;
    cluster::State state = cluster::State::fresh;  // of this node
    std::string health;                            // of the cluster: ok, degraded, down
    std::uint32_t members_healthy = 0, members = 0;
    std::optional<std::uint64_t> lag_bytes;  // of this node
    Lsn flush;
    std::optional<std::uint32_t> connections;
    std::optional<double> disk_used_percent;
    std::optional<std::uint64_t> transaction_id_age;
};
BOOST_DESCRIBE_STRUCT(Row, (),
                      (unix_ms, writes, leader, state, health, members_healthy, members, lag_bytes, flush, connections,
                       disk_used_percent, transaction_id_age))

Row row_of(cluster::Sight const& sight);
std::string render(std::vector<Row> const& rows);

}  // namespace keel::availability
