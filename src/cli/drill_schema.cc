#include "cli/drill_schema.h"

#include <fmt/format.h>

#include "postgres/setup.h"

namespace keel::cli::drill {

namespace {

using postgres::Bound;
using postgres::Connection;

constexpr char const* kPurpose = "pgkeel-drill";
// By this comment a later drill knows that it may drop the schema.
constexpr char const* kMark = "made by pgkeel drill, which drops it again";
constexpr Duration kPatience = 10s;

Result<Connection> open_primary(Site const& site) {
    postgres::Endpoint primary;
    auto connection = connect_to_primary(site.traffic, primary);
    if (connection) return connection;
    auto error = std::move(connection).error();
    error.mend =
        site.administrator
            ? "pg_hba.conf must have the lines of pgkeel first on every member; else pgkeel status"
            : fmt::format(
                  "{} must be let in by pg_hba.conf on every member; PGPASSFILE may name a file with its password",
                  site.role);
    return fail(std::move(error));
}

Status run(Connection& connection, std::vector<std::string> const& statements) {
    for (auto const& sql : statements) {
        if (auto rows = connection.query(sql, Bound(kPatience)); !rows) return fail(std::move(rows).error());
    }
    return {};
}

// Whether an older drill has left the schema behind.
Result<bool> find_leftover(Connection& primary) {
    KEEL_TRY(auto const rows,
             primary.query("SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_catalog.pg_namespace "
                           "WHERE nspname = $1",
                           Bound(kPatience), {kSchema}));
    if (rows.empty()) return false;
    KEEL_TRY(auto const others, primary.value("SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE "
                                              "application_name = $1 AND pid <> pg_backend_pid()",
                                              Bound(kPatience), {kPurpose}));
    if (others != "0")
        return fail(Code::conflict, "another drill is under way", "wait for its end: one fault at a time");
    if (rows[0].at(0) != kMark)
        return fail(Code::conflict, fmt::format("there is a schema {} that no drill has made", kSchema),
                    "rename it, or drill in another database: --database and --user");
    return true;
}

Status check_right(Site const& site, Connection& primary) {
    if (site.administrator) {
        KEEL_TRY(auto server, Connection::open(*site.administrator, Bound(kPatience)));
        KEEL_TRY(auto const recovers, server.value("SELECT pg_is_in_recovery()", Bound(kPatience)));
        if (recovers == "f") return {};
        return fail(Code::unavailable, "this node's PostgreSQL is no primary", "pgkeel status");
    }
    KEEL_TRY(auto const may,
             primary.value("SELECT has_database_privilege(current_database(), 'CREATE')", Bound(kPatience)));
    if (may == "t") return {};
    return fail(
        Code::denied, fmt::format("the role {} may not make a schema in the database {}", site.role, site.database),
        fmt::format("GRANT CREATE ON DATABASE \"{}\" TO \"{}\"; or leave --user out", site.database, site.role));
}

}  // namespace

Site site_of(postgres::Place const& place, cluster::ClusterStatus const& status, std::string const& database,
             std::string const& user) {
    Site site;
    site.role = user.empty() ? postgres::kMonitor : user;
    site.database = database;
    if (user.empty()) {
        site.administrator = postgres::local_conninfo(place, kPurpose);
        site.traffic.login = postgres::peer_conninfo(place, {}, site.role, kPurpose);
        // Its options make a session read-only: nodes ask each other, and change nothing there.
        std::erase_if(site.traffic.login, [](auto const& pair) {
            return pair.first == "host" || pair.first == "port" || pair.first == "target_session_attrs" ||
                   pair.first == "options";
        });
        site.traffic.login.emplace_back("options", "-c search_path=pg_catalog");
    } else {
        site.traffic.login = {{"dbname", database}, {"user", user}, {"application_name", kPurpose}};
    }
    for (auto const& member : status.members) {
        if (member.postgres.empty()) continue;
        site.traffic.nodes.push_back(postgres::parse_endpoint(member.postgres));
    }
    site.traffic.write = [](std::int64_t number) {
        return std::vector{fmt::format("INSERT INTO {}.writes (number) VALUES ({})", kSchema, number)};
    };
    site.traffic.read =
        fmt::format("SELECT count(*) FROM {}.writes WHERE written > now() - interval '1 second'", kSchema);
    return site;
}

Status check_schema(Site const& site) {
    KEEL_TRY(auto primary, open_primary(site));
    KEEL_TRY(auto const leftover, find_leftover(primary));
    static_cast<void>(leftover);
    return check_right(site, primary);
}

Status make_schema(Site const& site) {
    KEEL_TRY(auto primary, open_primary(site));
    KEEL_TRY(auto const leftover, find_leftover(primary));
    if (leftover) KEEL_CHECK(run(primary, {fmt::format("DROP SCHEMA {} CASCADE", kSchema)}));
    auto const mark = fmt::format("COMMENT ON SCHEMA {} IS '{}'", kSchema, kMark);
    if (site.administrator) {
        KEEL_TRY(auto server, Connection::open(*site.administrator, Bound(kPatience)));
        KEEL_CHECK(run(
            server, {"BEGIN", fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", kSchema, site.role), mark, "COMMIT"}));
    } else {
        KEEL_CHECK(check_right(site, primary));
        KEEL_CHECK(run(primary, {"BEGIN", fmt::format("CREATE SCHEMA {}", kSchema), mark, "COMMIT"}));
    }
    return run(primary, {fmt::format("CREATE TABLE {}.writes (number bigint PRIMARY KEY, "
                                     "written timestamptz NOT NULL DEFAULT now())",
                                     kSchema)});
}

Status drop_schema(Site const& site) {
    KEEL_TRY(auto primary, open_primary(site));
    // What bears no mark is none of ours, even if it has our name.
    KEEL_TRY(auto const marked, primary.value("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1 AND "
                                              "obj_description(oid, 'pg_namespace') = $2",
                                              Bound(kPatience), {kSchema, kMark}));
    if (marked == "0") return {};
    return run(primary, {fmt::format("DROP SCHEMA {} CASCADE", kSchema)});
}

Result<Audit> audit_schema(Site const& site, Ledger const& ledger) {
    KEEL_TRY(auto primary, open_primary(site));
    return audit(primary, fmt::format("SELECT number FROM {}.writes", kSchema), ledger);
}

}  // namespace keel::cli::drill
