#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "agent/feed.h"
#include "sql/catalogue.h"

namespace keel::agent {

namespace {

// Thousands of functions, and perhaps as many tables.
constexpr Duration kMost = 10s;

Result<boost::json::array> rows_of(postgres::Connection& connection, std::string_view query,
                                   postgres::Bound const& bound) {
    KEEL_TRY(auto rows, connection.query(std::string(query), bound));
    std::ranges::sort(rows);  // equal catalogues are to have equal versions
    boost::json::array out;
    for (auto const& row : rows) {
        boost::json::array one;
        for (auto const& value : row) one.emplace_back(value.value_or(""));
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace

runtime::Task<Result<std::string>> Feed::catalogue(std::string database, std::string known) {
    if (!place_) co_return fail(Code::not_found, "a witness knows no database", "connect to a data node");
    if (database.empty()) co_return fail(Code::invalid, "no database is named", "give ?database=<name>");
    co_return co_await runtime::run_blocking(cataloguer_, [&] { return read_catalogue(database, known); });
}

// A connection of its own each time: one that stays would be in the way of DROP DATABASE.
Result<std::string> Feed::read_catalogue(std::string const& database, std::string const& known) const {
    postgres::Bound const bound(kMost);
    KEEL_TRY(auto connection,
             postgres::Connection::open(postgres::local_conninfo(*place_, "pgkeel catalogue", database), bound));
    // All of one moment.
    KEEL_TRY(auto const begun, connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", bound));
    boost::json::object out;
    KEEL_TRY(out["functions"], rows_of(connection, sql::Catalogue::kFunctionsQuery, bound));
    KEEL_TRY(out["operators"], rows_of(connection, sql::Catalogue::kOperatorsQuery, bound));
    KEEL_TRY(out["relations"], rows_of(connection, sql::Catalogue::kRelationsQuery, bound));
    KEEL_TRY(out["hidden"], rows_of(connection, sql::Catalogue::kHiddenQuery, bound));
    auto const version = fmt::format("{:016x}", std::hash<std::string>{}(boost::json::serialize(out)));
    if (version == known) return boost::json::serialize(boost::json::object{{"version", version}});
    out["version"] = version;
    return boost::json::serialize(out);
}

}  // namespace keel::agent
