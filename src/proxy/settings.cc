#include "proxy/settings.h"

#include <algorithm>

namespace keel::proxy {

SettingsPool::SettingsPool() : empty_(std::make_shared<SettingsMap const>()) { known_[{}] = empty_; }

Settings SettingsPool::intern(SettingsMap map) {
    if (map.empty()) return empty_;
    auto& slot = known_[map];
    if (auto known = slot.lock()) return known;
    auto made = std::make_shared<SettingsMap const>(std::move(map));
    slot = made;
    if (known_.size() >= sweep_at_) sweep();
    return made;
}

void SettingsPool::sweep() {
    std::erase_if(known_, [](auto const& one) { return one.second.expired(); });
    sweep_at_ = std::max<std::size_t>(256, known_.size() * 2);
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string quote_literal(std::string_view text) {
    std::string out;
    bool const backslash = text.find('\\') != std::string_view::npos;
    if (backslash) out += " E";
    out += '\'';
    for (char const c : text) {
        if (c == '\0') break;
        if (c == '\'' || c == '\\') out += c;
        out += c;
    }
    return out += '\'';
}

namespace {

bool is_identity(std::string_view name) { return name == "role" || name == "session_authorization"; }

void append_reset(std::string& out, std::string_view name) {
    // A name may have dots; each part is quoted.
    out += "RESET \"";
    for (char const c : name) {
        if (c == '"')
            out += "\"\"";
        else if (c == '.')
            out += "\".\"";
        else if (c != '\0')
            out += c;
    }
    out += "\";";
}

}  // namespace

std::string difference(SettingsMap const& from, SettingsMap const& to) {
    std::string out, calls, identity;
    auto const call = [](std::string& into, std::string_view name, std::string_view value) {
        into += into.empty() ? "SELECT " : ", ";
        into += "pg_catalog.set_config(" + quote_literal(name) + "," + quote_literal(value) + ",false)";
    };
    // Who the session is comes off first and is put on last: what lies between needs the login role's rights.
    bool const leaves_role = from.contains("role") || from.contains("session_authorization");
    if (leaves_role) out += "RESET ROLE;RESET SESSION AUTHORIZATION;";
    for (auto const& [name, value] : from) {
        if (!is_identity(name) && !to.contains(name)) append_reset(out, name);
    }
    for (auto const& [name, value] : to) {
        auto const has = from.find(name);
        if (is_identity(name) || (has != from.end() && has->second == value)) continue;
        call(calls, name, value);
    }
    if (!calls.empty()) out += calls + ";";
    for (char const* name : {"session_authorization", "role"}) {
        auto const wanted = to.find(name);
        if (wanted == to.end()) continue;
        auto const has = from.find(name);
        if (!leaves_role && has != from.end() && has->second == wanted->second) continue;
        call(identity, name, wanted->second);
    }
    if (!identity.empty()) out += identity + ";";
    bool const same = from == to;
    return same ? std::string() : out;
}

std::string question(std::vector<std::string> const& custom, std::string_view user) {
    std::string out =
        "SELECT pg_catalog.lower(name), setting FROM pg_catalog.pg_settings WHERE source = 'session'"
        // Of the transaction that asks; transaction_timeout is one of the session.
        " AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')"
        " UNION ALL SELECT 'role', pg_catalog.current_setting('role')"
        " WHERE pg_catalog.current_setting('role') <> 'none'"
        " UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text WHERE session_user <> " +
        quote_literal(user);
    // What the session itself holds, whoever made it and however.
    out +=
        " UNION ALL SELECT '', 'temporary table' WHERE pg_catalog.pg_my_temp_schema() <> 0 AND EXISTS"
        " (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema())"
        " UNION ALL SELECT '', 'advisory lock' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks"
        " WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())"
        " UNION ALL SELECT '', 'cursor with hold' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"
        " UNION ALL SELECT '', 'listen' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"
        " UNION ALL SELECT '', 'prepared by SQL' WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statements"
        " WHERE from_sql)";
    for (auto const& name : custom) {
        auto const literal = quote_literal(name);
        out += " UNION ALL SELECT " + literal + ", pg_catalog.current_setting(" + literal +
               ", true) WHERE pg_catalog.current_setting(" + literal + ", true) <> ''";
    }
    return out;
}

}  // namespace keel::proxy
