#include "agent/guard.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::agent {

namespace {
// No watcher looks less often; whatever a span between two looks has more, the watcher itself did not run.
constexpr Duration kStepMost = 300ms;
constexpr Duration kSleepLeast = 1ms;
// Nothing of it is left, and the agent has not disarmed.
constexpr Duration kLookAgain = 50ms;
}  // namespace

Servers judge_servers(DeadlineView const& view, bool any, bool meant_lives,
                      std::optional<postgres::ServerProcess> const& postmaster) {
    if (!any) return Servers::none;
    if (meant_lives || view.postmaster == 0) return Servers::meant;
    // A postmaster does not start beside what is left of an older one.
    return postmaster ? Servers::another : Servers::meant;
}

GuardStep decide(DeadlineView const& view, Surroundings const& around) {
    if (around.orphaned && around.relieved) return {Act::end, {}};
    bool const may_end = around.asked_to_end || around.orphaned;
    if (!view.armed) return may_end ? GuardStep{Act::end, {}} : GuardStep{Act::sleep, kGuardLooksEvery};
    if (around.now < view.deadline)
        return {Act::sleep, std::clamp<Duration>(view.deadline - around.now, kSleepLeast, kGuardLooksEvery)};
    if (around.servers == Servers::unknown) return {Act::look, {}};
    if (around.servers == Servers::meant) return {Act::strike, {}};
    return may_end ? GuardStep{Act::end, {}} : GuardStep{Act::sleep, kLookAgain};
}

Duration Pulse::look(std::uint64_t count, Instant now) {
    bool const same = count_ == count;
    silent_ = same ? silent_ + std::clamp<Duration>(now - looked_, Duration{0}, kStepMost) : Duration{0};
    count_ = count;
    looked_ = now;
    return silent_;
}

std::string guardian_text(DeadlineView const& view, Duration silent) {
    if (silent > kGuardSilentMost)
        return fmt::format(
            "silent for {:.1f} s: nobody would kill PostgreSQL if the agent hung (`pgkeel node`, which starts it "
            "again, "
            "must run: see its log)",
            to_seconds(silent));
    std::string lacks;
    if (!view.real_time) lacks += "no real-time priority";
    if (!view.in_memory) lacks += std::string(lacks.empty() ? "" : ", ") + "not locked in memory";
    if (lacks.empty()) return "on duty";
    return fmt::format("on duty ({}: as an ordinary user it needs LimitRTPRIO=10 and LimitMEMLOCK=infinity)", lacks);
}

}  // namespace keel::agent
