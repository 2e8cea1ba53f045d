// `pgkeel recover --table`: brings back one table beside the live one, as it was at some moment, out of the backups.
// --until is in recover_until.cc.
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "agent/local_state.h"
#include "agent/start_up.h"
#include "archive/lone_server.h"
#include "base/utf8.h"
#include "cli/backup_where.h"
#include "cli/interrupts.h"
#include "cli/recover_until.h"
#include "cluster/status.h"
#include "postgres/job.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

namespace fs = std::filesystem;
using postgres::Bound;
using postgres::Connection;

constexpr Duration kCopyMost = std::chrono::hours(24);
constexpr Duration kPatience = 10s;
constexpr char const* kAside = "pgkeel_recover_aside";
constexpr std::size_t kNameMax = 63;  // NAMEDATALEN - 1

struct Recover {
    Where where;
    std::string table, database, at, into, scratch;
    bool dry_run = false;
    std::string until;  // recover_until.h
    bool end = false;
};

// Where it comes from and where it goes, as PostgreSQL spells it.
struct Names {
    std::string schema, table, into;

    std::string source() const { return quoted(schema) + "." + quoted(table); }
    std::string made() const { return quoted(schema) + "." + quoted(into); }

  private:
    static std::string quoted(std::string_view name) {
        std::string out = "\"";
        for (char const letter : name) out.append(letter == '"' ? 2 : 1, letter);
        return out + "\"";
    }
};

postgres::ConnInfo live_in(postgres::Place const& place, std::string const& database) {
    return postgres::local_conninfo(place, "pgkeel recover", database);
}

// users at 2026-11-26 03:00:00 becomes users_at_20261126_030000.
std::string name_with_time(std::string const& table, archive::Target const& target) {
    std::string suffix = "_at_";
    for (char const letter : target.lsn ? to_string(*target.lsn) : archive::time_text(*target.time_us).substr(0, 19)) {
        if (letter == ' ' || letter == '/')
            suffix += '_';
        else if (letter != '-' && letter != ':')
            suffix += letter;
    }
    return table.substr(0, cut_between_characters(table, std::min(table.size(), kNameMax - suffix.size()))) + suffix;
}

Answer<Connection> open_primary(postgres::Place const& place, std::string const& database) {
    KEEL_TRY(auto live, Connection::open(live_in(place, database), Bound(kPatience)));
    KEEL_TRY(auto const standby, live.value("SELECT pg_is_in_recovery()", Bound(kPatience)));
    if (standby == "t")
        return stop(kFailed, Code::unavailable, "this node's PostgreSQL is a standby: the table cannot be made here",
                    "run it on the node that leads: pgkeel status");
    return live;
}

// Of the live database, before anything is done.
Answer<Names> names_of(Connection& live, Recover const& asked, archive::Target const& target) {
    auto const parts = live.query("SELECT unnest(parse_ident($1))", Bound(kPatience), {asked.table});
    if (!parts || parts->size() != 2)
        return stop(kUsage, Code::invalid, fmt::format("--table {} is not schema.table", asked.table),
                    "as SQL spells it: --table shop.users, --table 'shop.\"Users\"'");
    Names out{parts->at(0).at(0).value_or(""), parts->at(1).at(0).value_or(""), asked.into};
    if (out.into.empty()) out.into = name_with_time(out.table, target);
    if (out.into.size() > kNameMax)
        return stop(kUsage, Code::invalid, fmt::format("--into {} is longer than {} bytes", out.into, kNameMax),
                    "choose a shorter name");
    KEEL_TRY(auto const schemas, live.value("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1",
                                            Bound(kPatience), {out.schema}));
    if (schemas == "0")
        return stop(kUsage, Code::not_found,
                    fmt::format("the database {} has no schema {} to put the table in", asked.database, out.schema),
                    fmt::format("if it was dropped too, make it again: CREATE SCHEMA {}", out.schema));
    KEEL_TRY(auto const taken,
             live.value("SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
                        "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                        Bound(kPatience), {out.schema, out.into}));
    if (taken != "0")
        return stop(kUsage, Code::conflict,
                    fmt::format("there is a {} already, and nothing is written over", out.made()),
                    "name another one with --into, or drop it");
    return out;
}

Done check_space(std::string const& directory, archive::Plan const& plan) {
    auto const free = runtime::free_bytes(directory);
    if (!free)
        return stop(kUsage, Code::not_found, "--scratch " + free.error().text,
                    "name a directory that exists, with room for the whole database");
    auto const needed = plan.backup.bytes + (plan.wal.to.value - plan.wal.from.value);
    if (*free >= needed) return {};
    return stop(kFailed, Code::exhausted,
                fmt::format("{} has {} free, and the backup with its WAL may need {}", directory,
                            cluster::bytes_text(*free), cluster::bytes_text(needed)),
                "name a directory on another disk with --scratch");
}

struct Copied {
    std::string rows, owner;
};

// In the scratch server: only the rows and their columns' types. What hangs on the table (indexes, sequences, triggers)
// has names that the live one uses.
Answer<Copied> copy_inside(archive::LoneServer const& server, Recover const& asked, Names const& names,
                           Interrupts const& interrupts) {
    auto scratch = Connection::open(server.conninfo(asked.database), Bound(kPatience));
    if (!scratch)
        return stop(
            kFailed, Code::not_found,
            fmt::format("the database {} was not there at that moment: {}", asked.database, scratch.error().text),
            "choose another moment with --at");
    KEEL_TRY(
        auto const found,
        scratch->query(
            "SELECT pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
            "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm')",
            Bound(kPatience), {names.schema, names.table}));
    if (found.empty())
        return stop(kFailed, Code::not_found, fmt::format("there was no table {} at that moment", names.source()),
                    "choose another moment with --at; names are spelled as SQL spells them");
    auto const most = interrupts.bound(kCopyMost);
    auto from = names;
    // The new name may have been another's then, or its own.
    if (auto const taken = scratch->value("SELECT to_regclass($1)::oid", Bound(kPatience), {names.made()})) {
        KEEL_CHECK(scratch->query(fmt::format("ALTER TABLE {} RENAME TO {}", names.made(), kAside), Bound(kPatience)));
        if (names.into == names.table) from.table = kAside;
    }
    KEEL_CHECK(scratch->query(fmt::format("CREATE TABLE {} AS TABLE {}", names.made(), from.source()), most));
    KEEL_TRY(auto const rows, scratch->value(fmt::format("SELECT count(*) FROM {}", names.made()), most));
    return Copied{rows, found[0].at(0).value_or("")};
}

// All or nothing: in one transaction.
Done bring_over(postgres::Place const& place, archive::LoneServer const& server, std::string const& directory,
                Recover const& asked, Names const& names, Interrupts const& interrupts) {
    auto const most = interrupts.bound(kCopyMost);
    auto const file = directory + "/table.dump";
    KEEL_CHECK(postgres::run_job({{place.binary("pg_dump"), "--format=custom", "--no-owner", "--no-privileges",
                                   "--no-password", "--table=" + names.made(), "--file=" + file,
                                   "--dbname=" + postgres::to_string(server.conninfo(asked.database))}},
                                 most));
    auto const live = live_in(place, asked.database);
    KEEL_CHECK(postgres::run_job({{place.binary("pg_restore"), "--single-transaction", "--exit-on-error", "--no-owner",
                                   "--no-privileges", "--no-password", "--dbname=" + postgres::to_string(live), file}},
                                 most));
    return {};
}

// It belongs to whom the live one belongs, or to whom it belonged then, if there is such a role.
Answer<std::string> finish(Connection& live, Names const& names, std::string const& former_owner) {
    KEEL_TRY(auto const owners,
             live.query("SELECT quote_ident(rolname) FROM pg_catalog.pg_roles r LEFT JOIN (pg_catalog.pg_class c JOIN "
                        "pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1) ON c.relowner = r.oid "
                        "AND c.relname = $2 WHERE c.oid IS NOT NULL OR rolname = $3 ORDER BY c.oid IS NULL LIMIT 1",
                        Bound(kPatience), {names.schema, names.into == names.table ? "" : names.table, former_owner}));
    if (!owners.empty())
        KEEL_CHECK(live.query(fmt::format("ALTER TABLE {} OWNER TO {}", names.made(), owners[0].at(0).value_or("")),
                              Bound(kPatience)));
    KEEL_TRY(auto const rows, live.value(fmt::format("SELECT count(*) FROM {}", names.made()), Bound(kCopyMost)));
    return rows;
}

// Removed with whatever is in it.
class Scratch {
  public:
    static Answer<Scratch> make(std::string const& below) {
        Scratch out;
        out.path_ = below + "/pgkeel-recover-XXXXXX";
        if (::mkdtemp(out.path_.data()) == nullptr) {
            auto const error = runtime::system_error(errno, "a scratch directory in " + below);
            out.path_.clear();
            return std::unexpected(Failure(error));
        }
        return out;
    }
    Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    Scratch& operator=(Scratch&&) = delete;
    ~Scratch() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    std::string const& path() const { return path_; }

  private:
    Scratch() = default;
    std::string path_;
};

Done work(postgres::Place const& place, Opened const& opened, archive::Plan const& plan, Recover const& asked,
          Names const& names, Interrupts const& interrupts) {
    KEEL_TRY(auto const scratch, Scratch::make(asked.scratch));
    auto const data = scratch.path() + "/data";
    KEEL_CHECK(restore_files(opened, plan, {data, place.binaries, {}, true}, interrupts));
    KEEL_TRY(auto const server, archive::LoneServer::start(data, place.binaries, interrupts.bound(kCopyMost)));
    KEEL_TRY(auto const copied, copy_inside(server, asked, names, interrupts));
    KEEL_CHECK(bring_over(place, server, scratch.path(), asked, names, interrupts));
    KEEL_TRY(auto live, open_primary(place, asked.database));
    KEEL_TRY(auto const there, finish(live, names, copied.owner));
    if (there != copied.rows)
        return stop(kFailed, Code::corrupt,
                    fmt::format("{} has {} rows, and had {} then", names.made(), there, copied.rows),
                    "was it changed meanwhile? Drop it and run this again");
    fmt::print("recovered {}: {} rows, as {} was then; without indexes, constraints and defaults\n", names.made(),
               copied.rows, names.source());
    return {};
}

Done recover(Commands const& commands, Recover asked) {
    if (asked.table.empty() || asked.database.empty() || asked.at.empty())
        return stop(kUsage, Code::invalid, "--table, --database and --at are needed",
                    "or, on a delayed standby: pgkeel recover --until TIME");
    KEEL_TRY(auto const target, archive::parse_target(asked.at));
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    KEEL_TRY(auto const opened, open_repository(commands, asked.where));
    auto const place = agent::place_of(config, identity.node);
    KEEL_TRY(auto live, open_primary(place, asked.database));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, target));
    KEEL_TRY(auto const names, names_of(live, asked, plan.target));
    live.close();
    if (asked.scratch.empty()) asked.scratch = config.directory;
    say_plan(plan);
    fmt::print("scratch   {}, removed again\n", asked.scratch);
    fmt::print("table     {} of the database {} becomes {}\n", names.source(), asked.database, names.made());
    KEEL_CHECK(check_space(asked.scratch, plan));
    if (asked.dry_run) return {};
    Interrupts const interrupts;
    auto const done = work(place, opened, plan, asked, names, interrupts);
    if (!done && interrupts.came())
        return stop(kFailed, Code::conflict, "interrupted: the scratch server is down and its directory is gone",
                    fmt::format("was {} made? If so, it is complete", names.made()));
    return done;
}

}  // namespace

void add_recover(Commands& commands) {
    auto const asked = std::make_shared<Recover>();
    auto& command = commands.add_local("recover",
                                       "One table as it was at some moment, beside the live one, run on the node that "
                                       "leads; or a delayed standby before "
                                       "an accident");
    add_where(command, asked->where);
    command.add_option("--table", asked->table, "schema.table, as SQL spells it");
    command.add_option("--database", asked->database, "The table's database");
    command.add_option("--at", asked->at, "A time in UTC as \"2026-11-26 03:00:00Z\", an LSN, or latest");
    command.add_option("--into", asked->into, "Its new name in the same schema; by default with the time behind it");
    command.add_option("--scratch", asked->scratch,
                       "An existing directory with room for the whole database; by default the node's");
    command.add_flag("--dry-run", asked->dry_run, "Only say what would be done");
    auto* until = command.add_option(
        "--until", asked->until,
        "On a delayed standby: have it, to read, as it was just before this time, in UTC as \"2026-11-26 03:00:00Z\"");
    auto* end = command.add_flag("--end", asked->end, "On a delayed standby: back from --until");
    until->excludes(end);
    for (auto const* name : {"--table", "--database", "--at", "--into", "--scratch", "--dry-run"})
        for (auto* one : {until, end}) command.get_option(name)->excludes(one);
    commands.on(command, [asked, &commands]() -> Done {
        if (asked->end) return end_recovery(commands);
        if (!asked->until.empty()) return recover_until(commands, asked->until);
        return recover(commands, *asked);
    });
}

}  // namespace keel::cli
