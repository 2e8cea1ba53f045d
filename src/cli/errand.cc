#include "cli/errand.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/clock.h"

namespace keel::cli {

namespace {

// Why the errand ended without success; empty when the history says nothing of the kind.
std::string failure_of(Agent const& agent, std::string const& member, std::uint64_t errand) {
    auto const events = agent.read<std::vector<cluster::HistoryEvent>>("/history");
    if (!events) return {};
    for (auto const& event : *events) {
        if (event.number > errand && event.kind == "errand" &&
            event.text.find("of " + member + " failed") != std::string::npos)
            return event.text;
    }
    return {};
}

}  // namespace

Answer<cluster::MemberStatus> member_named(cluster::ClusterStatus const& status, std::string const& name) {
    if (auto const* found = find_member(status, name)) return *found;
    std::vector<std::string> names;
    for (auto const& member : status.members) names.push_back(member.name);
    return stop(kUsage, Code::not_found, fmt::format("there is no member \"{}\"", name),
                fmt::format("the members are {}", fmt::join(names, ", ")));
}

Done wait_for_errand(Agent const& agent, std::string const& member, web::Done const& asked, Duration limit) {
    bool looked = false;
    return follow(agent, limit, "the work on " + member, [&](auto const& status) -> std::optional<Done> {
        auto const* const now = find_member(status, member);
        if (now == nullptr) return stop(kNotSafe, Code::conflict, member + " is no member any more", "pgkeel history");
        if (status.revision < asked.revision || !now->errand.empty()) return std::nullopt;
        if (!looked) {
            looked = true;
            if (auto why = failure_of(agent, member, asked.errand); !why.empty())
                return stop(kNotSafe, Code::unavailable, std::move(why), "look at the log of " + member);
        }
        if (now->healthy) return Done{};
        return std::nullopt;
    });
}

Wholeness wholeness_of(cluster::ClusterStatus const& status) {
    Wholeness out;
    for (auto const& member : status.members) {
        if (member.healthy) out.healthy.insert(member.name);
    }
    out.synchronous = status.sync_names.size();
    return out;
}

bool is_restored(cluster::ClusterStatus const& status, Wholeness const& before) {
    auto const now = wholeness_of(status);
    return status.phase == cluster::Phase::stable && status.leader_alive && now.synchronous >= before.synchronous &&
           std::ranges::includes(now.healthy, before.healthy);
}

Done wait_until_whole(Agent const& agent, Wholeness const& before, Duration limit) {
    std::optional<Instant> since;
    return follow(agent, limit, "the return of every member", [&](auto const& status) -> std::optional<Done> {
        auto const now = runtime::boot_now();
        if (!is_restored(status, before))
            since.reset();
        else if (!since)
            since = now;
        if (since && now - *since >= 2s) return Done{};
        return std::nullopt;
    });
}

}  // namespace keel::cli
