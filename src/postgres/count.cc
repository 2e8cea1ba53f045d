// What the agent counts every few seconds: clients, and the roles that log in past proxies by a node's certificate.
#include <fmt/format.h>

#include "postgres/access.h"
#include "postgres/fields.h"
#include "postgres/server_state.h"
#include "runtime/clock.h"

namespace keel::postgres {

namespace {

constexpr Duration kCountEvery = 2s;

// Who has more power than an application is not among the roles: nobody logs in as such without proving it to the
// server.
constexpr char const* kPrepareCount = R"(PREPARE pgkeel_count (name) AS
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  current_setting('max_connections'),
  current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int,
  (SELECT string_agg(r.rolname, chr(10)) FROM pg_roles r JOIN pg_roles g
   ON g.rolname = $1 AND pg_has_role(r.oid, g.oid, 'MEMBER')
   WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolreplication AND r.rolname !~ '^(pg_|pgkeel_)'
     AND strpos(r.rolname, chr(10)) = 0))";

}  // namespace

Result<Rows> Watch::prepare_count(Connection& connection, Bound const& bound) {
    return connection.query(kPrepareCount, bound);
}

// What the clients' crowd is told to people as; empty when there is room.
std::string Watch::count(Server::State& state, Bound const& bound) {
    auto const now = runtime::boot_now();
    if (counted_ != Instant{} && now - counted_ < kCountEvery) return crowd_;
    counted_ = now;
    auto const rows = connection_.query(fmt::format("EXECUTE pgkeel_count('{}')", kProxied), bound);
    if (!rows || rows->size() != 1 || (*rows)[0].size() != 4) return crowd_;
    auto const& row = (*rows)[0];
    auto const value = [&](std::size_t column) { return number(row[column].value_or("")); };
    bool const full = value(0) >= value(1) - value(2);
    crowd_ = full ? fmt::format("clients have taken {} of max_connections = {}, and new ones are turned away", value(0),
                                value(1))
                  : std::string();
    std::set<std::string> proxied;
    for (auto const name : split(row[3] ? std::string_view(*row[3]) : std::string_view(), '\n')) {
        if (is_plain_name(name)) proxied.emplace(name);
    }
    state.take_proxied(std::move(proxied));
    return crowd_;
}

}  // namespace keel::postgres
