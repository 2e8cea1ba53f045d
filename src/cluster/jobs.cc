#include "cluster/jobs.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/cron.h"

namespace keel::cluster {

namespace {

constexpr std::int64_t kFirstPauseMs = 600'000;
constexpr std::int64_t kPauseMostMs = 4 * 3'600'000;
constexpr std::int64_t kRunMostMs = std::int64_t{24} * 3'600'000;

// Without another repository there is nothing to copy into.
std::vector<JobKind> kinds_of(JobView const& view) {
    std::vector<JobKind> out = {JobKind::full, JobKind::incremental, JobKind::expire, JobKind::dump, JobKind::prove};
    if (view.copies) out.push_back(JobKind::copy);
    return out;
}

// One at a time, but for a copy: neither does it wait for a backup of hours, nor the other way round.
bool goes_beside(JobKind one, JobKind other) { return (one == JobKind::copy) != (other == JobKind::copy); }

Job const& job_of(Record const& record, JobKind kind) {
    static Job const none;
    auto const found = record.jobs.find(name_of(kind));
    return found == record.jobs.end() ? none : found->second;
}

// Clocks of two nodes differ. What lies further ahead was written by a clock that was wrong, and counts as not there:
// else nothing would run until it is reached, and nothing would say so.
constexpr std::int64_t kAheadMostMs = 300'000;
std::int64_t unless_ahead(std::int64_t time_ms, std::int64_t now_ms) {
    return time_ms > now_ms + kAheadMostMs ? 0 : time_ms;
}

std::int64_t good_ms(Job const& job, std::int64_t now_ms) {
    return job.good ? unless_ahead(job.good->begun_unix_ms, now_ms) : 0;
}

// A full backup is more than an incremental one.
std::int64_t satisfied_ms(Record const& record, JobKind kind, std::int64_t now_ms) {
    auto const& job = job_of(record, kind);
    auto const own = std::max(unless_ahead(job.since_unix_ms, now_ms), good_ms(job, now_ms));
    return kind == JobKind::incremental ? std::max(own, good_ms(job_of(record, JobKind::full), now_ms)) : own;
}

// By the schedule: the first time after what is satisfied; nothing when there is none.
std::optional<std::int64_t> planned_ms(Record const& record, JobKind kind, Zone const& zone, std::int64_t now_ms) {
    auto const& text = schedule_of(record.settings, kind);
    auto const& job = job_of(record, kind);
    if (text == kNoSchedule || job.schedule != text) return std::nullopt;
    auto const& full = job_of(record, JobKind::full).good;
    if (kind == JobKind::incremental && !full) return std::nullopt;  // there is nothing to build on
    if (text == kAfterFull) {
        if (!full || unless_ahead(full->ended_unix_ms, now_ms) <= satisfied_ms(record, kind, now_ms))
            return std::nullopt;
        return full->ended_unix_ms;
    }
    auto const cron = parse_cron(text);
    if (!cron) return std::nullopt;
    auto const due = next_due(*cron, zone, satisfied_ms(record, kind, now_ms) / 1000);
    if (!due) return std::nullopt;
    return *due * 1000;
}

std::optional<std::int64_t> first_due_ms(Record const& record, JobKind kind, Zone const& zone, std::int64_t now_ms) {
    auto const planned = planned_ms(record, kind, zone, now_ms);
    auto const& job = job_of(record, kind);
    if (job.asked_unix_ms == 0 || (planned && *planned < job.asked_unix_ms)) return planned;
    return job.asked_unix_ms;
}

// One that fails is tried again, with growing pauses; at once, if somebody asks for it.
bool pauses(Job const& job, std::int64_t now_ms) {
    if (job.failures == 0 || !job.bad || job.asked_unix_ms > job.bad->ended_unix_ms) return false;
    auto const pause = std::min(kFirstPauseMs << std::min(job.failures - 1, 8U), kPauseMostMs);
    auto const since = now_ms - job.bad->ended_unix_ms;
    return since >= 0 && since < pause;  // a clock that was set back makes nobody wait for ever
}

// A standby before the leader; after a failure somebody else. Nobody does two things at once, if there is another.
NodeId choose(Record const& record, Job const& job, JobView const& view) {
    auto all = view.standbys;
    all.push_back(record.leader);
    auto const busy = [&](NodeId const& id) {
        return std::ranges::any_of(record.jobs,
                                   [&](auto const& one) { return one.second.run && one.second.run->node == id; });
    };
    std::vector<NodeId> order;
    std::ranges::copy_if(all, std::back_inserter(order), [&](NodeId const& id) { return !busy(id); });
    std::ranges::copy_if(all, std::back_inserter(order), busy);
    return order[job.failures % order.size()];
}

std::string loss_of(Record const& record, JobRun const& run, JobView const& view) {
    auto const member = record.members.find(run.node);
    if (member == record.members.end()) return "its node is no member any more";
    if (view.silent.contains(run.node)) return member->second.name + " has fallen silent";
    if (view.now_unix_ms - run.begun_unix_ms > kRunMostMs) return "it has not ended within a day";
    return {};
}

std::string node_name(Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() ? id.value : found->second.name;
}

char const* title_of(JobKind kind) {
    switch (kind) {
        case JobKind::full:
            return "full backup";
        case JobKind::incremental:
            return "incremental backup";
        case JobKind::expire:
            return "expiry";
        case JobKind::dump:
            return "dump";
        case JobKind::prove:
            return "restore test";
        case JobKind::copy:
            return "copy of the repository";
    }
    return "?";
}

}  // namespace

std::string const& schedule_of(Settings const& settings, JobKind kind) {
    switch (kind) {
        case JobKind::full:
            return settings.backup_full;
        case JobKind::incremental:
            return settings.backup_incremental;
        case JobKind::expire:
            return settings.backup_expire;
        case JobKind::dump:
            return settings.backup_dump;
        case JobKind::copy:
            return settings.backup_copy;
        case JobKind::prove:
            break;
    }
    return settings.backup_prove;
}

Status check_schedule(JobKind kind, std::string_view text) {
    if (text == kNoSchedule || (kind == JobKind::expire && text == kAfterFull)) return {};
    KEEL_CHECK(parse_cron(text));
    return {};
}

std::optional<JobStep> next_job_step(Record const& record, JobView const& view) {
    std::vector<JobKind> running;
    for (auto const kind : kinds_of(view)) {
        auto const& job = job_of(record, kind);
        if (job.schedule != schedule_of(record.settings, kind)) return JobStep{JobStep::Kind::adopt, kind, {}, {}};
        if (!job.run) continue;
        if (auto why = loss_of(record, *job.run, view); !why.empty())
            return JobStep{JobStep::Kind::lose, kind, job.run->node, std::move(why)};
        running.push_back(kind);
    }
    if (record.leader.value.empty()) return std::nullopt;
    for (auto const kind : kinds_of(view)) {
        if (!std::ranges::all_of(running, [&](JobKind other) { return goes_beside(kind, other); })) continue;
        auto const& job = job_of(record, kind);
        auto const due = first_due_ms(record, kind, view.zone, view.now_unix_ms);
        // Clocks of two nodes differ: what is asked for is due, whenever that was.
        bool const is_due = due && (*due <= view.now_unix_ms || job.asked_unix_ms != 0);
        if (is_due && !pauses(job, view.now_unix_ms))
            return JobStep{JobStep::Kind::give, kind, choose(record, job, view), {}};
    }
    return std::nullopt;
}

Status take_job_step(Record& record, JobStep const& step, JobView const& view) {
    auto const still = next_job_step(record, view);
    if (!still || still->kind != step.kind || still->job != step.job || still->node != step.node)
        return fail(Code::conflict, "the record has gone on");
    auto& job = record.jobs[name_of(step.job)];
    switch (step.kind) {
        case JobStep::Kind::adopt:
            job.schedule = schedule_of(record.settings, step.job);
            job.since_unix_ms = view.now_unix_ms;
            break;
        case JobStep::Kind::give:
            if (job.asked_unix_ms > view.now_unix_ms + kAheadMostMs) job.asked_unix_ms = view.now_unix_ms;
            job.run = JobRun{step.node, std::max(view.now_unix_ms, job.asked_unix_ms)};
            break;
        case JobStep::Kind::lose:
            end_job(record, step.job, {job.run->begun_unix_ms, view.now_unix_ms, step.node, step.why, {}}, false);
            break;
    }
    return {};
}

Status ask_job(Record& record, JobKind kind, Caller const& caller) {
    record.jobs[name_of(kind)].asked_unix_ms = caller.unix_ms;
    note(record, caller.node, caller.unix_ms, "backup", fmt::format("{} asked for by {}", title_of(kind), caller.who));
    return {};
}

void end_job(Record& record, JobKind kind, JobEnd const& end, bool good) {
    auto& job = record.jobs[name_of(kind)];
    bool const under_way = job.run && job.run->node == end.node && job.run->begun_unix_ms == end.begun_unix_ms;
    bool const first = !job.good;
    if (under_way) job.run.reset();
    if (good) {
        if (job.asked_unix_ms <= end.begun_unix_ms) job.asked_unix_ms = 0;
        // One that ended later than now was written by a clock that was wrong.
        bool const newer = !job.good || job.good->begun_unix_ms <= end.begun_unix_ms ||
                           job.good->ended_unix_ms > end.ended_unix_ms + kAheadMostMs;
        if (newer) job.good = end;
        // Every few minutes one: the first, and the first after a failure, is news.
        bool const news = kind != JobKind::copy || job.failures > 0 || first;
        job.failures = 0;
        if (news) note(record, end.node, end.ended_unix_ms, "backup", end.text);
    } else if (under_way) {
        job.bad = end;
        // Once in a row: the alert is there for the others.
        if (++job.failures == 1)
            note(record, end.node, end.ended_unix_ms, "backup",
                 fmt::format("{} on {} failed: {}", title_of(kind), node_name(record, end.node), end.text));
    }
}

std::vector<JobStatus> job_statuses(Record const& record, JobView const& view) {
    std::vector<JobStatus> out;
    auto const now_unix_ms = view.now_unix_ms;
    for (auto const kind : kinds_of(view)) {
        auto const& job = job_of(record, kind);
        JobStatus one;
        one.kind = name_of(kind);
        one.schedule = schedule_of(record.settings, kind);
        one.since_unix_ms = job.since_unix_ms;
        one.good = job.good;
        one.bad = job.bad;
        one.failures = job.failures;
        if (job.run) one.running_on = node_name(record, job.run->node);
        if (auto const due = first_due_ms(record, kind, view.zone, now_unix_ms)) {
            one.next_unix_ms = *due;
            one.overdue_seconds = std::max(0.0, static_cast<double>(now_unix_ms - *due) / 1000);
        }
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace keel::cluster
