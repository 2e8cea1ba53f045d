// Server::vitals: one statement, and the file system of the WAL.
#include <fmt/format.h>
#include <sys/statvfs.h>

#include "postgres/fields.h"
#include "postgres/names.h"
#include "postgres/server_state.h"
#include "runtime/clock.h"

namespace keel::postgres {

namespace {

enum Column : std::size_t {
    connections,
    connections_max,
    id_age,
    transaction_seconds,
    transaction,
    prepared_seconds,
    prepared_name,
    prepared_count,
    slots
};

// Of a primary's slots: against what it has written; of a standby's: against what it has replayed.
constexpr char const* kQuestion = R"(
SELECT
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int,
  (SELECT max(age(datfrozenxid)) FROM pg_database),
  extract(epoch FROM clock_timestamp() - t.xact_start),
  concat_ws(' ', 'pid', t.pid, 'user', t.usename, 'database', t.datname),
  extract(epoch FROM clock_timestamp() - p.prepared),
  p.gid,
  (SELECT count(*) FROM pg_prepared_xacts),
  (SELECT string_agg(concat_ws(' ', slot_name, slot_type, active, greatest(0, pg_wal_lsn_diff(
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn))), ',')
   FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND NOT temporary)
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (SELECT pid, usename, datname, xact_start FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND application_name !~ '^pgkeel'
    ORDER BY xact_start LIMIT 1) AS t ON true
LEFT JOIN LATERAL (SELECT gid, prepared FROM pg_prepared_xacts ORDER BY prepared LIMIT 1) AS p ON true)";

void take_slots(std::string_view text, cluster::Vitals& out) {
    while (!text.empty()) {
        auto const one = text.substr(0, text.find(','));
        text.remove_prefix(std::min(one.size() + 1, text.size()));
        auto const first = one.find(' ');
        auto const second = one.find(' ', first + 1);
        auto const third = one.find(' ', second + 1);
        if (first == std::string_view::npos || second == std::string_view::npos || third == std::string_view::npos)
            continue;
        cluster::SlotVitals slot;
        slot.name = one.substr(0, first);
        slot.member = slot_owner(slot.name).value;
        slot.type = one.substr(first + 1, second - first - 1);
        slot.active = one.substr(second + 1, third - second - 1) == "t";
        slot.retained_bytes = number<std::uint64_t>(one.substr(third + 1));
        out.slots.push_back(std::move(slot));
    }
}

}  // namespace

Result<cluster::Vitals> Server::vitals() {
    Bound const bound(2s);
    cluster::Vitals out;
    out.unix_ms = runtime::unix_ms_now();
    struct statvfs room{};
    if (::statvfs((place().data() + "/pg_wal").c_str(), &room) == 0) {
        out.disk_free_bytes = room.f_bavail * room.f_frsize;
        out.disk_total_bytes = (room.f_blocks - (room.f_bfree - room.f_bavail)) * room.f_frsize;
    }
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place(), "pgkeel vitals"), bound));
    KEEL_TRY(auto const rows, connection.query(kQuestion, bound));
    if (rows.size() != 1 || rows[0].size() != slots + 1)
        return fail(Code::internal, "unexpected answer from PostgreSQL");
    auto const text = [&](Column column) {
        return std::string_view(rows[0][column] ? std::string_view(*rows[0][column]) : std::string_view());
    };
    // Not counting this one.
    out.connections = std::max(1U, number<std::uint32_t>(text(connections))) - 1;
    out.connections_max = number<std::uint32_t>(text(connections_max));
    out.transaction_id_age = number<std::uint64_t>(text(id_age));
    out.longest_transaction_seconds = number<double>(text(transaction_seconds));
    if (out.longest_transaction_seconds > 0) out.longest_transaction = text(transaction);
    out.oldest_prepared_seconds = number<double>(text(prepared_seconds));
    out.oldest_prepared = text(prepared_name);
    out.prepared = number<std::uint32_t>(text(prepared_count));
    take_slots(text(slots), out);
    return out;
}

}  // namespace keel::postgres
