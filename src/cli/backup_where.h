// What the commands of `pgkeel backup` share: which repository they work on, and how they name a backup.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/backups.h"
#include "archive/logical.h"
#include "archive/restore.h"
#include "archive/retention.h"
#include "cli/commands.h"
#include "cli/interrupts.h"

namespace keel::cli {

// Where the repository is, and whose backups in it are meant.
struct Where {
    config::RepositorySettings settings;  // without a repository: what node.toml says
    std::string copy;                     // of the copies that it names, not the repository itself
    std::string system;                   // empty: the only one there
    bool as_json = false;
};

struct Opened {
    archive::Repository repository;
    config::RepositorySettings settings;
    std::string system;
};

// An option for each key of [backup], so that a repository can be reached from a machine without a node.
std::vector<std::pair<std::string, std::string config::RepositorySettings::*>> const& repository_options();
void add_repository(CLI::App& command, config::RepositorySettings& settings);
void add_where(CLI::App& command, Where& where);
// For a command that finds no node.toml: without --copy.
void add_source(CLI::App& command, Where& where);
// Of those in node.toml; empty: the first one.
Answer<config::RepositorySettings> named_repository(config::Backup const& backup, std::string const& copy);
Answer<Opened> open_repository(Commands const& commands, Where const& where);
Answer<archive::Backup> named_backup(Opened const& opened, std::string const& label);
// What removes something, keeps it from that, or speaks for the cluster, is for the cluster whose archive it is.
Answer<Opened> open_own(Commands const& commands, Where const& where);
std::string backup_line(archive::Backup const& one);
archive::BackupProgress progress_bar(char const* doing);

// restore.cc
std::string target_text(archive::Plan const& plan);
void say_plan(archive::Plan const& plan);
// For the files of the plan, its WAL, and a tenth more.
Done check_space(std::string const& directory, archive::Plan const& plan, std::string const& mend);
// The programs are of the version that the backup is of.
Done check_major(postgres::Place const& place, archive::Plan const& plan);
// Ended by Ctrl-C it leaves no server at work. Empty binaries: those of Debian; the fetch command is its own.
Answer<archive::RestoreTook> restore_files(Opened const& opened, archive::Plan const& plan, archive::RestoreTo to,
                                           Interrupts const& interrupts);
Answer<archive::RestoreTook> restore_standby_files(Opened const& opened, archive::Plan const& plan,
                                                   archive::RestoreTo to, Interrupts const& interrupts);

// Work that comes by schedule too: done by hand it is told to this node's agent, so that the cluster knows of it; as
// the agent's own child (--as-job) it tells the outcome as its last line.
struct Work {
    cluster::JobKind kind = cluster::JobKind::full;
    bool as_job = false;
    std::int64_t begun_unix_ms = 0;
};
std::shared_ptr<Work> add_work(CLI::App& command, cluster::JobKind kind);
void tell_done(Commands const& commands, Work const& work, agent::JobOutcome const& outcome);

// backup_dump.cc
struct DumpsWanted {
    std::vector<std::string> databases;
    std::string list;  // by commas, as the setting has it; both empty: all
    bool any = false;
};
std::string dump_line(archive::Dump const& one);
Done create_dumps(Commands const& commands, Work work, DumpsWanted const& wanted);
Done expire_dumps(Opened const& opened, std::uint32_t days, bool dry_run, std::size_t& removed);
void add_backup_fetch(Commands& commands, CLI::App& backup);

// backup_prove.cc
void add_backup_run(Commands& commands, CLI::App& backup);
void add_backup_prove(Commands& commands, CLI::App& backup);

// backup_copy.cc
void add_backup_copy(Commands& commands, CLI::App& backup);

// backup_upkeep.cc
void add_retention(CLI::App& command, archive::Retention& retention, std::uint32_t& dump_days);
void add_backup_upkeep(Commands& commands, CLI::App& backup);

}  // namespace keel::cli
