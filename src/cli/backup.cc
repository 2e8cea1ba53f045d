// `pgkeel backup create | list | show | verify`, and `pgkeel restore`; `pgkeel wal fetch` for PostgreSQL itself.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "archive/restore.h"
#include "cli/commands.h"
#include "cluster/status.h"
#include "postgres/setup.h"

namespace keel::cli {

namespace {

// Which exit code ends a recovery loudly: PostgreSQL takes 1 to 125 for "there is no such file".
constexpr int kFetchFailed = 200;

// Where the repository is, and whose backups in it are meant.
struct Where {
    std::string repository;  // empty: what node.toml says
    std::string system;      // empty: the only one there
    bool as_json = false;
};

struct Opened {
    archive::Repository repository;
    std::string path;
    std::string system;
};

void add_where(CLI::App& command, Where& where) {
    command.add_option("--repository", where.repository, "Its directory; by default the one that node.toml names");
    command.add_option("--system", where.system, "System identifier of the database cluster, if there are several");
}

// As the user that the node runs as, so that nothing belongs to root.
Answer<Opened> open(Commands const& commands, Where const& where) {
    std::string path = where.repository;
    std::string user = "postgres";
    if (path.empty()) {
        KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
        path = config.backup.repository;
        user = config.user;
    }
    if (path.empty())
        return stop(kUsage, Code::invalid, "node.toml names no repository",
                    "set repository in its section [backup], on every data node, or give --repository");
    KEEL_CHECK(agent::become_user(user));
    KEEL_TRY(auto repository, archive::Repository::open(path));
    KEEL_TRY(auto const systems, repository.systems());
    if (where.system.empty() && systems.size() > 1)
        return stop(kUsage, Code::invalid, fmt::format("{} has the backups of several database clusters", path),
                    fmt::format("name one with --system: {}", fmt::join(systems, ", ")));
    std::string const system = !where.system.empty() ? where.system : systems.empty() ? "" : systems[0];
    if (std::ranges::find(systems, system) == systems.end())
        return stop(kFailed, Code::not_found, fmt::format("{} has nothing of this database cluster", path),
                    "is the archiver of the primary at work? Its node's log says why not");
    return Opened{std::move(repository), path, system};
}

archive::BackupProgress progress_bar(char const* doing) {
    auto const shown = std::make_shared<std::uint64_t>(0);
    return [shown, doing](std::uint64_t done, std::uint64_t total) {
        if (::isatty(STDERR_FILENO) == 0 || done - *shown < (8U << 20U)) return;
        *shown = done;
        fmt::print(stderr, "\r{}: {} of {} ", doing, cluster::bytes_text(done), cluster::bytes_text(total));
    };
}

std::string line_of(archive::Backup const& one) {
    return fmt::format("{}  timeline {}  {} to {}  {}, stored {}\n", one.label, one.timeline.value,
                       to_string(one.start), to_string(one.end), cluster::bytes_text(one.bytes),
                       cluster::bytes_text(one.stored_bytes));
}

Answer<archive::Backup> named(Opened const& opened, std::string const& label) {
    KEEL_TRY(auto const all, opened.repository.backups(opened.system));
    auto const at = std::ranges::find(all, label, &archive::Backup::label);
    if (at == all.end())
        return stop(kUsage, Code::not_found, fmt::format("there is no backup {}", label), "pgkeel backup list");
    return *at;
}

Done create(Commands const& commands) {
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    Where const where;
    if (config.backup.repository.empty()) {
        KEEL_TRY(auto const unused, open(commands, where));  // says why not
    }
    KEEL_CHECK(agent::become_user(config.user));
    KEEL_TRY(auto const repository, archive::Repository::open(config.backup.repository));
    KEEL_TRY(auto const backup,
             archive::take_backup(agent::place_of(config, identity.node), repository, progress_bar("backup")));
    fmt::print("{}", line_of(backup));
    return {};
}

Done list(Commands const& commands, Where const& where) {
    KEEL_TRY(auto const opened, open(commands, where));
    KEEL_TRY(auto const all, opened.repository.backups(opened.system));
    auto const bytes = all.empty() ? std::uint64_t{16U << 20U} : all.back().segment_bytes;
    KEEL_TRY(auto const listing, opened.repository.list(opened.system, bytes));
    auto const lineage = listing.newest();
    auto const ranges = archive::ranges_of(listing.holdings(bytes, lineage), lineage);
    if (where.as_json) {
        boost::json::array wal;
        for (auto const& one : ranges) wal.push_back({{"from", to_string(one.from)}, {"to", to_string(one.to)}});
        boost::json::object const out{{"system_id", opened.system},
                                      {"timeline", lineage.timeline.value},
                                      {"wal", wal},
                                      {"backups", json::encode(all)}};
        fmt::print("{}\n", boost::json::serialize(out));
        return {};
    }
    for (auto const& one : all) fmt::print("{}", line_of(one));
    for (auto const& one : ranges)
        fmt::print("WAL without a hole: {} to {}, timeline {}\n", to_string(one.from), to_string(one.to),
                   lineage.timeline.value);
    if (ranges.size() > 1) fmt::print("There are holes: nothing can be restored across them.\n");
    return {};
}

void say_plan(archive::Plan const& plan) {
    auto const target = plan.target.lsn ? to_string(*plan.target.lsn) : archive::time_text(*plan.target.time_us);
    fmt::print("backup    {}", line_of(plan.backup));
    fmt::print("WAL       from {} to {}, {}\n", to_string(plan.wal.from), to_string(plan.wal.to),
               cluster::bytes_text(plan.wal.to.value - plan.wal.from.value));
    fmt::print("target    {} on timeline {}\n", target, plan.lineage.timeline.value);
    fmt::print("space     {}\n", cluster::bytes_text(plan.backup.bytes));
}

// For a shell, and then for restore_command, where % is special.
Result<std::string> word(std::string const& text) {
    if (text.find_first_of("'%\n") != std::string::npos)
        return fail(Code::invalid, "the path " + text + " has a quote or a percent sign in it", "use another path");
    return "'" + text + "'";
}

struct Restore {
    Where where;
    std::string to, target = "latest", binaries;
    bool dry_run = false;
};

Done restore(Commands const& commands, Restore const& asked) {
    KEEL_TRY(auto const target, archive::parse_target(asked.target));
    KEEL_TRY(auto const opened, open(commands, asked.where));
    if (!asked.to.starts_with('/'))
        return stop(kUsage, Code::invalid, "--to needs an absolute path", "--to /var/lib/postgresql/restored");
    KEEL_CHECK(archive::check_empty(asked.to));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, target));
    say_plan(plan);
    if (asked.dry_run) return {};
    auto const major = plan.backup.server_version / 10000;
    auto const binaries = asked.binaries.empty() ? fmt::format("/usr/lib/postgresql/{}/bin", major) : asked.binaries;
    if (::access((binaries + "/pg_verifybackup").c_str(), X_OK) != 0)
        return stop(kUsage, Code::not_found, fmt::format("PostgreSQL {} is not in {}", major, binaries),
                    "install it, or name its directory with --postgres-bin");
    std::error_code error;
    auto const program = std::filesystem::read_symlink("/proc/self/exe", error).string();
    KEEL_TRY(auto const program_word, word(program));
    KEEL_TRY(auto const repository_word, word(opened.path));
    auto const fetch =
        fmt::format("{} wal fetch --repository {} --system {} %f %p", program_word, repository_word, opened.system);
    KEEL_CHECK(archive::restore(opened.repository, plan, {asked.to, binaries, fetch}, progress_bar("restore")));
    fmt::print("restored  {}: the server started, replayed to the target, and was stopped\n", asked.to);
    return {};
}

void add_restore(Commands& commands) {
    auto const asked = std::make_shared<Restore>();
    auto& command = commands.add_local("restore", "A backup and its WAL into an empty directory, proven by a start");
    add_where(command, asked->where);
    command.add_option("--to", asked->to, "An empty or new directory")->required();
    command.add_option("--target", asked->target, "latest, an LSN, or a time in UTC as \"2026-11-26 03:00:00Z\"");
    command.add_option("--postgres-bin", asked->binaries, "Directory of PostgreSQL's programs");
    command.add_flag("--dry-run", asked->dry_run, "Only say what would be done");
    commands.on(command, [asked, &commands] { return restore(commands, *asked); });
}

void add_wal(Commands& commands) {
    auto& wal = commands.add_bare("wal", "For PostgreSQL's restore_command");
    wal.require_subcommand(1);
    auto const where = std::make_shared<Where>();
    auto const names = std::make_shared<std::pair<std::string, std::string>>();
    auto& fetch = *wal.add_subcommand("fetch", "One WAL file out of the repository");
    fetch.add_option("--repository", where->repository, "Its directory")->required();
    fetch.add_option("--system", where->system, "System identifier")->required();
    fetch.add_option("name", names->first, "%f")->required();
    fetch.add_option("path", names->second, "%p")->required();
    commands.on(fetch, [where, names]() -> Done {
        auto const done = [&]() -> Status {
            KEEL_TRY(auto const repository, archive::Repository::open(where->repository));
            return archive::fetch_wal(repository, where->system, names->first, names->second);
        }();
        if (done) return {};
        // Absent is an answer only of a repository that is there.
        bool const absent = done.error().code == Code::not_found && ::access(where->repository.c_str(), X_OK) == 0;
        return std::unexpected(Failure(absent ? kFailed : kFetchFailed, done.error()));
    });
}

}  // namespace

void add_backup(Commands& commands) {
    auto& backup = commands.add_bare("backup", "Base backups and the WAL archive");
    backup.require_subcommand(1);
    auto const where = std::make_shared<Where>();
    auto const label = std::make_shared<std::string>();
    auto& make = commands.add_local_below(backup, "create", "A full backup of this node's server");
    commands.on(make, [&commands] { return create(commands); });
    auto& all = commands.add_local_below(backup, "list", "The backups, and what WAL there is");
    add_where(all, *where);
    all.add_flag("--json", where->as_json, "For programs");
    commands.on(all, [where, &commands] { return list(commands, *where); });
    auto& show = commands.add_local_below(backup, "show", "One backup, as JSON");
    add_where(show, *where);
    show.add_option("label", *label, "As list shows it")->required();
    commands.on(show, [where, label, &commands]() -> Done {
        KEEL_TRY(auto const opened, open(commands, *where));
        KEEL_TRY(auto const one, named(opened, *label));
        fmt::print("{}\n", json::write(one));
        return {};
    });
    auto& verify = commands.add_local_below(backup, "verify", "Reads all of a backup and checks every byte");
    add_where(verify, *where);
    verify.add_option("label", *label, "As list shows it")->required();
    commands.on(verify, [where, label, &commands]() -> Done {
        KEEL_TRY(auto const opened, open(commands, *where));
        KEEL_TRY(auto const one, named(opened, *label));
        KEEL_CHECK(archive::verify_backup(opened.repository, one, progress_bar("verify")));
        fmt::print("{}: every file and the WAL it needs are as they were stored\n", one.label);
        return {};
    });
    add_restore(commands);
    add_wal(commands);
}

}  // namespace keel::cli
