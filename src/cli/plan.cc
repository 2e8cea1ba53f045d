// `pgkeel plan`: what a set-up can be expected to cost and to be worth; asks no agent.
#include "availability/plan.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/json.h"
#include "cli/commands.h"

namespace keel::cli {

namespace {

struct Typed {
    std::vector<std::string> servers, witnesses, proxies;
    std::string mode = "quorum";
    availability::Deployment setup;
    bool as_json = false;
};

Status read_machines(std::vector<std::string> const& typed, char const* option,
                     std::vector<availability::Machine>& into) {
    for (auto const& text : typed) {
        auto machine = availability::parse_machine(text);
        if (!machine) return fail(std::move(machine.error()).in(option));
        into.push_back(*machine);
    }
    return {};
}

Done show_plan(Typed const& typed) {
    auto setup = typed.setup;
    KEEL_CHECK(read_machines(typed.servers, "--server", setup.servers));
    KEEL_CHECK(read_machines(typed.witnesses, "--witness", setup.witnesses));
    KEEL_CHECK(read_machines(typed.proxies, "--proxy", setup.proxies));
    if (!boost::describe::enum_from_string(typed.mode.c_str(), setup.mode))
        return stop(kUsage, Code::invalid, "--mode: there is no mode \"" + typed.mode + "\"",
                    "async, quorum or strict");
    KEEL_TRY(auto const estimate, availability::estimate(setup));
    fmt::print("{}", typed.as_json ? json::write(estimate) + "\n" : availability::render(estimate));
    return {};
}

}  // namespace

void add_plan(Commands& commands) {
    auto const typed = std::make_shared<Typed>();
    auto& command = commands.add_bare("plan", "Availability and cost of a set-up, from figures that you give");
    command.add_option("--server", typed->servers,
                       "A server: the price of a month, and if known the hours that it is down in a year (45:8.8)");
    command.add_option("--witness", typed->witnesses, "A machine that only votes, in the same way");
    command.add_option("--proxy", typed->proxies, "A machine for a proxy alone; without one they run on the servers");
    command.add_option("--users", typed->setup.users, "For the price of one");
    command.add_option("--hour-down", typed->setup.hour_down_cost, "What an hour without writes costs");
    command.add_option("--mode", typed->mode, "async, quorum or strict")->capture_default_str();
    command.add_option("--quorum", typed->setup.quorum, "Standbys that must have a commit")->capture_default_str();
    command.add_option("--repair-hours", typed->setup.repair_hours, "Until a broken machine is back")
        ->capture_default_str();
    command.add_option("--failover-seconds", typed->setup.failover_seconds, "Writes interrupted by a change of leader")
        ->capture_default_str();
    command.add_option("--restore-hours", typed->setup.restore_hours, "Of the database from a backup")
        ->capture_default_str();
    command.add_option("--lag-seconds", typed->setup.lag_seconds, "async: how late a standby has a commit")
        ->capture_default_str();
    command.add_flag("--json", typed->as_json, "For programs");
    commands.on(command, [typed] { return show_plan(*typed); });
}

}  // namespace keel::cli
