// `pgkeel pause`, `resume` and `reload`: one request each.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"

namespace keel::cli {

namespace {

void add_one(Commands& commands, std::string const& name, std::string const& about, std::string const& after) {
    auto& command = commands.add(name, about);
    commands.on(command, [path = "/" + name, after, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        KEEL_TRY(auto const body, agent.send("POST", path, {}));
        auto const done = json::read<web::Done>(body);
        fmt::print("{}\n", after.empty() && done ? done->text : after);
        return {};
    });
}

}  // namespace

void add_pause(Commands& commands) {
    add_one(commands, "pause", "No automatic elections and restarts, for maintenance",
            "Paused: nobody is elected and nothing is restarted until `pgkeel resume`. PostgreSQL keeps running.");
    add_one(commands, "resume", "End a pause", "Resumed: failures are handled again.");
    add_one(commands, "reload", "Read this node's node.toml again and reload PostgreSQL's configuration", "");
}

}  // namespace keel::cli
