// `pgkeel backup verify | expire | pin | unpin`: what keeps a repository sound, and within bounds.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "archive/expire.h"
#include "archive/hold.h"
#include "archive/report.h"
#include "archive/verify.h"
#include "cli/backup_where.h"

namespace keel::cli {

namespace {

// In a repository that several clusters share, this node's own archive.
Where own_where(Commands const& commands, Where where, std::string const& cluster_id) {
    auto const config = agent::load_config(commands.reach().directory);
    if (!where.system.empty() || !config || config->backup.repository.empty()) return where;
    auto const settings = named_repository(config->backup, where.copy);
    if (!settings || !agent::become_user(config->user)) return where;
    auto const repository = archive::Repository::open(*settings);
    auto const system = repository ? archive::own_system(*repository, cluster_id)
                                   : Result<std::string>(std::unexpected(repository.error()));
    if (system) where.system = *system;
    return where;  // what is wrong is said by who opens it next
}

}  // namespace

Answer<Opened> open_own(Commands const& commands, Where const& where) {
    if (!where.settings.repository.empty()) {
        if (where.system.empty())
            return stop(kUsage, Code::invalid, "--repository alone does not say whose backups are meant",
                        "name the database cluster as well: --system, as the repository's folder is called");
        return open_repository(commands, where);
    }
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    KEEL_TRY(auto opened, open_repository(commands, own_where(commands, where, identity.cluster_id)));
    KEEL_CHECK(opened.repository.check_owner(opened.system, identity.cluster_id));
    return opened;
}

void add_retention(CLI::App& command, archive::Retention& retention, std::uint32_t& dump_days) {
    auto const range = CLI::Range(1U, 100000U);
    command
        .add_option("--keep-full", retention.fulls,
                    "So many of the newest full ones stay, and the incrementals after them")
        ->check(range);
    command.add_option("--keep-days", retention.days, "Every moment of so many days can be restored")->check(range);
    command.add_option("--keep-dump-days", dump_days, "Older dumps go, but never the newest of a database")
        ->check(range);
}

namespace {

Done verify_one(Opened const& opened, std::string const& label) {
    KEEL_TRY(auto const one, named_backup(opened, label));
    for (auto const& link : one.chain) {
        KEEL_TRY(auto const other, named_backup(opened, link));
        KEEL_CHECK(archive::verify_backup(opened.repository, other, progress_bar("verify")));
    }
    KEEL_CHECK(archive::verify_backup(opened.repository, one, progress_bar("verify")));
    fmt::print("{}: every file and the WAL it needs are as they were stored\n", one.label);
    if (!one.chain.empty()) fmt::print("So are the {} backups that it is built on\n", one.chain.size());
    return {};
}

Done verify_everything(Opened const& opened) {
    auto const each = [](std::string const& what) {
        if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\rverify: {} ", what);
    };
    KEEL_TRY(auto const found, archive::verify_all(opened.repository, opened.system, each));
    for (auto const& one : found.wrong) fmt::print("wrong: {}\n", one);
    fmt::print("{} backups and {} WAL segments read, {} problems\n", found.backups, found.segments, found.wrong.size());
    if (found.wrong.empty()) return {};
    return stop(kFailed, Code::corrupt, "the repository is not as it should be",
                "bring altered objects back from a copy of the repository; for a gap, take a new backup: pgkeel backup "
                "create");
}

struct Expire {
    Where where;
    archive::Retention retention;
    std::uint32_t dump_days = 0;
    bool dry_run = false;
    std::shared_ptr<Work> work;
};

Done expire(Commands const& commands, Expire const& asked) {
    KEEL_TRY(auto const opened, open_own(commands, asked.where));
    std::size_t dumps = 0;
    bool const backups = asked.retention.fulls > 0 || asked.retention.days > 0;
    if (asked.dump_days > 0 && !backups) {
        KEEL_CHECK(expire_dumps(opened, asked.dump_days, asked.dry_run, dumps));
        if (!asked.dry_run) fmt::print("removed: {} dumps\n", dumps);
        return {};
    }
    if (!asked.dry_run) KEEL_CHECK(archive::mend_expiry(opened.repository, opened.system));
    // Nothing goes before all of it may.
    KEEL_TRY(auto const plan, archive::find_expiry(opened.repository, opened.system, asked.retention));
    if (asked.dump_days > 0) KEEL_CHECK(expire_dumps(opened, asked.dump_days, asked.dry_run, dumps));
    for (auto const& one : plan.kept) fmt::print("stays  {}  {}\n", one.backup.label, one.why);
    for (auto const& one : plan.backups) fmt::print("goes   {}", backup_line(one));
    fmt::print("goes   WAL before {}: {} segments\n", to_string(plan.wal_from), plan.segments.size());
    if (asked.dry_run) return {};
    KEEL_TRY(auto const done, archive::expire(opened.repository, opened.system, plan));
    for (auto const& label : done.kept) fmt::print("stays  {}  held since the plan was made\n", label);
    auto text = fmt::format("removed: {} backups, {} files of WAL", done.backups, done.segments);
    if (asked.dump_days > 0) text += fmt::format(", {} dumps", dumps);
    fmt::print("{}\n", text);
    // Of another cluster's repository, this one has nothing to know.
    if (asked.where.settings.repository.empty() && asked.where.copy.empty())
        tell_done(
            commands, *asked.work,
            {"expiry " + text,
             {{"backups", static_cast<double>(done.backups)}, {"wal_files", static_cast<double>(done.segments)}}});
    return {};
}

void add_expire(Commands& commands, CLI::App& backup) {
    auto const asked = std::make_shared<Expire>();
    auto& command = commands.add_local_below(backup, "expire", "Removes old backups, and the WAL that no other needs");
    add_where(command, asked->where);
    asked->work = add_work(command, cluster::JobKind::expire);
    add_retention(command, asked->retention, asked->dump_days);
    command.add_flag("--dry-run", asked->dry_run, "Only say what would go, and why the others stay");
    commands.on(command, [asked, &commands] { return expire(commands, *asked); });
}

void add_pins(Commands& commands, CLI::App& backup) {
    auto const where = std::make_shared<Where>();
    auto const label = std::make_shared<std::string>();
    auto const why = std::make_shared<std::string>();
    auto& pin = commands.add_local_below(backup, "pin", "Keeps a backup, and all WAL after it, from expiry");
    add_where(pin, *where);
    pin.add_option("label", *label, "As list shows it")->required();
    pin.add_option("--why", *why, "Shown by expire");
    commands.on(pin, [where, label, why, &commands]() -> Done {
        KEEL_TRY(auto const opened, open_own(commands, *where));
        KEEL_TRY(auto const one, named_backup(opened, *label));
        KEEL_CHECK(archive::pin(opened.repository, one, *why));
        fmt::print("{} is pinned: it and all WAL from {} on stay\n", one.label, to_string(one.start));
        return {};
    });
    auto& unpin = commands.add_local_below(backup, "unpin", "Lets a backup expire again");
    add_where(unpin, *where);
    unpin.add_option("label", *label, "As list shows it")->required();
    commands.on(unpin, [where, label, &commands]() -> Done {
        KEEL_TRY(auto const opened, open_own(commands, *where));
        auto const status = archive::unpin(opened.repository, opened.system, *label);
        if (!status && status.error().code == Code::not_found)
            return stop(kUsage, Code::not_found, *label + " is not pinned",
                        "pgkeel backup expire --dry-run says what is");
        KEEL_CHECK(status);
        fmt::print("{} is no longer pinned\n", *label);
        return {};
    });
}

}  // namespace

void add_backup_upkeep(Commands& commands, CLI::App& backup) {
    auto const where = std::make_shared<Where>();
    auto const label = std::make_shared<std::string>();
    auto& verify = commands.add_local_below(backup, "verify", "Reads everything, or one backup, and checks every byte");
    add_where(verify, *where);
    verify.add_option("label", *label, "One backup and the WAL that it needs; without it, all that there is");
    commands.on(verify, [where, label, &commands]() -> Done {
        KEEL_TRY(auto const opened, open_repository(commands, *where));
        return label->empty() ? verify_everything(opened) : verify_one(opened, *label);
    });
    add_expire(commands, backup);
    add_pins(commands, backup);
}

}  // namespace keel::cli
