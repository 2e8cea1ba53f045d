#include "sql/statement.h"

#include <algorithm>
#include <array>

namespace keel::sql {

namespace {

// In the order of Verb.
constexpr std::array<char const*, 43> kVerbs = {"unknown",
                                                "empty",
                                                "SELECT",
                                                "VALUES",
                                                "TABLE",
                                                "SHOW",
                                                "EXPLAIN",
                                                "COPY TO",
                                                "COPY FROM",
                                                "INSERT",
                                                "UPDATE",
                                                "DELETE",
                                                "MERGE",
                                                "TRUNCATE",
                                                "BEGIN",
                                                "COMMIT",
                                                "ROLLBACK",
                                                "SAVEPOINT",
                                                "RELEASE",
                                                "ROLLBACK TO",
                                                "PREPARE TRANSACTION",
                                                "COMMIT PREPARED",
                                                "ROLLBACK PREPARED",
                                                "SET TRANSACTION",
                                                "SET",
                                                "RESET",
                                                "DISCARD",
                                                "SET CONSTRAINTS",
                                                "PREPARE",
                                                "EXECUTE",
                                                "DEALLOCATE",
                                                "LISTEN",
                                                "UNLISTEN",
                                                "NOTIFY",
                                                "DECLARE CURSOR",
                                                "FETCH",
                                                "CLOSE",
                                                "LOCK",
                                                "DO",
                                                "CALL",
                                                "LOAD",
                                                "CREATE TEMP",
                                                "utility"};

// Encodings whose characters hold only bytes >= 0x80, or are ASCII (PostgreSQL manual, "Character Set Support": those
// that a server may use; the others are for clients only because of this).
constexpr std::array<std::string_view, 36> kAsciiSafe = {
    "UTF8",     "SQLASCII", "EUCCN",   "EUCJP",   "EUCJIS2004", "EUCKR",   "EUCTW",   "ISO88595", "ISO88596",
    "ISO88597", "ISO88598", "KOI8R",   "KOI8U",   "LATIN1",     "LATIN2",  "LATIN3",  "LATIN4",   "LATIN5",
    "LATIN6",   "LATIN7",   "LATIN8",  "LATIN9",  "LATIN10",    "WIN866",  "WIN874",  "WIN1250",  "WIN1251",
    "WIN1252",  "WIN1253",  "WIN1254", "WIN1255", "WIN1256",    "WIN1257", "WIN1258", "UNICODE",  "MULEINTERNAL"};

// A name as an SQL identifier that no keyword or case can change, part by part.
std::string quoted_name(std::string const& name) {
    std::string out = "\"";
    for (char const c : name) {
        if (c == '"') out += '"';
        out += c == '.' ? std::string("\".\"") : std::string(1, c);
    }
    return out + "\"";
}

std::string literal(std::string const& text) {
    std::string out = "'";
    for (char const c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
    return out + "'";
}

}  // namespace

char const* to_string(Verb verb) { return kVerbs[static_cast<std::size_t>(verb)]; }

bool is_ascii_safe(std::string_view client_encoding) {
    std::string name;
    for (char const c : client_encoding) {
        if (c >= 'a' && c <= 'z') name += static_cast<char>(c - 32);
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) name += c;
    }
    return std::ranges::find(kAsciiSafe, name) != kAsciiSafe.end();
}

std::string replay(Setting const& setting) {
    if (setting.change == Setting::Change::reset_all) return "RESET ALL";
    std::string const scope = setting.local ? "SET LOCAL " : "SET ";
    if (setting.change == Setting::Change::to_default) return scope + quoted_name(setting.name) + " TO DEFAULT";
    if (setting.by_function)
        return "SELECT pg_catalog.set_config(" + literal(setting.name) + ", " + setting.value + ", " +
               (setting.local ? "true" : "false") + ")";
    return scope + quoted_name(setting.name) + " TO " + setting.value;
}

std::string Pins::text() const {
    std::string out;
    auto const add = [&out](bool pinned, char const* what) {
        if (pinned) out += (out.empty() ? "" : ", ") + std::string(what);
    };
    add(temp_object, "temporary table");
    add(advisory_lock, "advisory lock");
    add(held_cursor, "cursor WITH HOLD");
    add(listen, "LISTEN");
    add(load, "LOAD");
    add(do_block, "DO");
    add(call, "CALL");
    add(untracked_setting, "a setting that cannot be followed");
    return out;
}

bool Pins::any() const {
    return temp_object || advisory_lock || held_cursor || listen || load || do_block || call || untracked_setting;
}

}  // namespace keel::sql
