#include "cli/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "runtime/clock.h"

namespace keel::cli {

namespace {

constexpr Duration kLookEvery = 100ms;
constexpr Duration kPatience = 15s;  // with an agent that does not answer
constexpr Duration kMovesWithin = 3s;

std::string last_event(cluster::ClusterStatus const& status) {
    return status.events.empty() ? std::string() : ": " + status.events.back().text;
}

}  // namespace

std::string phase_line(cluster::ClusterStatus const& status) {
    auto const epoch = status.epoch.value;
    if (status.phase == cluster::Phase::revoking)
        return fmt::format("election of epoch {}: the old leader is fenced", epoch);
    if (status.phase == cluster::Phase::promoting)
        return fmt::format("{} takes over, epoch {}", status.leader.empty() ? "the chosen one" : status.leader, epoch);
    if (status.leader.empty()) return fmt::format("nobody leads, epoch {}", epoch);
    return fmt::format("{} {}, epoch {}", status.leader, status.leader_alive ? "leads" : "does not answer", epoch);
}

cluster::MemberStatus const* find_member(cluster::ClusterStatus const& status, std::string const& name) {
    auto const found = std::ranges::find(status.members, name, &cluster::MemberStatus::name);
    return found == status.members.end() ? nullptr : &*found;
}

Done follow(Agent const& agent, Duration limit, std::string const& what, Look const& look) {
    auto const begin = runtime::boot_now();
    auto heard = begin;
    // Where it stands at first is no news.
    std::string said;
    bool first = true;
    // What stands in the way, when nothing has moved for a while.
    auto moved = begin;
    std::string obstacle;
    for (;;) {
        auto const status = agent.status();
        auto const now = runtime::boot_now();
        if (status) {
            heard = now;
            if (auto line = phase_line(*status); line != said) {
                said = std::move(line);
                moved = now;
                if (!first) fmt::print("{:6.1f} s  {}\n", to_seconds(now - begin), said);
                std::fflush(stdout);
                first = false;
            }
            if (auto outcome = look(*status)) return std::move(*outcome);
            if (now - moved > kMovesWithin && status->health != "ok" && status->verdict != obstacle) {
                obstacle = status->verdict;
                fmt::print("{:6.1f} s  waits: {}\n", to_seconds(now - begin), obstacle);
                std::fflush(stdout);
            }
        } else if (status.error().exit_code != kUnreachable || now - heard > kPatience) {
            return std::unexpected(status.error());
        }
        if (now - begin > limit)
            return stop(kNotSafe, Code::timeout,
                        fmt::format("{} has not happened within {} s", what, to_ms(limit) / 1000),
                        "it may still happen; `pgkeel explain` and `pgkeel status` say what it waits for");
        std::this_thread::sleep_for(kLookEvery);
    }
}

Look until_leader_changed(cluster::ClusterStatus const& before, std::string const& target, std::uint64_t asked) {
    return [leader = before.leader, epoch = before.epoch, target,
            asked](cluster::ClusterStatus const& status) -> std::optional<Done> {
        bool const reigns = status.phase == cluster::Phase::stable && status.leader_alive && !status.leader.empty();
        if (status.epoch > epoch && reigns) {
            if (status.leader == leader)
                return stop(kNotSafe, Code::conflict, fmt::format("{} leads again{}", leader, last_event(status)),
                            "pgkeel explain");
            if (!target.empty() && status.leader != target)
                return stop(kNotSafe, Code::conflict,
                            fmt::format("{} leads now, not {}{}", status.leader, target, last_event(status)),
                            "pgkeel explain");
            return Done{};
        }
        if (status.epoch == epoch && reigns && status.revision >= asked && status.handover.empty())
            return stop(kNotSafe, Code::conflict, "it was given up" + last_event(status), "pgkeel history");
        return std::nullopt;
    };
}

}  // namespace keel::cli
