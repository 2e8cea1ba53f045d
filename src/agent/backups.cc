#include "agent/backups.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <deque>

#include "agent/desk.h"
#include "agent/start_up.h"
#include "base/json.h"
#include "base/utf8.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using cluster::JobKind;
using runtime::Task;

constexpr Duration kLookEvery = 1s;
constexpr Duration kReadEvery = 5s;
constexpr Duration kSilentMost = 60s;  // its work is given to another then
constexpr Duration kHoleLasts = 20s;   // one that is seen for a moment is none: a change of timelines
constexpr Duration kEndsWithin = 90s;  // once it is told to end
constexpr Duration kReportAgain = 5s;
constexpr std::size_t kFileMost = 1U << 20U;
constexpr std::size_t kErrorLines = 4;
constexpr std::size_t kTextMost = 600;
constexpr char const* kArchiveSlot = "keel_archive";

Result<Zone> read_zone(std::string const& name) {
    if (name == "UTC") return Zone();
    auto const path = "/usr/share/zoneinfo/" + name;
    auto const bytes = runtime::read_file(path, kFileMost);
    if (!bytes)
        return fail(Code::not_found, fmt::format("backup_time_zone {} is not known on this node", name),
                    "pgkeel config set backup_time_zone UTC, or install tzdata");
    return Zone::parse(*bytes, runtime::unix_ms_now() / 1000);
}

void add_retention(std::vector<std::string>& words, cluster::Settings const& settings) {
    words.insert(words.end(), {"--keep-full", std::to_string(settings.backup_keep_full)});
    if (settings.backup_keep_days > 0)
        words.insert(words.end(), {"--keep-days", std::to_string(settings.backup_keep_days)});
    words.insert(words.end(), {"--keep-dump-days", std::to_string(settings.backup_keep_dump_days)});
}

}  // namespace

struct Backups::Own {
    JobKind kind = JobKind::full;
    cluster::JobRun run;
    std::optional<runtime::Child> child;
    bool told_to_end = false;
    bool ended = false;
    ~Own() { end(); }
    void end() {
        if (child && !std::exchange(told_to_end, true)) (void)child->signal(SIGTERM);
    }
};

Backups::Backups(Parts parts)
    : parts_(parts), begun_(runtime::boot_now()), caught_up_(begun_), hole_since_(begun_), disk_("backups") {
    parts_.desk->offer(*this);
}

Backups::~Backups() = default;

std::optional<cluster::BackupStatus> Backups::status() const {
    auto const& repository = parts_.desk->config().backup.repository;
    if (repository.empty()) return std::nullopt;
    cluster::BackupStatus out;
    out.repository = repository;
    out.archive = archive_;
    out.lag_bytes = lag_bytes_;
    if (primary_) out.standing_seconds = to_seconds(runtime::boot_now() - caught_up_);
    out.trouble = trouble_;
    if (auto const& record = parts_.driver->node().record())
        out.jobs = cluster::job_statuses(*record, view_of(*record));
    // The archiver looks now and then only.
    for (auto const& job : out.jobs)
        if ((job.kind == cluster::name_of(JobKind::full) || job.kind == cluster::name_of(JobKind::incremental)) &&
            job.good)
            out.archive.newest_unix_ms = std::max(out.archive.newest_unix_ms, job.good->begun_unix_ms);
    return out;
}

Task<void> Backups::run() {
    auto const& config = parts_.desk->config();
    // What a restore test left whose process was killed.
    if (!config.backup.repository.empty()) {
        runtime::ChildSpec tidy;
        tidy.argv = {own_program(), "backup", "prove", "--tidy", "--dir", config.directory};
        (void)co_await runtime::run_child(*parts_.io, std::move(tidy), kEndsWithin);
    }
    for (;;) {
        co_await runtime::sleep_for(kLookEvery);
        if (config.backup.repository.empty()) continue;
        co_await read_files();
        watch_archive();
        co_await lead();
        work();
    }
}

// ---- looking ----

Task<void> Backups::read_files() {
    auto const& record = parts_.driver->node().record();
    auto const now = runtime::boot_now();
    auto const name = record ? record->settings.backup_time_zone : zone_name_;
    if (now < read_due_ && name == zone_name_) co_return;
    read_due_ = now + kReadEvery;
    auto const path = parts_.desk->config().directory + kArchiveReport;
    auto [zone, text] = co_await runtime::run_blocking(
        disk_, [&] { return std::pair(read_zone(name), runtime::read_file(path, kFileMost)); });
    zone_name_ = name;
    trouble_ = zone ? std::string() : to_string(zone.error());
    zone_ = zone ? *std::move(zone) : Zone();
    auto seen = text ? json::read<cluster::ArchiveSight>(*text) : Result<cluster::ArchiveSight>(fail(text.error()));
    if (!seen) co_return;
    archive_ = std::move(seen->report);
    kept_ = std::move(seen->kept);
}

// On the primary, by the slot that the archiver confirms WAL with.
void Backups::watch_archive() {
    auto const& seen = parts_.driver->node().observation();
    auto const now = runtime::boot_now();
    primary_ = seen.server == cluster::Server::primary;
    if (!primary_) {
        lag_bytes_.reset();
        caught_up_ = now;
        caught_up_to_ = {};
        return;
    }
    auto const& vitals = parts_.supervisor->vitals();
    if (!vitals || vitals->unix_ms == vitals_ms_) return;
    vitals_ms_ = vitals->unix_ms;
    auto const slot = std::ranges::find(vitals->slots, kArchiveSlot, &cluster::SlotVitals::name);
    lag_bytes_.reset();
    if (slot == vitals->slots.end()) return;  // the archiver has not begun
    lag_bytes_ = slot->retained_bytes;
    Lsn const archived{seen.flush.value - std::min(seen.flush.value, *lag_bytes_)};
    if (archived < caught_up_to_) return;
    caught_up_to_ = seen.flush;
    caught_up_ = now;
}

// ---- as the leader ----

cluster::JobView Backups::view_of(cluster::Record const& record) const {
    auto const& node = parts_.driver->node();
    auto const now = runtime::boot_now();
    cluster::JobView out{runtime::unix_ms_now(), zone_, {}, {}, !parts_.desk->config().backup.copies.empty()};
    auto const alive = 4 * cluster::timing(record.settings.profile).heartbeat;
    for (auto const& [id, member] : record.members) {
        if (id == parts_.desk->self() || member.kind != cluster::Kind::data) continue;
        auto const peer = node.peers().find(id);
        auto const silent = now - (peer == node.peers().end() ? begun_ : peer->second.heard);
        if (silent > kSilentMost) out.silent.insert(id);
        if (peer == node.peers().end() || silent > alive || member.leaving || member.tags.delayed_s > 0) continue;
        auto const& last = peer->second.last;
        if (last.state == cluster::State::standby && last.streaming && last.problem.empty()) out.standbys.push_back(id);
    }
    // A standby's backup begins at its last restartpoint, which may lie before the hole.
    if (!archive_.hole.empty()) out.standbys.clear();
    return out;
}

// Nothing behind a hole can be restored until there is a newer backup.
Task<void> Backups::mend_hole(cluster::Record const& record) {
    auto const now = runtime::boot_now();
    auto const found = record.jobs.find(cluster::name_of(JobKind::full));
    bool const under_way = found != record.jobs.end() && (found->second.run || found->second.asked_unix_ms != 0);
    bool const since =
        found != record.jobs.end() && found->second.good && found->second.good->ended_unix_ms >= archive_.unix_ms;
    if (archive_.hole.empty() || under_way || since || record.settings.backup_full == cluster::kNoSchedule) {
        hole_since_ = now;
        co_return;
    }
    if (now - hole_since_ < kHoleLasts) co_return;
    hole_since_ = now;
    log::warning("backup", "a full backup is asked for: {}", archive_.hole);
    auto const caller = parts_.desk->caller("the leader, because the archive has a hole");
    (void)co_await parts_.desk->change(
        [&](cluster::Record& next) { return cluster::ask_job(next, JobKind::full, caller); });
}

Task<void> Backups::lead() {
    auto const& node = parts_.driver->node();
    auto const& record = node.record();
    auto const leads = [this, &node](cluster::Record const& seen) {
        return seen.phase == cluster::Phase::stable && seen.leader == parts_.desk->self() &&
               node.opinion().lease_deadline > runtime::boot_now();
    };
    // A zone that is not known makes every time a wrong one.
    if (!record || !leads(*record) || !trouble_.empty()) co_return;
    co_await mend_hole(*record);
    auto const view = view_of(*record);
    auto const step = cluster::next_job_step(*record, view);
    if (!step) co_return;
    auto const written = co_await parts_.desk->change([&](cluster::Record& now) -> Status {
        if (!leads(now)) return fail(Code::conflict, "leads no more");
        return cluster::take_job_step(now, *step, view);
    });
    auto const* job = cluster::name_of(step->job);
    if (!written)
        log::info("backup", "{}: not yet: {}", job, to_string(written.error()));
    else if (step->kind == cluster::JobStep::Kind::give)
        log::info("backup", "{}: the work of {}", job, step->node.value);
    else if (step->kind == cluster::JobStep::Kind::lose)
        log::warning("backup", "{}: {}", job, step->why);
}

// ---- as the one whose work it is ----

void Backups::work() {
    auto const& record = parts_.driver->node().record();
    if (!record) return;
    if (own_ && own_->ended) own_.reset();
    auto const mine = [this](auto const& one) { return one.second.run && one.second.run->node == parts_.desk->self(); };
    if (own_) {
        auto const found = record->jobs.find(cluster::name_of(own_->kind));
        bool const still =
            found != record->jobs.end() && mine(*found) && found->second.run->begun_unix_ms == own_->run.begun_unix_ms;
        if (!still) own_->end();
        return;
    }
    auto const found = std::ranges::find_if(record->jobs, mine);
    if (found == record->jobs.end()) return;
    auto own = std::make_shared<Own>();
    if (!boost::describe::enum_from_string(found->first.c_str(), own->kind)) return;  // of a newer version
    own->run = *found->second.run;
    own_ = own;
    parts_.scope->spawn("backup job", [this, own] { return do_work(own); });
}

std::vector<std::string> Backups::words_of(JobKind kind) const {
    // Behind whatever else the machine does.
    std::vector<std::string> out = {"nice", "-n", "10", own_program(), "backup"};
    auto const& settings = parts_.driver->node().record()->settings;
    switch (kind) {
        case JobKind::full:
            out.emplace_back("create");
            break;
        case JobKind::incremental:
            out.insert(out.end(), {"create", "--incremental"});
            break;
        case JobKind::expire:
            out.emplace_back("expire");
            add_retention(out, settings);
            break;
        case JobKind::copy:
            out.emplace_back("copy");
            // Who wants nothing to go from the first wants nothing to go from the others.
            if (settings.backup_expire != cluster::kNoSchedule) add_retention(out, settings);
            break;
        case JobKind::dump:
            out.insert(out.end(), {"create", "--logical-list", settings.backup_dump_databases});
            break;
        case JobKind::prove:
            out.emplace_back("prove");
            break;
    }
    out.insert(out.end(), {"--as-job", "--dir", parts_.desk->config().directory});
    return out;
}

// A child that is told to end tidies up; it is told so as well when this agent dies. What it was to do is done anew by
// the next agent of this node, as long as the record says that it is its work.
Task<void> Backups::do_work(std::shared_ptr<Own> own) {
    auto const* name = cluster::name_of(own->kind);
    // Of the child; its last lines may come when nobody waits for them any more.
    struct Said {
        std::string last;
        std::deque<std::string> errors;
    };
    auto const said = std::make_shared<Said>();
    runtime::ChildSpec spec;
    spec.argv = words_of(own->kind);
    spec.signal_at_parent_death = SIGTERM;
    spec.out = runtime::Stream::lines([said](std::string_view line) { said->last = line; });
    spec.err = runtime::Stream::lines([said](std::string_view line) {
        said->errors.emplace_back(line);
        if (said->errors.size() > kErrorLines) said->errors.pop_front();
    });
    // Also when this coroutine is cancelled.
    struct Ends {
        Own& own;
        ~Ends() {
            own.end();
            own.child.reset();
            own.ended = true;
        }
    } const ends{*own};
    log::info("backup", "{}: begins", name);
    auto started = runtime::Child::spawn(*parts_.io, std::move(spec));
    if (!started) {
        co_await report(*own, false, to_string(started.error()), {});
        co_return;
    }
    own->child.emplace(*std::move(started));
    auto const exit = co_await own->child->wait();
    auto const outcome = json::read<JobOutcome>(said->last);
    std::string text = exit.ok() && outcome ? outcome->text : fmt::format("{}", fmt::join(said->errors, " "));
    if (text.empty()) text = runtime::to_string(exit);
    text.resize(cut_between_characters(text, std::min(text.size(), kTextMost)));
    bool const good = exit.ok() && outcome.has_value();
    log::write(good ? log::Level::info : log::Level::warning, "backup", fmt::format("{}: {}", name, text));
    co_await report(*own, good, text, good ? outcome->figures : std::map<std::string, double>());
}

Task<void> Backups::report(Own const& own, bool good, std::string text, std::map<std::string, double> figures) {
    cluster::JobEnd const end{own.run.begun_unix_ms, runtime::unix_ms_now(), own.run.node, std::move(text),
                              std::move(figures)};
    for (;;) {
        auto const written = co_await parts_.desk->change([&](cluster::Record& record) -> Status {
            auto const& job = record.jobs[cluster::name_of(own.kind)];
            // Written by an attempt of which nothing was heard.
            if (job.good && job.good->node == end.node && job.good->ended_unix_ms == end.ended_unix_ms)
                return fail(Code::conflict, "told already");
            cluster::end_job(record, own.kind, end, good);
            return {};
        });
        if (written || written.error().code == Code::conflict) co_return;
        log::warning("backup", "how it ended is not on record yet: {}", to_string(written.error()));
        co_await runtime::sleep_for(kReportAgain);
    }
}

}  // namespace keel::agent
