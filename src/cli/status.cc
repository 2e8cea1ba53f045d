// `pgkeel status` and `pgkeel topology`.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "cli/client.h"
#include "cli/terminal.h"

namespace keel::cli {

namespace {

using cluster::ClusterStatus;
using Render = std::string (*)(ClusterStatus const&, cluster::Style);

struct StatusOptions {
    bool json = false;
    bool watch = false;
    double interval_s = 1;
};

constexpr char const* kHomeAndClear = "\x1b[H\x1b[2J";

Done show(Agent const& agent, bool as_json, Render render, char const* before = "") {
    // What the agent says, also the parts that this program does not know.
    KEEL_TRY(auto const body, agent.get("/status"));
    if (as_json) {
        fmt::print("{}\n", body);
        return {};
    }
    auto const status = json::read<ClusterStatus>(body);
    if (!status)
        return stop(kFailed, Code::corrupt, "the agent's status cannot be read: " + status.error().text,
                    "use the same version of pgkeel on every node");
    fmt::print("{}{}", before, render(*status, style_of_stdout()));
    return {};
}

// Until Ctrl-C. An agent that goes away is waited for, so that a restart of it can be watched.
Done watch(Agent const& agent, StatusOptions const& options, Render render) {
    bool const redraw = ::isatty(STDOUT_FILENO) == 1;
    for (bool first = true;; first = false) {
        char const* const before = redraw ? kHomeAndClear : first || options.json ? "" : "\n";
        auto const done = show(agent, options.json, render, before);
        if (!done && (first || done.error().exit_code != kUnreachable)) return done;
        if (!done) fmt::print("{}{}\n", before, done.error().error.text);
        std::fflush(stdout);
        std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_s));
    }
}

void add_one(Commands& commands, std::string const& name, std::string const& about, Render render) {
    auto const options = std::make_shared<StatusOptions>();
    auto& command = commands.add(name, about);
    command.add_flag("--json", options->json, "As the agent tells it, for programs");
    command.add_flag("--watch,-w", options->watch, "Again and again until Ctrl-C");
    command.add_option("--interval", options->interval_s, "Seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    commands.on(command, [options, render, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        if (options->watch) return watch(agent, *options, render);
        return show(agent, options->json, render);
    });
}

}  // namespace

void add_status(Commands& commands) {
    add_one(commands, "status", "Are we fine? The cluster and its members", &cluster::render_status);
    add_one(commands, "topology", "Who streams from whom", &cluster::render_topology);
}

}  // namespace keel::cli
