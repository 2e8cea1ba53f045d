// `pgkeel backup prove`: restores the newest backup to a scratch directory, has a server replay WAL to the end of the
// archive, lets pg_amcheck look at it, and removes it again.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <thread>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "cli/backup_where.h"
#include "cli/choice.h"
#include "cli/client.h"
#include "cluster/status.h"
#include "postgres/job.h"
#include "postgres/process.h"
#include "postgres/setup.h"
#include "runtime/files.h"
#include "web/backups.h"

namespace keel::cli {

namespace {

namespace fs = std::filesystem;
using archive::LoneServer;
using postgres::Bound;

constexpr Duration kCheckMost = std::chrono::hours(24);
constexpr Duration kPatience = 30s;
constexpr Duration kTidiesWithin = 90s;

struct Prove {
    std::shared_ptr<Work> work;
    bool tidy = false, no_check = false;
};

// The scratch of this node: one at a time, and what one left whose process was killed goes first.
class Scratch {
  public:
    // `patience`: for one that was told to end, and tidies up.
    static Answer<Scratch> take(config::NodeConfig const& config, std::string const& binaries, Duration patience) {
        KEEL_TRY(auto lock, take_lock(config.directory + "/state/prove.lock", Bound(patience)));
        auto const place = config.backup.scratch.empty() ? config.directory + "/scratch" : config.backup.scratch;
        Scratch out(place + "/pgkeel-prove", binaries, std::move(lock));
        KEEL_CHECK(out.clear());
        return out;
    }
    Scratch(Scratch&&) noexcept = default;
    Scratch& operator=(Scratch&&) = delete;
    ~Scratch() {
        if (!path_.empty()) (void)clear();
    }
    std::string const& path() const { return path_; }
    Status make() const { return runtime::ensure_directory(path_, 0700); }

  private:
    Scratch(std::string path, std::string binaries, runtime::FileLock lock)
        : path_(std::move(path)), binaries_(std::move(binaries)), lock_(std::move(lock)) {}

    static Result<runtime::FileLock> take_lock(std::string const& path, Bound const& bound) {
        for (;;) {
            auto lock = runtime::FileLock::take(path);
            if (lock || lock.error().code != Code::conflict) return lock;
            if (!bound.pause(500ms))
                return fail(Code::conflict, "another restore test is at work on this node", "wait until it has ended");
        }
    }

    Status clear() const {
        auto const data = path_ + "/data";
        // By its file alone it may be a stranger's process by now, with the same number.
        if (postgres::find_postmaster(data))
            (void)postgres::run_job({{binaries_ + "/pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"}}, Bound(60s));
        std::error_code error;
        fs::remove_all(path_, error);
        if (error)
            return fail(Code::unavailable, path_ + " cannot be removed: " + error.message(), "remove it by hand");
        return {};
    }

    std::string path_, binaries_;
    runtime::FileLock lock_;
};

// Every table and index of every database, where the server has the extension for it.
Status check_tables(LoneServer const& server, std::string const& binaries, bool& checked, Bound const& bound) {
    KEEL_TRY(auto link, postgres::Connection::open(server.conninfo("postgres"), Bound(kPatience)));
    KEEL_TRY(auto const known,
             link.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'", Bound(kPatience)));
    auto const program = binaries + "/pg_amcheck";
    if (known == "0" || ::access(program.c_str(), X_OK) != 0) return {};
    auto const done = postgres::run_job({{program, "--all", "--install-missing", "--no-password",
                                          "--maintenance-db=" + postgres::to_string(server.conninfo("postgres"))}},
                                        bound);
    if (!done) return fail(Error(done.error()).in("the restored server's tables are not sound"));
    checked = true;
    return {};
}

agent::JobOutcome outcome_of(archive::Plan const& plan, archive::RestoreTook const& took, bool checked) {
    auto const files = to_seconds(took.files), replay = to_seconds(took.replay), check = to_seconds(took.look);
    auto text = fmt::format("restore test of {} up to {}: {:.1f} s for {}, {:.1f} s for the WAL", plan.backup.label,
                            target_text(plan), files, cluster::bytes_text(plan.backup.bytes), replay);
    agent::JobOutcome out{
        text,
        {{"restore_seconds", files}, {"replay_seconds", replay}, {"bytes", static_cast<double>(plan.backup.bytes)}}};
    if (!checked) return out;
    out.text += fmt::format("; pg_amcheck found nothing wrong in {:.1f} s", check);
    out.figures["check_seconds"] = check;
    return out;
}

Done prove(Commands const& commands, Prove const& asked) {
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    KEEL_CHECK(agent::become_user(config.user));
    auto const binaries = agent::place_of(config, identity.node).binaries;
    KEEL_TRY(auto const scratch, Scratch::take(config, binaries, asked.work->as_job ? kTidiesWithin : 0s));
    if (asked.tidy) return {};
    KEEL_TRY(auto const opened, open_own(commands, {}));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, {}));
    if (!asked.work->as_job) say_plan(plan);
    KEEL_CHECK(scratch.make());
    KEEL_CHECK(check_space(scratch.path(), plan,
                           "name a directory on another disk: scratch in the section [backup] of node.toml"));
    Interrupts const interrupts;
    bool checked = false;
    archive::RestoreTo to{scratch.path() + "/data", binaries, {}, true};
    if (!asked.no_check)
        to.look = [&](LoneServer const& server) {
            return check_tables(server, binaries, checked, interrupts.bound(kCheckMost));
        };
    auto const took = restore_files(opened, plan, std::move(to), interrupts);
    if (!took && interrupts.came())
        return stop(kFailed, Code::conflict, "interrupted: the scratch server is down and its directory is gone",
                    "run it again");
    KEEL_CHECK(took);
    auto const outcome = outcome_of(plan, *took, checked);
    if (!asked.work->as_job) fmt::print("proven    {}\n", outcome.text);
    tell_done(commands, *asked.work, outcome);
    return {};
}

}  // namespace

namespace {

// Until one that began after it was asked for has ended.
Done wait_for_job(Agent const& agent, cluster::JobKind kind, std::int64_t asked_unix_ms) {
    for (;;) {
        std::this_thread::sleep_for(500ms);
        auto const status = agent.status();
        if (!status || !status->backup) continue;  // a change of leader, a restart
        for (auto const& job : status->backup->jobs) {
            if (job.kind != cluster::name_of(kind)) continue;
            if (job.good && job.good->begun_unix_ms >= asked_unix_ms) {
                fmt::print("{}\n", job.good->text);
                return {};
            }
            if (job.bad && job.bad->begun_unix_ms >= asked_unix_ms)
                return stop(kFailed, Code::unavailable, job.bad->text, "it is tried again; pgkeel status shows it");
        }
    }
}

struct Run {
    cluster::JobKind kind = cluster::JobKind::full;
    bool no_wait = false;
};

Done run_now(Commands const& commands, Run const& asked) {
    KEEL_TRY(auto const agent, Agent::find(commands.reach()));
    KEEL_TRY(auto const answer, agent.post<web::BackupAsked>("/backup/run", web::BackupRun{asked.kind}));
    if (!asked.no_wait) return wait_for_job(agent, asked.kind, answer.unix_ms);
    fmt::print("Asked for; pgkeel status shows it.\n");
    return {};
}

}  // namespace

void add_backup_run(Commands& commands, CLI::App& backup) {
    auto const asked = std::make_shared<Run>();
    auto& command = commands.add_below(
        backup, "run", "What comes by schedule, now: by a standby where one is healthy, else by the leader");
    add_choice(command, "kind", asked->kind, "What is to run").required();
    command.add_flag("--no-wait", asked->no_wait, "Only ask for it");
    commands.on(command, [asked, &commands] { return run_now(commands, *asked); });
}

void add_backup_prove(Commands& commands, CLI::App& backup) {
    auto const asked = std::make_shared<Prove>();
    auto& command = commands.add_local_below(
        backup, "prove", "Restores the newest backup to a scratch directory of this node, and says how long it took");
    asked->work = add_work(command, cluster::JobKind::prove);
    command.add_flag("--no-check", asked->no_check, "Without pg_amcheck, which reads every table and index");
    command.add_flag("--tidy", asked->tidy)->group("");  // for the agent: only what was left there goes
    commands.on(command, [asked, &commands] { return prove(commands, *asked); });
}

}  // namespace keel::cli
