// New settings on a running server: written, checked by PostgreSQL itself, taken back when it refuses them.
#include <fmt/format.h>

#include "postgres/job.h"
#include "postgres/server_state.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

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

}  // namespace

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
