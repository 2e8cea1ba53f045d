// `pgkeel backup create | list | show`.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "cli/backup_where.h"
#include "cli/choice.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "cluster/status.h"
#include "postgres/setup.h"
#include "web/backups.h"

namespace keel::cli {

std::vector<std::pair<std::string, std::string config::RepositorySettings::*>> const& repository_options() {
    static std::vector<std::pair<std::string, std::string config::RepositorySettings::*>> const all = {
        {"--encryption-key-file", &config::RepositorySettings::encryption_key_file},
        {"--s3-endpoint", &config::RepositorySettings::s3_endpoint},
        {"--s3-region", &config::RepositorySettings::s3_region},
        {"--s3-credentials-file", &config::RepositorySettings::s3_credentials_file},
        {"--s3-ca-file", &config::RepositorySettings::s3_ca_file},
    };
    return all;
}

void add_repository(CLI::App& command, config::RepositorySettings& settings) {
    auto* repository = command.add_option("--repository", settings.repository,
                                          "A directory or s3://bucket/prefix; by default what node.toml says");
    for (auto const& [name, member] : repository_options())
        command.add_option(name, settings.*member, "As in the section [backup] of node.toml")->needs(repository);
    add_choice(command, "--s3-addressing", settings.s3_addressing, "How the bucket is named").needs(repository);
}

namespace {

// For a process that runs elsewhere.
void make_absolute(config::RepositorySettings& settings) {
    auto const absolute = [](std::string& path) {
        std::error_code error;
        if (!path.empty()) path = std::filesystem::absolute(path, error).string();
    };
    if (!archive::is_s3(settings.repository)) absolute(settings.repository);
    absolute(settings.s3_credentials_file);
    absolute(settings.s3_ca_file);
    absolute(settings.encryption_key_file);
}

}  // namespace

void add_source(CLI::App& command, Where& where) {
    add_repository(command, where.settings);
    command.add_option("--system", where.system, "System identifier of the database cluster, if there are several");
}

void add_where(CLI::App& command, Where& where) {
    add_source(command, where);
    command.add_option("--copy", where.copy, "Not the repository that node.toml names, but this copy of it")
        ->excludes(command.get_option("--repository"));
}

Answer<config::RepositorySettings> named_repository(config::Backup const& backup, std::string const& copy) {
    if (copy.empty()) return backup;
    auto const found = std::ranges::find(backup.copies, copy, &config::BackupCopy::name);
    if (found != backup.copies.end()) return *found;
    return stop(kUsage, Code::not_found, "node.toml names no copy " + copy, "its sections are [backup.copies.<name>]");
}

// As the user that the node runs as, so that nothing belongs to root.
Answer<Opened> open_repository(Commands const& commands, Where const& where) {
    auto settings = where.settings;
    std::string user = "postgres";
    if (settings.repository.empty()) {
        KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
        KEEL_TRY(settings, named_repository(config.backup, where.copy));
        user = config.user;
    }
    if (settings.repository.empty())
        return stop(kUsage, Code::invalid, "node.toml names no repository",
                    "set repository in its section [backup], on every data node, or give --repository");
    make_absolute(settings);
    KEEL_CHECK(agent::become_user(user));
    KEEL_TRY(auto repository, archive::Repository::open(settings));
    KEEL_TRY(auto const systems, repository.systems());
    auto const path = settings.repository;
    if (where.system.empty() && systems.size() > 1)
        return stop(kUsage, Code::invalid, fmt::format("{} has the backups of several database clusters", path),
                    fmt::format("name one with --system: {}", fmt::join(systems, ", ")));
    std::string const system = !where.system.empty() ? where.system : systems.empty() ? "" : systems[0];
    if (std::ranges::find(systems, system) == systems.end())
        return stop(kFailed, Code::not_found, fmt::format("{} has nothing of this database cluster", path),
                    "is the archiver of the primary at work? Its node's log says why not");
    return Opened{std::move(repository), settings, system};
}

archive::BackupProgress progress_bar(char const* doing) {
    auto const shown = std::make_shared<std::uint64_t>(0);
    return [shown, doing](std::uint64_t done, std::uint64_t total) {
        if (::isatty(STDERR_FILENO) == 0 || done - *shown < (8U << 20U)) return;
        *shown = done;
        fmt::print(stderr, "\r{}: {} of {} ", doing, cluster::bytes_text(done), cluster::bytes_text(total));
    };
}

std::string backup_line(archive::Backup const& one) {
    auto const built = one.chain.empty() ? "full" : "incremental, on " + one.chain.back();
    return fmt::format("{}  timeline {}  {} to {}  {}, stored {}  {}\n", one.label, one.timeline.value,
                       to_string(one.start), to_string(one.end), cluster::bytes_text(one.bytes),
                       cluster::bytes_text(one.stored_bytes), built);
}

Answer<archive::Backup> named_backup(Opened const& opened, std::string const& label) {
    KEEL_TRY(auto const all, opened.repository.backups(opened.system));
    auto const at = std::ranges::find(all, label, &archive::Backup::label);
    if (at == all.end())
        return stop(kUsage, Code::not_found, fmt::format("there is no backup {}", label), "pgkeel backup list");
    return *at;
}

std::shared_ptr<Work> add_work(CLI::App& command, cluster::JobKind kind) {
    auto const out = std::make_shared<Work>();
    out->kind = kind;
    out->begun_unix_ms = runtime::unix_ms_now();
    command.add_flag("--as-job", out->as_job)->group("");  // for the agent
    return out;
}

// An agent that is not there, or cannot write, makes nothing of what was done undone.
void tell_done(Commands const& commands, Work const& work, agent::JobOutcome const& outcome) {
    if (work.as_job) {
        fmt::print("{}\n", json::write(outcome));
        return;
    }
    auto const agent = Agent::find(commands.reach());
    auto const told = agent ? agent->post("/backup/done",
                                          web::BackupDone{work.kind, work.begun_unix_ms, outcome.text, outcome.figures})
                            : Answer<web::Done>(std::unexpected(agent.error()));
    if (!told) print_note("The cluster does not know of it: " + told.error().error.text);
}

namespace {

Done create(Commands const& commands, Work work, bool incremental) {
    if (incremental) work.kind = cluster::JobKind::incremental;
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    Where const where;
    if (config.backup.repository.empty()) {
        KEEL_TRY(auto const unused, open_repository(commands, where));  // says why not
    }
    KEEL_CHECK(agent::become_user(config.user));
    KEEL_TRY(auto const repository, archive::Repository::open(config.backup));
    auto const kind = incremental ? archive::BackupKind::incremental : archive::BackupKind::full;
    KEEL_TRY(auto const backup,
             archive::take_backup({agent::place_of(config, identity.node), identity.cluster_id, kind}, repository,
                                  progress_bar("backup")));
    fmt::print("{}", backup_line(backup));
    auto const seconds = static_cast<double>(backup.ended_unix_ms - backup.begun_unix_ms) / 1000;
    auto const text = fmt::format("{} backup {} in {:.1f} s: {}, stored {}", cluster::name_of(work.kind), backup.label,
                                  seconds, cluster::bytes_text(backup.bytes), cluster::bytes_text(backup.stored_bytes));
    tell_done(commands, work,
              {text,
               {{"seconds", seconds},
                {"bytes", static_cast<double>(backup.bytes)},
                {"stored_bytes", static_cast<double>(backup.stored_bytes)}}});
    return {};
}

Done list(Commands const& commands, Where const& where) {
    KEEL_TRY(auto const opened, open_repository(commands, where));
    KEEL_TRY(auto const all, opened.repository.backups(opened.system));
    auto const bytes = all.empty() ? std::uint64_t{16U << 20U} : all.back().segment_bytes;
    KEEL_TRY(auto const listing, opened.repository.list(opened.system, bytes));
    auto const lineage = listing.newest();
    auto const ranges = archive::ranges_of(listing.holdings(bytes, lineage), lineage);
    KEEL_TRY(auto const dumps, archive::dumps_of(opened.repository, opened.system));
    if (where.as_json) {
        boost::json::array wal;
        for (auto const& one : ranges) wal.push_back({{"from", to_string(one.from)}, {"to", to_string(one.to)}});
        boost::json::object const out{{"system_id", opened.system},
                                      {"timeline", lineage.timeline.value},
                                      {"wal", wal},
                                      {"backups", json::encode(all)},
                                      {"dumps", json::encode(dumps)}};
        fmt::print("{}\n", boost::json::serialize(out));
        return {};
    }
    for (auto const& one : all) {
        fmt::print("{}", backup_line(one));
        if (auto const missing = archive::missing_link(one, all); !missing.empty())
            fmt::print("    It cannot be restored: {}, which it is built on, is not there.\n", missing);
    }
    for (auto const& one : dumps) fmt::print("{}", dump_line(one));
    for (auto const& one : ranges)
        fmt::print("WAL without a hole: {} to {}, timeline {}\n", to_string(one.from), to_string(one.to),
                   lineage.timeline.value);
    if (ranges.size() > 1) fmt::print("There are holes: nothing can be restored across them.\n");
    return {};
}

}  // namespace

void add_backup(Commands& commands) {
    auto& backup = commands.add_bare("backup", "Base backups and the WAL archive");
    backup.require_subcommand(1);
    auto const where = std::make_shared<Where>();
    auto const label = std::make_shared<std::string>();
    auto& make = commands.add_local_below(backup, "create",
                                          "A backup of this node's server, full or incremental, or dumps of databases");
    auto const work = add_work(make, cluster::JobKind::full);
    auto const incremental = std::make_shared<bool>(false);
    auto* part = make.add_flag("--incremental", *incremental,
                               "Store only the blocks that the newest backup does not have, and build on it");
    auto const dumps = std::make_shared<DumpsWanted>();
    auto* logical =
        make.add_option("--logical", dumps->databases, "Not the server: a dump of this database, for pg_restore");
    auto* each = make.add_flag("--all-databases", dumps->any, "Not the server: a dump of every database");
    auto* named = make.add_option("--logical-list", dumps->list)->group("");  // for the agent
    for (auto* one : {logical, each, named}) one->excludes(part);
    commands.on(make, [work, incremental, dumps, logical, each, named, &commands] {
        bool const any = logical->count() + each->count() + named->count() > 0;
        return any ? create_dumps(commands, *work, *dumps) : create(commands, *work, *incremental);
    });
    auto& all = commands.add_local_below(backup, "list", "The backups, and what WAL there is");
    add_where(all, *where);
    all.add_flag("--json", where->as_json, "For programs");
    commands.on(all, [where, &commands] { return list(commands, *where); });
    auto& show = commands.add_local_below(backup, "show", "One backup, as JSON");
    add_where(show, *where);
    show.add_option("label", *label, "As list shows it")->required();
    commands.on(show, [where, label, &commands]() -> Done {
        KEEL_TRY(auto const opened, open_repository(commands, *where));
        KEEL_TRY(auto const one, named_backup(opened, *label));
        fmt::print("{}\n", json::write(one));
        return {};
    });
    add_backup_fetch(commands, backup);
    add_backup_copy(commands, backup);
    add_backup_run(commands, backup);
    add_backup_prove(commands, backup);
    add_backup_upkeep(commands, backup);
}

}  // namespace keel::cli
