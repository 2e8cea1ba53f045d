// `pgkeel history` and `pgkeel explain`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"

namespace keel::cli {

namespace {

Done show_history(Agent const& agent, bool as_json, std::size_t last) {
    KEEL_TRY(auto events, agent.read<std::vector<cluster::HistoryEvent>>("/history"));
    if (last > 0 && events.size() > last)
        events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(last));
    if (as_json) {
        fmt::print("{}\n", json::write(events));
        return {};
    }
    KEEL_TRY(auto const status, agent.status());
    std::map<NodeId, std::string> names;
    for (auto const& member : status.members) names[member.id] = member.name;
    fmt::print("{}", cluster::render_history(events, names));
    return {};
}

Done explain(Agent const& agent, bool as_json) {
    KEEL_TRY(auto const body, agent.get("/explain"));
    auto const explanation = json::read<cluster::Explanation>(body);
    if (!explanation)
        return stop(kFailed, Code::corrupt, "the agent's explanation cannot be read: " + explanation.error().text,
                    "use the same version of pgkeel on every node");
    fmt::print("{}", as_json ? body + "\n" : cluster::render_explanation(*explanation));
    return {};
}

}  // namespace

void add_history(Commands& commands) {
    auto const as_json = std::make_shared<bool>(false);
    auto const last = std::make_shared<std::size_t>(0);
    auto& history = commands.add("history", "What happened in the cluster, and why");
    history.add_flag("--json", *as_json, "For programs");
    history.add_option("-n,--last", *last, "Only the last N events");
    commands.on(history, [as_json, last, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return show_history(agent, *as_json, *last);
    });
    auto& why = commands.add("explain", "Why the last decision was made, and what it rests on");
    why.add_flag("--json", *as_json, "For programs");
    commands.on(why, [as_json, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return explain(agent, *as_json);
    });
}

}  // namespace keel::cli
