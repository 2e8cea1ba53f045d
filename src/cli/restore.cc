// `pgkeel restore`; `pgkeel wal fetch` for PostgreSQL itself.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "archive/standby.h"
#include "cli/backup_where.h"
#include "cli/interrupts.h"
#include "cluster/status.h"
#include "postgres/setup.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

constexpr Duration kRestoreMost = std::chrono::hours(24);
// Which exit code ends a recovery loudly: PostgreSQL takes 1 to 125 for "there is no such file".
constexpr int kFetchFailed = 200;

// For a shell, and then for restore_command, where % is special.
Result<std::string> word(std::string const& text) {
    if (text.find_first_of("'%\n") != std::string::npos)
        return fail(Code::invalid, "the path " + text + " has a quote or a percent sign in it", "use another path");
    return "'" + text + "'";
}

// restore_command, as one line.
Result<std::string> fetch_command(Opened const& opened) {
    std::error_code error;
    KEEL_TRY(auto const program, word(std::filesystem::read_symlink("/proc/self/exe", error).string()));
    KEEL_TRY(auto const repository, word(opened.settings.repository));
    auto out = fmt::format("{} wal fetch --repository {}", program, repository);
    for (auto const& [name, member] : repository_options()) {
        if ((opened.settings.*member).empty()) continue;
        KEEL_TRY(auto const value, word(opened.settings.*member));
        out += fmt::format(" {} {}", name, value);
    }
    if (opened.settings.s3_addressing == config::S3Addressing::host) out += " --s3-addressing host";
    return out + fmt::format(" --system {} %f %p", opened.system);
}

}  // namespace

std::string target_text(archive::Plan const& plan) {
    return plan.target.lsn ? to_string(*plan.target.lsn) : archive::time_text(*plan.target.time_us);
}

void say_plan(archive::Plan const& plan) {
    auto const target = target_text(plan);
    fmt::print("backup    {}", backup_line(plan.backup));
    fmt::print("WAL       from {} to {}, {}\n", to_string(plan.wal.from), to_string(plan.wal.to),
               cluster::bytes_text(plan.wal.to.value - plan.wal.from.value));
    fmt::print("target    {} on timeline {}\n", target, plan.lineage.timeline.value);
    fmt::print("space     {}\n", cluster::bytes_text(plan.backup.bytes));
}

Done check_space(std::string const& directory, archive::Plan const& plan, std::string const& mend) {
    KEEL_TRY(auto const free, runtime::free_bytes(directory));
    auto const whole = plan.backup.bytes + (plan.wal.to.value - plan.wal.from.value);
    auto const needed = whole + whole / 10;
    if (free >= needed) return {};
    return stop(kFailed, Code::exhausted,
                fmt::format("{} has {} free, and a restore may need {}", directory, cluster::bytes_text(free),
                            cluster::bytes_text(needed)),
                mend);
}

Done check_major(postgres::Place const& place, archive::Plan const& plan) {
    KEEL_TRY(int const major, postgres::binaries_major(place));
    auto const wanted = plan.backup.server_version / 10000;
    if (major == wanted) return {};
    return stop(
        kUsage, Code::invalid,
        fmt::format("the backup is of PostgreSQL {}, and the programs in {} are {}", wanted, place.binaries, major),
        "name the directory of that version's with --postgres-bin");
}

namespace {

Done complete(archive::RestoreTo& to, Opened const& opened, archive::Plan const& plan) {
    auto& binaries = to.binaries;
    auto const major = plan.backup.server_version / 10000;
    if (binaries.empty()) binaries = fmt::format("/usr/lib/postgresql/{}/bin", major);
    if (::access((binaries + "/pg_verifybackup").c_str(), X_OK) != 0)
        return stop(kUsage, Code::not_found, fmt::format("PostgreSQL {} is not in {}", major, binaries),
                    "install it, or name its directory with --postgres-bin");
    KEEL_TRY(to.fetch_command, fetch_command(opened));
    return {};
}

}  // namespace

Answer<archive::RestoreTook> restore_files(Opened const& opened, archive::Plan const& plan, archive::RestoreTo to,
                                           Interrupts const& interrupts) {
    KEEL_CHECK(complete(to, opened, plan));
    KEEL_TRY(auto const took,
             archive::restore(opened.repository, plan, to, progress_bar("restore"), interrupts.bound(kRestoreMost)));
    return took;
}

Answer<archive::RestoreTook> restore_standby_files(Opened const& opened, archive::Plan const& plan,
                                                   archive::RestoreTo to, Interrupts const& interrupts) {
    KEEL_CHECK(complete(to, opened, plan));
    KEEL_TRY(auto const took, archive::restore_standby(opened.repository, plan, to, progress_bar("restore"),
                                                       interrupts.bound(kRestoreMost)));
    return took;
}

namespace {

struct Restore {
    Where where;
    std::string to, target = "latest", binaries;
    bool dry_run = false;
};

Done restore(Commands const& commands, Restore const& asked) {
    KEEL_TRY(auto const target, archive::parse_target(asked.target));
    KEEL_TRY(auto const opened, open_repository(commands, asked.where));
    if (!asked.to.starts_with('/'))
        return stop(kUsage, Code::invalid, "--to needs an absolute path", "--to /var/lib/postgresql/restored");
    KEEL_CHECK(archive::check_empty(asked.to));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, target));
    say_plan(plan);
    if (asked.dry_run) return {};
    Interrupts const interrupts;
    auto const done = restore_files(opened, plan, {asked.to, asked.binaries, {}}, interrupts);
    if (!done && interrupts.came())
        return stop(kFailed, Code::conflict, "interrupted: " + asked.to + " is half restored, and no server runs there",
                    "remove it, then begin anew");
    KEEL_CHECK(done);
    fmt::print("restored  {}: the server started, replayed to the target, and was stopped\n", asked.to);
    return {};
}

void add_restore_command(Commands& commands) {
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
    add_repository(fetch, where->settings);
    fetch.get_option("--repository")->required();
    fetch.add_option("--system", where->system, "System identifier")->required();
    fetch.add_option("name", names->first, "%f")->required();
    fetch.add_option("path", names->second, "%p")->required();
    commands.on(fetch, [where, names]() -> Done {
        auto const repository = archive::Repository::open(where->settings);
        if (!repository) return std::unexpected(Failure(kFetchFailed, repository.error()));
        auto const done = archive::fetch_wal(*repository, where->system, names->first, names->second);
        if (done) return {};
        // Absent is an answer only of a repository that is there.
        bool const absent = done.error().code == Code::not_found;
        return std::unexpected(Failure(absent ? kFailed : kFetchFailed, done.error()));
    });
}

}  // namespace

void add_restore(Commands& commands) {
    add_restore_command(commands);
    add_wal(commands);
}

}  // namespace keel::cli
