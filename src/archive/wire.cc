#include "archive/wire.h"

#include <fmt/format.h>

#include <cstdlib>

namespace keel::archive {

namespace {

constexpr Duration kAnswer = 10s;
constexpr std::int64_t kPostgresEpochMs = 946'684'800'000;

std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t out = 0;
    for (char const c : bytes.substr(0, 8)) out = (out << 8U) | static_cast<unsigned char>(c);
    return out;
}

void put(std::string& out, std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8)
        out += static_cast<char>((number >> static_cast<unsigned>(shift)) & 0xFFU);
}

}  // namespace

Result<postgres::Connection> connect(postgres::Place const& place, std::string const& purpose) {
    auto info = postgres::local_conninfo(place, purpose);
    info.emplace_back("replication", "database");
    return postgres::Connection::open(info, postgres::Bound(kAnswer));
}

Result<Server> look_at(postgres::Connection& link) {
    postgres::Bound const bound(kAnswer);
    Server out;
    // First of all: a server that is promoted between two questions must not pass for a primary of its old timeline.
    KEEL_TRY(auto const facts, link.query("SELECT pg_is_in_recovery(), (SELECT setting FROM pg_settings WHERE name = "
                                          "'wal_segment_size'), current_setting('server_version_num')",
                                          bound));
    KEEL_TRY(auto const who, link.query("IDENTIFY_SYSTEM", bound));
    if (who.size() != 1 || who[0].size() < 3 || !who[0][0] || !who[0][1] || !who[0][2])
        return fail(Code::corrupt, "PostgreSQL does not say who it is");
    out.system = *who[0][0];
    out.origin.system_id = std::strtoull(out.system.c_str(), nullptr, 10);
    out.lineage.timeline.value = static_cast<std::uint32_t>(std::strtoul(who[0][1]->c_str(), nullptr, 10));
    out.flushed = parse_lsn(*who[0][2]).value_or(Lsn{});
    out.standby = facts[0][0] == "t";
    out.origin.segment_bytes = std::strtoull(facts[0][1].value_or("0").c_str(), nullptr, 10);
    out.version = std::atoi(facts[0][2].value_or("0").c_str());
    if (!is_segment_bytes(out.origin.segment_bytes) || out.lineage.timeline.value == 0)
        return fail(Code::corrupt, "PostgreSQL says nothing sensible of its WAL");
    if (out.lineage.timeline.value == 1) return out;
    KEEL_TRY(auto const history, link.query(fmt::format("TIMELINE_HISTORY {}", out.lineage.timeline.value), bound));
    if (history.size() != 1 || history[0].size() < 2 || !history[0][1])
        return fail(Code::corrupt, "PostgreSQL gives no history of its timeline");
    out.history_text = *history[0][1];
    KEEL_TRY(out.lineage.history, postgres::parse_history(out.history_text));
    return out;
}

Result<StreamMessage> parse_stream_message(std::string_view bytes) {
    if (bytes.size() >= 25 && bytes[0] == 'w')
        return StreamMessage{Lsn{big_endian(bytes.substr(1))}, bytes.substr(25), Lsn{big_endian(bytes.substr(9))},
                             false};
    if (bytes.size() >= 18 && bytes[0] == 'k') return StreamMessage{{}, {}, {}, bytes[17] != 0};
    return fail(Code::corrupt, "PostgreSQL's stream has an unknown message");
}

std::string status_message(Lsn written, Lsn flushed, std::int64_t unix_ms) {
    std::string out = "r";
    put(out, written.value);
    put(out, flushed.value);
    put(out, 0);  // nothing is applied here
    put(out, static_cast<std::uint64_t>((unix_ms - kPostgresEpochMs) * 1000));
    out += '\0';
    return out;
}

}  // namespace keel::archive
