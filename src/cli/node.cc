// `pgkeel node`: the node itself, in the foreground; and `pgkeel demo`.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/start_up.h"
#include "cli/new_node.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

// Another program on PostgreSQL's port would keep the server from starting, again and again; nobody reads the log then.
Status check_postgres_port(config::NodeConfig const& config) {
    if (config.kind != cluster::Kind::data) return {};
    auto const pid_file = runtime::read_file(config.directory + "/data/postmaster.pid", 4096);
    // Our own server may have outlived its agent.
    if (pid_file && ::kill(std::atoi(pid_file->c_str()), 0) == 0) return {};
    for (auto const& host : config.postgres.listen)
        KEEL_CHECK(check_port(host, config.postgres.port, "port in [postgres] of node.toml"));
    return {};
}

// A second process tree's guardian would watch the first one's server, and not end before that one does.
Status check_alone(std::string const& directory) {
    auto const path = directory + "/state/agent.lock";
    if (!runtime::exists(path)) return {};  // and root must not be the one who makes it
    auto const lock = runtime::FileLock::take(path);
    if (lock || lock.error().code != Code::conflict) return {};
    return fail(Code::conflict, lock.error().text,
                "stop that `pgkeel node` first, or name another directory with --dir");
}

}  // namespace

void add_node(Commands& commands) {
    auto& command = commands.add_local("node", "Run this node in the foreground (what a service manager starts)");
    commands.on(command, [&commands]() -> Done {
        auto config = agent::load_config(commands.reach().directory);
        if (!config) return std::unexpected(Failure(kUsage, std::move(config.error())));
        if (config->kind == cluster::Kind::proxy)
            return stop(kUsage, Code::invalid, config->directory + " is the directory of a proxy host, not of a node",
                        fmt::format("pgkeel proxy --dir {}", config->directory));
        if (auto identity = agent::read_identity(config->directory); !identity)
            return std::unexpected(Failure(kUsage, std::move(identity.error())));
        KEEL_CHECK(check_alone(config->directory));
        KEEL_CHECK(check_postgres_port(*config));
        if (int const code = commands.hooks().node(*config); code != kDone) return stop(code, Code::internal, "");
        return {};
    });
}

void add_demo(Commands& commands) {
    auto const options = std::make_shared<DemoOptions>();
    auto& command = commands.add_bare(
        "demo", "Three real nodes on this machine, a shop under load, and the sudden death of its primary");
    command.add_flag("--stay", options->stay, "Leave the cluster running and print how to connect");
    command.add_option("--dir", options->directory, "An empty directory for it; else a new one below $TMPDIR");
    command.add_option("--writers", options->writers, "Connections that order")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command.add_option("--readers", options->readers, "Connections that read")
        ->check(CLI::Range(0, 64))
        ->capture_default_str();
    commands.on(command, [options, &commands]() -> Done {
        if (int const code = commands.hooks().demo(*options); code != kDone) return stop(code, Code::internal, "");
        return {};
    });
}

}  // namespace keel::cli
