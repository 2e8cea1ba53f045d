// The composition root: the only place that knows every part.
#include <fmt/format.h>

#include <cstdio>

#include "agent/agent.h"
#include "agent/guardian.h"
#include "agent/tree.h"
#include "app/api_desk.h"
#include "app/archiver.h"
#include "app/proxy_process.h"
#include "cli/cli.h"

#ifndef KEEL_VERSION
#define KEEL_VERSION "0.1.0"
#endif

namespace {

using namespace keel;
using Arguments = std::vector<std::string>;

// "--dir DIRECTORY", as the tree gives it.
template <class Run>
int with_config(Arguments const& arguments, Run run) {
    if (arguments.size() != 2 || arguments[0] != "--dir") {
        std::fputs("this command is for pgkeel itself; it needs --dir DIRECTORY\n", stderr);
        return cli::kUsage;
    }
    auto const config = agent::load_config(arguments[1]);
    if (config) return run(*config);
    fmt::print(stderr, "{}\n", to_string(config.error()));
    return agent::kExitRefused;
}

int run_agent(config::NodeConfig const& config) {
    return agent::run_agent(config, [](agent::Desk& desk) { return app::api_handler(desk, KEEL_VERSION); });
}

}  // namespace

int main(int argc, char** argv) {
    cli::Hooks hooks;
    hooks.version = KEEL_VERSION;
    hooks.node = [](config::NodeConfig const& config) { return agent::run_tree(config); };
    hooks.proxy = [](config::NodeConfig const& config) { return app::run_proxy(config, KEEL_VERSION); };
    hooks.demo = cli::run_demo;
    hooks.inner[agent::kAgentCommand] = [](Arguments const& arguments) { return with_config(arguments, run_agent); };
    hooks.inner[agent::kGuardianCommand] = [](Arguments const& arguments) {
        return with_config(arguments, agent::run_guardian);
    };
    hooks.inner[agent::kArchiverCommand] = [](Arguments const& arguments) {
        return with_config(arguments, app::run_archiver);
    };
    return cli::run(argc, argv, hooks);
}
