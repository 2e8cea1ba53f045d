// `pgkeel history` and `pgkeel explain`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <limits>

#include "availability/outages.h"
#include "availability/row.h"
#include "cli/client.h"
#include "cli/history_report.h"
#include "cli/time_text.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

using Events = std::vector<cluster::HistoryEvent>;

struct Typed {
    bool json = false, availability = false, metrics = false;
    std::size_t last = 0;
    std::string since, until, kind, report;
    std::uint64_t epoch = 0;
    double target = 99.95;
};

Result<std::string> query_of(Typed const& typed, std::int64_t now_ms) {
    std::int64_t from = 0, until = std::numeric_limits<std::int64_t>::max();
    if (!typed.since.empty()) {
        KEEL_TRY(from, parse_past(typed.since, now_ms));
    }
    if (!typed.until.empty()) {
        KEEL_TRY(until, parse_past(typed.until, now_ms));
    }
    if (until < from) return fail(Code::invalid, "--until lies before --since", "name the earlier one with --since");
    return fmt::format("?from={}&until={}", from, until);
}

Answer<std::map<NodeId, std::string>> names_of(Agent const& agent) {
    KEEL_TRY(auto const status, agent.status());
    std::map<NodeId, std::string> names;
    for (auto const& member : status.members) names[member.id] = member.name;
    return names;
}

Done show_events(Agent const& agent, Typed const& typed) {
    KEEL_TRY(auto const query, query_of(typed, runtime::unix_ms_now()));
    KEEL_TRY(auto events, agent.read<Events>("/history/events" + query));
    if (!typed.kind.empty())
        std::erase_if(events, [&](cluster::HistoryEvent const& one) { return one.kind != typed.kind; });
    if (typed.last > 0 && events.size() > typed.last)
        events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(typed.last));
    if (typed.json) {
        fmt::print("{}\n", json::write(events));
        return {};
    }
    if (events.empty() && (!typed.since.empty() || !typed.kind.empty())) {
        fmt::print("Nothing of that kind happened in that time.\n");
        return {};
    }
    KEEL_TRY(auto const names, names_of(agent));
    fmt::print("{}", cluster::render_history(events, names));
    return {};
}

Done show_metrics(Agent const& agent, Typed const& typed) {
    KEEL_TRY(auto query, query_of(typed, runtime::unix_ms_now()));
    if (typed.last > 0) query += fmt::format("&last={}", std::min<std::size_t>(typed.last, 10'000));
    KEEL_TRY(auto const body, agent.get("/history/rows" + query));
    auto const rows = json::read<std::vector<availability::Row>>(body);
    if (!rows)
        return stop(kFailed, Code::corrupt, "the agent's figures cannot be read: " + rows.error().text,
                    "use the same version of pgkeel on every node");
    fmt::print("{}", typed.json ? body + "\n" : availability::render(*rows));
    return {};
}

Done show_availability(Agent const& agent, Typed const& typed) {
    if (!(typed.target > 0 && typed.target < 100))
        return stop(kUsage, Code::invalid, fmt::format("--target {} is no share of the time", typed.target),
                    "a percentage below 100: 99.95");
    KEEL_TRY(auto const body, agent.get("/availability"));
    auto const ledger = json::read<availability::Ledger>(body);
    if (!ledger)
        return stop(kFailed, Code::corrupt, "the agent's account cannot be read: " + ledger.error().text,
                    "use the same version of pgkeel on every node");
    fmt::print("{}", typed.json ? body + "\n" : availability::render(*ledger, typed.target / 100));
    return {};
}

Done write_report(Agent const& agent, Typed const& typed) {
    KEEL_TRY(auto const query, query_of(typed, runtime::unix_ms_now()));
    KEEL_TRY(auto const events, agent.read<Events>("/history/events" + query));
    KEEL_TRY(auto const status, agent.status());
    KEEL_TRY(auto const ledger, agent.read<availability::Ledger>("/availability"));
    auto incident = find_incident(events, status, ledger, typed.epoch);
    if (!incident) return std::unexpected(Failure(kFailed, std::move(incident.error())));
    KEEL_CHECK(runtime::write_atomically(typed.report, render_html(*incident), 0644));
    fmt::print("{}: {}\n", typed.report, incident->sentence);
    return {};
}

Done run_history(Agent const& agent, Typed const& typed) {
    int const wishes = (typed.availability ? 1 : 0) + (typed.metrics ? 1 : 0) + (typed.report.empty() ? 0 : 1);
    if (wishes > 1)
        return stop(kUsage, Code::invalid, "--availability, --metrics and --report exclude each other", "name one");
    if (typed.availability) return show_availability(agent, typed);
    if (typed.metrics) return show_metrics(agent, typed);
    return typed.report.empty() ? show_events(agent, typed) : write_report(agent, typed);
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
    auto const typed = std::make_shared<Typed>();
    auto& history = commands.add("history", "What happened in the cluster, and why: the events of a year");
    history.add_flag("--json", typed->json, "For programs");
    history.add_option("-n,--last", typed->last, "Only the last N");
    history.add_option("--since", typed->since, "7d (ago), 2026-11-21 or \"2026-11-21 03:00\"; a Z at the end for UTC");
    history.add_option("--until", typed->until, "In the same way");
    history.add_option("--kind", typed->kind, "Only events of this kind: leader, revoke, sync, loss, ...");
    history.add_flag("--availability", typed->availability, "Outages, nines, MTBF, MTTR, and what is left of a budget");
    history.add_option("--target", typed->target, "With --availability: the percentage that was promised")
        ->capture_default_str();
    history.add_flag("--metrics", typed->metrics, "Figures of this node, a row each five minutes");
    history.add_option("--report", typed->report, "Write a page of HTML about the last change of leader");
    history.add_option("--epoch", typed->epoch, "With --report: about the one that began this epoch");
    commands.on(history, [typed, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return run_history(agent, *typed);
    });
    auto const as_json = std::make_shared<bool>(false);
    auto& why = commands.add("explain", "Why the last decision was made, and what it rests on");
    why.add_flag("--json", *as_json, "For programs");
    commands.on(why, [as_json, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return explain(agent, *as_json);
    });
}

}  // namespace keel::cli
