// `pgkeel backup copy`: what the repository has, into the others that node.toml names.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "archive/copies.h"
#include "cli/backup_where.h"

namespace keel::cli {

namespace {

struct Copy {
    std::shared_ptr<Work> work;
    std::string only;  // name of a copy; empty: all
    archive::Retention retention;
    std::uint32_t dump_days = 0;
};

Answer<std::vector<config::BackupCopy>> chosen(config::Backup const& backup, std::string const& only) {
    auto out = backup.copies;
    if (out.empty())
        return stop(kUsage, Code::invalid, "node.toml names no copy of the repository",
                    "add a section [backup.copies.<name>] with a repository, on every data node");
    KEEL_TRY(auto const unused, named_repository(backup, only));
    std::erase_if(out, [&](config::BackupCopy const& one) { return !only.empty() && one.name != only; });
    return out;
}

// One copy; its line for people.
Result<std::string> copy_one(Opened const& first, config::BackupCopy const& copy, archive::CopyAsked const& how,
                             Copy const& asked, std::map<std::string, double>& figures) {
    KEEL_TRY(auto const repository, archive::Repository::open(copy));
    KEEL_TRY(auto const done, archive::copy_archive(first.repository, repository, how));
    auto text = fmt::format("{}: {} backups, {} dumps, {} files of WAL, which reaches to {}", copy.name, done.backups,
                            done.dumps, done.segments, to_string(done.wal_to));
    figures["bytes"] += static_cast<double>(done.bytes);
    figures["wal_files"] += static_cast<double>(done.segments);
    // What nothing has come to needs no room.
    bool const thins = asked.retention.fulls > 0 || asked.retention.days > 0;
    if (!thins || done.backups == 0) return text;
    KEEL_TRY(auto const gone,
             archive::thin_copy(first.repository, repository, first.system, asked.retention, asked.dump_days));
    return text +
           fmt::format("; removed: {} backups, {} dumps, {} files of WAL", gone.backups, gone.dumps, gone.segments);
}

// One that fails holds up no other.
Done copy(Commands const& commands, Copy const& asked) {
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    KEEL_TRY(auto const copies, chosen(config.backup, asked.only));
    KEEL_TRY(auto const first, open_own(commands, {}));
    archive::CopyAsked const how{first.system, identity.cluster_id, config.directory + archive::kSeenRepositories};
    agent::JobOutcome outcome{"copied to ", {}};
    std::string failed;
    Code code = Code::unavailable;
    for (auto const& one : copies) {
        auto const done = copy_one(first, one, how, asked, outcome.figures);
        if (done) {
            fmt::print("{}\n", *done);
            outcome.text += (&one == &copies.front() ? "" : "; ") + *done;
            continue;
        }
        code = done.error().code;
        failed += fmt::format("{}{}: {}", failed.empty() ? "" : "; ", one.name, to_string(done.error()));
    }
    if (!failed.empty())
        return stop(kFailed, code, failed, "what is copied already stays, and the next copy goes on from there");
    tell_done(commands, *asked.work, outcome);
    return {};
}

}  // namespace

void add_backup_copy(Commands& commands, CLI::App& backup) {
    auto const asked = std::make_shared<Copy>();
    auto& command = commands.add_local_below(
        backup, "copy", "What the repository has, into the others that node.toml names ([backup.copies.<name>])");
    asked->work = add_work(command, cluster::JobKind::copy);
    command.add_option("--to", asked->only, "Only into this one");
    add_retention(command, asked->retention, asked->dump_days);
    commands.on(command, [asked, &commands] { return copy(commands, *asked); });
}

}  // namespace keel::cli
