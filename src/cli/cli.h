// The command line: one file per command, and what the commands need from the programs that they start.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/node_config.h"

namespace keel::cli {

// Exit codes of every command.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;        // wrong arguments or configuration
inline constexpr int kNotSafe = 3;      // refused because it is not safe now: blocked, no candidate, not confirmed
inline constexpr int kUnreachable = 4;  // no agent answered

struct DemoOptions {
    bool stay = false;      // leave the cluster running and print how to connect
    std::string directory;  // empty: a new one below $TMPDIR or /tmp
    int writers = 4;
    int readers = 2;
};
// src/cli/demo.cc.
int run_demo(DemoOptions const& options);

// What the composition root offers. Each returns the exit code of the program.
struct Hooks {
    // The process tree of a node, in the foreground, until it is told to stop. The configuration is checked already.
    std::function<int(config::NodeConfig const&)> node;
    // A node's proxy, or that of an application's host, likewise.
    std::function<int(config::NodeConfig const&)> proxy;
    std::function<int(DemoOptions const&)> demo;
    // Commands that only the program itself calls (agent, guardian, a clone's child): name -> what to do with the
    // arguments behind it. Not shown in the help.
    std::map<std::string, std::function<int(std::vector<std::string> const&)>> inner;
    std::string version;
};

int run(int argc, char const* const* argv, Hooks const& hooks);

}  // namespace keel::cli
