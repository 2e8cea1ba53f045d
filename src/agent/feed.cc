#include "agent/feed.h"

#include <algorithm>

#include "base/json.h"
#include "runtime/clock.h"

namespace keel::agent {

namespace {

constexpr Duration kSignOfLife = 1s;
// Positions change with every commit; a proxy needs them less often than it needs a leader.
constexpr Duration kPositionsEvery = 100ms;

constexpr char const* kUsers =
    "SELECT rolname, coalesce(rolpassword, ''), CASE WHEN isfinite(rolvaliduntil) THEN"
    " (extract(epoch FROM rolvaliduntil) * 1000000)::bigint END, rolcanlogin, rolconnlimit, rolsuper,"
    " pg_has_role(oid, 'pg_monitor', 'USAGE'), rolreplication,"
    " (WITH RECURSIVE above(role) AS (SELECT roleid FROM pg_auth_members WHERE member = u.oid"
    " UNION SELECT roleid FROM pg_auth_members JOIN above ON member = role)"
    " SELECT json_agg(g.rolname) FROM above JOIN pg_authid g ON g.oid = role)"
    " FROM pg_authid u WHERE rolname !~ '^pg_'";
// A stolen SCRAM verifier lets nobody in; what is as good as a password stays on the nodes.
constexpr char const* kForOthers = " AND NOT rolsuper AND NOT rolreplication AND rolpassword LIKE 'SCRAM-SHA-256$%'";

}  // namespace

Feed::Feed(runtime::Io& io, std::optional<postgres::Place> place)
    : io_(io), place_(std::move(place)), worker_("pg users"), cataloguer_("pg catalogue") {}

void Feed::step(cluster::Node const& node) {
    auto const seen = std::pair(node.record() ? node.record()->revision : 0, node.opinion().state);
    auto const now = runtime::boot_now();
    if (std::exchange(seen_, seen) == seen && now - woken_ < kPositionsEvery) return;
    woken_ = now;
    std::erase_if(waiting_, [](auto const& one) { return one.expired(); });
    for (auto const& one : waiting_) {
        if (auto const event = one.lock()) event->notify();
    }
}

std::shared_ptr<runtime::Event> Feed::watch() {
    std::erase_if(waiting_, [](auto const& one) { return one.expired(); });
    auto changed = std::make_shared<runtime::Event>(io_);
    waiting_.push_back(changed);
    return changed;
}

runtime::Task<void> Feed::stream(runtime::HttpStream& out, Look look) {
    auto const changed = watch();
    std::optional<cluster::Routes> told;
    Instant told_at;
    for (;;) {
        auto looked = look();
        if (!looked) co_return;
        auto routes = *std::move(looked);
        auto const now = runtime::boot_now();
        bool const news = !told || !cluster::same_but_positions(*told, routes);
        bool const moved = !news && !(*told == routes);
        std::string line;
        if (news || (moved && now - told_at >= kPositionsEvery)) {
            line = json::write(routes);
            told = std::move(routes);
        }
        if (!line.empty() || now - told_at >= kSignOfLife) {
            told_at = now;
            if (!co_await out.write(line + "\n")) co_return;
        }
        co_await changed->wait();
    }
}

runtime::Task<Result<std::string>> Feed::users(bool to_another_host) {
    if (!place_) co_return fail(Code::not_found, "a witness knows no users", "connect to a data node");
    co_return co_await runtime::run_blocking(worker_, [this, to_another_host] { return read_users(to_another_host); });
}

Result<std::string> Feed::read_users(bool to_another_host) {
    postgres::Bound const bound(1500ms);
    if (!connection_.is_open()) {
        KEEL_TRY(connection_, postgres::Connection::open(postgres::local_conninfo(*place_, "pgkeel users"), bound));
    }
    auto rows = connection_.query(std::string(kUsers) + (to_another_host ? kForOthers : ""), bound);
    if (!rows) {
        connection_.close();
        return fail(std::move(rows.error()));
    }
    boost::json::array out;
    for (auto const& row : *rows) {
        boost::json::object one{{"name", row[0].value_or("")},
                                {"verifier", row[1].value_or("")},
                                {"can_login", row[3].value_or("f") == "t"},
                                {"connection_limit", std::atoi(row[4].value_or("-1").c_str())},
                                {"superuser", row[5].value_or("f") == "t"},
                                {"monitor", row[6].value_or("f") == "t"},
                                {"replication", row[7].value_or("f") == "t"}};
        if (row[8]) {
            boost::system::error_code error;
            one["groups"] = boost::json::parse(*row[8], error);
            if (error) return fail(Code::internal, "the roles of a user cannot be read: " + error.message());
        }
        if (row[2]) one["valid_until_us"] = std::strtoll(row[2]->c_str(), nullptr, 10);
        out.push_back(std::move(one));
    }
    return boost::json::serialize(out);
}

}  // namespace keel::agent
