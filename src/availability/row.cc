#include "availability/row.h"

#include <fmt/format.h>

namespace keel::availability {

Row row_of(cluster::Sight const& sight) {
    auto const status = cluster::status_of(sight);
    Row out;
    out.unix_ms = sight.clock.unix_ms;
    out.writes = status.leader_alive;
    out.leader = status.leader;
    out.state = sight.opinion.state;
    out.health = status.health;
    out.flush = sight.seen.flush;
    for (auto const& member : status.members) {
        ++out.members;
        out.members_healthy += member.healthy ? 1 : 0;
        if (member.id == status.self) out.lag_bytes = member.lag_bytes;
    }
    if (!sight.vitals) return out;
    auto const& vitals = *sight.vitals;
    out.connections = vitals.connections;
    out.transaction_id_age = vitals.transaction_id_age;
    if (vitals.disk_total_bytes > 0)
        out.disk_used_percent =
            100.0 * (1 - static_cast<double>(vitals.disk_free_bytes) / static_cast<double>(vitals.disk_total_bytes));
    return out;
}

std::string render(std::vector<Row> const& rows) {
    if (rows.empty()) return "There are no figures of that time.\n";
    auto out =
        fmt::format("  {:<20}  {:<8}  {:<12}  {:<10}  {:>7}  {:>9}  {:>11}  {:>5}  {:>6}  {}\n", "time (UTC)", "writes",
                    "leader", "this node", "members", "lag", "WAL a second", "conn.", "disk", "health");
    Row const* before = nullptr;
    for (auto const& row : rows) {
        std::string rate;
        bool const grew = before != nullptr && row.flush >= before->flush && row.unix_ms > before->unix_ms;
        if (grew && before->flush.value != 0)
            rate = cluster::bytes_text((row.flush.value - before->flush.value) * 1000 /
                                       static_cast<std::uint64_t>(row.unix_ms - before->unix_ms));
        std::string leader;
        for (char const c : row.leader) leader += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
        out += fmt::format("  {:<20}  {:<8}  {:<12}  {:<10}  {:>7}  {:>9}  {:>12}  {:>5}  {:>6}  {}\n",
                           cluster::utc_text(row.unix_ms).substr(0, 19), row.writes ? "possible" : "no", leader,
                           boost::describe::enum_to_string(row.state, "?"),
                           fmt::format("{}/{}", row.members_healthy, row.members),
                           row.lag_bytes ? cluster::bytes_text(*row.lag_bytes) : "", rate,
                           row.connections ? std::to_string(*row.connections) : "",
                           row.disk_used_percent ? fmt::format("{:.0f} %", *row.disk_used_percent) : "", row.health);
        before = &row;
    }
    return out;
}

}  // namespace keel::availability
