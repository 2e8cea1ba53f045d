#include "cli/drill_fault.h"

#include <fmt/format.h>
#include <signal.h>

#include <charconv>
#include <filesystem>

#include "runtime/child.h"
#include "runtime/files.h"

namespace keel::cli::drill {

namespace {

Result<pid_t> pid_in(std::string const& path) {
    KEEL_TRY(auto const text, runtime::read_file(path, 4096));
    pid_t pid = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || pid <= 1) return fail(Code::corrupt, path + " names no process", "pgkeel doctor");
    return pid;
}

// proc(5) stat: the parent is the second field behind the name, which ends with the last parenthesis.
pid_t parent_of(pid_t pid) {
    auto const text = runtime::read_file(fmt::format("/proc/{}/stat", pid), 4096).value_or("");
    auto const name_end = text.rfind(')');
    pid_t parent = 0;
    constexpr std::size_t kParent = 4;  // ") S 123": behind the parenthesis, a state of one letter
    if (name_end != std::string::npos && name_end + kParent < text.size())
        std::from_chars(text.data() + name_end + kParent, text.data() + text.size(), parent);
    return parent;
}

bool has_word(std::string const& command, std::string const& word) {
    return (command + " ").find(" " + word + " ") != std::string::npos;
}

Result<Process> find_agent(config::NodeConfig const& config) {
    // Its lock is held for as long as it lives, and holds its number.
    KEEL_TRY(auto const pid, pid_in(config.directory + "/state/agent.lock"));
    if (!has_word(runtime::process_command(pid), "agent"))
        return fail(Code::not_found, fmt::format("process {} is no agent of pgkeel", pid), "pgkeel doctor");
    return Process{pid, "agent"};
}

Result<Process> find_postmaster(config::NodeConfig const& config) {
    auto const data = config.directory + "/data";
    KEEL_TRY(auto const pid, pid_in(data + "/postmaster.pid"));
    // PostgreSQL works in its data directory: a recycled number does not.
    std::error_code error;
    auto const working = std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", pid), error);
    if (error || !std::filesystem::equivalent(working, data, error))
        return fail(Code::not_found, fmt::format("process {} of postmaster.pid is not the postmaster of {}", pid, data),
                    "pgkeel status: does PostgreSQL run on this node?");
    return Process{pid, "postmaster"};
}

std::string title_of(pid_t pid) {
    auto command = runtime::process_command(pid);
    for (auto const* inner : {"agent", "guardian"}) {
        if (has_word(command, inner)) return inner;
    }
    return command.substr(0, 60);
}

void add_descendants(pid_t pid, std::vector<Process>& out) {
    for (auto const child : runtime::children_of(pid)) {
        auto const known = std::ranges::find(out, child, &Process::pid) != out.end();
        if (!known) out.push_back({child, title_of(child)});
        add_descendants(child, out);
    }
}

Result<std::vector<Process>> find_node(config::NodeConfig const& config) {
    KEEL_TRY(auto const agent, find_agent(config));
    auto const root = parent_of(agent.pid);
    if (root <= 1 || !has_word(runtime::process_command(root), "node"))
        return fail(Code::not_found, fmt::format("the agent {} has no `pgkeel node` above it", agent.pid),
                    "start the node as its service does");
    KEEL_TRY(auto const postmaster, find_postmaster(config));
    // Parents first, so that nobody notices the death of another one and acts on it.
    std::vector<Process> out = {{root, "node"}, agent, postmaster};
    add_descendants(root, out);
    add_descendants(postmaster.pid, out);
    return out;
}

}  // namespace

Result<std::vector<Process>> find_processes(config::NodeConfig const& config, Fault fault) {
    if (fault == Fault::switchover) return std::vector<Process>{};
    if (fault == Fault::node) return find_node(config);
    auto found = fault == Fault::agent ? find_agent(config) : find_postmaster(config);
    if (!found) return fail(std::move(found).error());
    return std::vector{std::move(*found)};
}

Result<std::vector<Process>> kill_processes(runtime::Io& io, config::NodeConfig const& config, Fault fault) {
    std::vector<runtime::PidFd> held;
    // Held first and looked up again then: a number that changed hands in between is not in both.
    KEEL_TRY(auto const first, find_processes(config, fault));
    for (auto const& process : first) {
        if (auto handle = runtime::PidFd::open(io, process.pid)) held.push_back(std::move(*handle));
    }
    KEEL_TRY(auto const second, find_processes(config, fault));
    std::vector<Process> killed;
    // A backend that is born in between sees the postmaster's death and ends by itself.
    for (auto& handle : held) {
        auto const process = std::ranges::find(second, handle.pid(), &Process::pid);
        if (process == second.end()) continue;
        auto const sent = handle.signal(SIGKILL);
        if (sent)
            killed.push_back(*process);
        else if (killed.empty())
            return fail(sent.error());
    }
    if (killed.empty()) return fail(Code::not_found, "what was to be killed has ended by itself", "pgkeel status");
    return killed;
}

}  // namespace keel::cli::drill
