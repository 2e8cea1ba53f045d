#include "cli/load.h"

#include <algorithm>

#include "runtime/clock.h"

namespace keel::cli {

namespace {

constexpr Duration kBetweenWrites = 8ms;
constexpr Duration kBetweenReads = 10ms;
constexpr Duration kBetweenSearches = 5ms;
constexpr Duration kPatience = 2s;
constexpr std::int64_t kNumbersPerWriter = 1'000'000'000;

using postgres::Bound;
using postgres::Connection;
using postgres::Endpoint;

bool prepare_write(Connection& connection, std::vector<std::string> const& statements) {
    Bound const bound(kPatience);
    return connection.query("BEGIN", bound) && std::ranges::all_of(statements, [&](std::string const& sql) {
               return connection.query(sql, bound).has_value();
           });
}

// A server that answers COMMIT with an error and keeps the connection stored nothing. One that warns that it gave up
// waiting for its standbys committed locally only: that promises nothing.
Commit commit(Connection& connection) {
    auto const done = connection.query("COMMIT", Bound(kPatience));
    if (done) {
        for (auto const& notice : connection.take_notices()) {
            if (notice.find("synchronous replication") != std::string::npos) return Commit::unknown;
        }
        return Commit::acknowledged;
    }
    // A proxy that lost the server says so over a connection that stands (SQLSTATE 08007).
    return connection.is_open() && done.error().code != Code::unavailable ? Commit::refused : Commit::unknown;
}

}  // namespace

Result<Connection> connect(Traffic const& traffic, Endpoint const& place, std::string const& wanted) {
    auto info = traffic.login;
    info.insert(info.end(),
                {{"host", place.host}, {"port", std::to_string(place.port)}, {"target_session_attrs", wanted}});
    return Connection::open(info, Bound(kPatience));
}

Result<Connection> connect_to_primary(Traffic const& traffic, Endpoint& primary) {
    // Each with its reason: a login may be refused everywhere.
    std::string why = "no node accepts writes";
    for (auto const& place : traffic.nodes) {
        auto connection = connect(traffic, place, "read-write");
        if (connection) {
            primary = place;
            return connection;
        }
        why += "\n  " + connection.error().text;
    }
    return fail(Code::unavailable, std::move(why));
}

Outage longest_outage(std::vector<Instant> const& moments, Instant from) {
    Outage longest;
    for (std::size_t i = 1; i < moments.size(); ++i) {
        Outage const gap{moments[i - 1], moments[i]};
        if (gap.end > from && gap.length() > longest.length()) longest = gap;
    }
    return longest;
}

Audit compare(Ledger const& ledger, std::set<std::int64_t> stored) {
    Audit audit;
    audit.acknowledged = ledger.acknowledged.size();
    for (auto const number : ledger.acknowledged) {
        if (stored.erase(number) == 0) audit.lost.push_back(number);
    }
    for (auto const number : ledger.unknown) {
        ++(stored.erase(number) != 0 ? audit.unknown_stored : audit.unknown_absent);
    }
    audit.foreign = stored.size();
    return audit;
}

Result<Audit> audit(Connection& primary, std::string const& query, Ledger const& ledger) {
    KEEL_TRY(auto const rows, primary.query(query, Bound(30s)));
    std::set<std::int64_t> stored;
    for (auto const& row : rows) stored.insert(std::stoll(row.at(0).value_or("0")));
    return compare(ledger, std::move(stored));
}

Load::Load(Traffic traffic) : traffic_(std::move(traffic)) {}

Load::~Load() { stop(); }

void Load::start(int writers, int readers) {
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this, i] { keep_writing(i); });
    for (int i = 0; i < readers; ++i) threads_.emplace_back([this, i] { keep_reading(i); });
}

void Load::stop() {
    {
        std::lock_guard const lock(book_);
        ending_ = true;
    }
    ended_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
}

std::size_t Load::acknowledged() const {
    std::lock_guard const lock(book_);
    return ledger_.acknowledged.size();
}

std::size_t Load::answered_reads() const {
    std::lock_guard const lock(book_);
    return ledger_.read_moments.size();
}

Instant Load::last_write() const {
    std::lock_guard const lock(book_);
    return ledger_.write_moments.empty() ? Instant{} : ledger_.write_moments.back();
}

Ledger Load::ledger() const {
    std::lock_guard const lock(book_);
    return ledger_;
}

// False when the load ends.
bool Load::pause(Duration span) {
    std::unique_lock lock(book_);
    ended_.wait_for(lock, span, [this] { return ending_.load(); });
    return !ending_;
}

Endpoint Load::find_primary() {
    auto const asked = runtime::boot_now();
    std::lock_guard const only_one(search_);
    if (primary_found_ > asked) return primary_;  // another writer found it while this one waited for its turn
    while (!ending_) {
        if (connect_to_primary(traffic_, primary_)) {
            primary_found_ = runtime::boot_now();
            return primary_;
        }
        if (!pause(kBetweenSearches)) break;
    }
    return {};
}

void Load::keep_writing(int writer) {
    std::int64_t next = writer * kNumbersPerWriter + 1;
    while (!ending_) {
        auto const primary = find_primary();
        if (primary.host.empty()) return;
        write_over(primary, next);
        pause(kBetweenSearches);
    }
}

// Writes over one connection until it breaks.
void Load::write_over(Endpoint const& primary, std::int64_t& next) {
    auto connection = connect(traffic_, primary, "read-write");
    while (connection && !ending_) {
        auto const id = next++;  // used once, whatever becomes of it
        auto const outcome = prepare_write(*connection, traffic_.write(id)) ? commit(*connection) : Commit::refused;
        enter(id, outcome);
        if (outcome != Commit::acknowledged) return;
        pause(kBetweenWrites);
    }
}

void Load::enter(std::int64_t number, Commit outcome) {
    auto const now = runtime::boot_now();
    std::lock_guard const lock(book_);
    if (outcome == Commit::acknowledged) {
        ledger_.acknowledged.push_back(number);
        ledger_.write_moments.push_back(now);
    } else if (outcome == Commit::unknown) {
        ledger_.unknown.push_back(number);
    } else {
        ++ledger_.refused;
    }
}

void Load::keep_reading(int reader) {
    for (auto next = static_cast<std::size_t>(reader); !ending_; ++next) {
        auto const& places = traffic_.readers.empty() ? traffic_.nodes : traffic_.readers;
        auto connection = connect(traffic_, places[next % places.size()], "any");
        while (connection && !ending_ && connection->query(traffic_.read, Bound(kPatience))) {
            {
                auto const now = runtime::boot_now();
                std::lock_guard const lock(book_);
                ledger_.read_moments.push_back(now);
            }
            pause(kBetweenReads);
        }
        pause(kBetweenSearches);
    }
}

}  // namespace keel::cli
