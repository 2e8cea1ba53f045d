// New settings on a running server: written, checked by PostgreSQL itself, taken back when it refuses them.
#include <fmt/format.h>

#include "postgres/access.h"
#include "postgres/job.h"
#include "postgres/server_state.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

// Somebody may have edited pg_ident.conf by hand.
constexpr Duration kReadIdentEvery = 30s;

// ALTER SYSTEM wins over every file. PostgreSQL edits its file itself while it runs.
Status undo_alter_system(Connection& connection, Bound const& bound) {
    KEEL_TRY(auto const rows, connection.query("SELECT DISTINCT name FROM pg_file_settings "
                                               "WHERE sourcefile LIKE '%/postgresql.auto.conf'",
                                               bound));
    for (auto const& row : rows) {
        auto const& name = row[0].value_or("");
        if (!is_owned(name)) continue;
        KEEL_CHECK(connection.query("ALTER SYSTEM RESET " + name, bound));
        runtime::log::warning("postgres", "ALTER SYSTEM SET {} was undone: this parameter is set by pgkeel", name);
    }
    return {};
}

// A change of pg_ident.conf asks nobody who is connected already. client_dn: "/CN=<UUID of the node>".
Result<std::size_t> end_strangers(Place const& place, std::set<NodeId> const& members,
                                  std::set<std::string> const& proxied) {
    std::string names, roles = "pgkeel_replicator\npgkeel_rewind\npgkeel_monitor";
    for (auto const& member : members) names += (names.empty() ? "/CN=" : ",/CN=") + member.value;
    for (auto const& role : proxied) roles += "\n" + role;
    Bound const bound(3s);
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place, "pgkeel access"), bound));
    KEEL_TRY(auto const ended,
             connection.query("SELECT client_dn, pg_terminate_backend(pid) FROM pg_stat_ssl JOIN pg_stat_activity "
                              "USING (pid) WHERE usename = ANY (string_to_array($2, chr(10))) "
                              "AND client_dn IS NOT NULL AND client_dn <> ALL (string_to_array($1, ','))",
                              bound, {names, roles}));
    for (auto const& row : ended)
        runtime::log::warning("postgres", "a connection by the certificate of {}, who is no member any more, was ended",
                              row[0].value_or("?"));
    return ended.size();
}

}  // namespace

// pg_hba.conf knows groups, pg_ident.conf does not: it follows who is in the group.
void Server::State::take_proxied(std::set<std::string> roles) {
    std::lock_guard const lock(mutex);
    if (settings.proxied == roles) return;
    settings.proxied = std::move(roles);
    admitted.reset();
}

Status Server::State::admit() {
    auto const now = current_settings();
    auto members = now.members;
    members.insert(place.id);
    {
        std::lock_guard const lock(mutex);
        if (admitted == members && runtime::boot_now() < admitted_at + kReadIdentEvery) return {};
    }
    auto const path = place.data() + "/pg_ident.conf";
    auto const before = runtime::read_file(path, 4U << 20U);
    // A server that is down reads what its start writes; a directory that is being copied has its own writer.
    if (!before || !find_postmaster(place.data()) || !read_marker(place).empty()) return {};
    auto const wanted_text = with_ident(place, now, *before);
    {
        std::lock_guard const lock(mutex);
        admitted_at = runtime::boot_now();
        if (*before == wanted_text && admitted == members) return {};
    }
    bool const is_new = *before != wanted_text;
    if (is_new) KEEL_CHECK(runtime::write_atomically(path, wanted_text, 0600));
    KEEL_CHECK(reload());
    KEEL_TRY(auto const ended, end_strangers(place, members, now.proxied));
    // Until the server has read the file, one that was ended may come back: so it is looked at once more.
    if (is_new || ended > 0) return {};
    std::lock_guard const lock(mutex);
    admitted = members;
    return {};
}

Status Server::State::configure(Running& run) {
    if (!find_postmaster(place.data())) {
        run.text = "the server is down; its next start takes the settings up";
        return {};
    }
    Bound const bound = run.bound.at_most(5s);
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place, "pgkeel configure"), bound));
    KEEL_CHECK(undo_alter_system(connection, bound));
    auto const path = place.data() + "/pgkeel.conf";
    auto const before = runtime::read_file(path, 4U << 20U);
    KEEL_CHECK(write_configuration(place, place.data(), current_settings(), current_wanted()));
    // The same parser as at a start, so that also a parameter that only a restart applies is looked at.
    auto const parsed = run_job({.argv = {place.binary("postgres"), "-D", place.data(), "-C", "port"}}, bound);
    if (!parsed) {
        if (before) KEEL_CHECK(runtime::write_atomically(path, *before, 0600));
        return fail(Code::invalid, "PostgreSQL refuses the settings: " + parsed.error().text,
                    "correct them; the old ones stay in force");
    }
    return reload();
}

}  // namespace keel::postgres
