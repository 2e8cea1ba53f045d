#include "cli/demo_nodes.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "runtime/clock.h"

namespace keel::cli::demo {

namespace {

constexpr std::array<std::pair<char const*, char const*>, 3> kMachines = {
    {{"anna", "127.0.0.1"}, {"bela", "127.0.0.2"}, {"cleo", "127.0.0.3"}}};

bool is_free(std::string const& address, std::uint16_t port) {
    int const descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    int const yes = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &place.sin_addr);
    bool const bound = ::bind(descriptor, reinterpret_cast<sockaddr const*>(&place), sizeof place) == 0;
    ::close(descriptor);
    return bound;
}

// The usual ports plus the first offset at which they are free on every address.
Result<Ports> find_ports() {
    for (int offset = 20000; offset < 30000; offset += 100) {
        auto const port = [&](int usual) { return static_cast<std::uint16_t>(usual + offset); };
        Ports const ports{port(7432), port(8008), port(5432), port(6432)};
        bool const all_free = std::ranges::all_of(kMachines, [&](auto const& machine) {
            return is_free(machine.second, ports.peer) && is_free(machine.second, ports.api) &&
                   is_free(machine.second, ports.postgres) && is_free(machine.second, ports.proxy) &&
                   is_free(machine.second, ports.proxy + 1) && is_free(machine.second, ports.proxy + 2);
        });
        if (all_free) return ports;
    }
    return fail(Code::conflict, "no free ports between 25432 and 38008 on 127.0.0.1, 127.0.0.2 and 127.0.0.3",
                "end what uses them, such as an older demo");
}

std::string arguments_of(pid_t pid) {
    std::ifstream in(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

}  // namespace

std::vector<pid_t> processes_of(std::string const& directory) {
    std::vector<pid_t> found;
    std::error_code error;
    for (auto const& entry : std::filesystem::directory_iterator("/proc", error)) {
        auto const name = entry.path().filename().string();
        if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) continue;
        auto const pid = static_cast<pid_t>(std::stol(name));
        if (pid == ::getpid()) continue;
        auto const working = std::filesystem::read_symlink(entry.path() / "cwd", error).string();
        bool const inside = working == directory || working.starts_with(directory + "/");
        if (inside || arguments_of(pid).find(directory) != std::string::npos) found.push_back(pid);
    }
    return found;
}

Result<Nodes> Nodes::plan(runtime::Io& io, std::string const& root) {
    Nodes nodes(io);
    KEEL_TRY(nodes.ports_, find_ports());
    std::error_code error;
    nodes.program_ = std::filesystem::read_symlink("/proc/self/exe", error).string();
    if (error || ::access(nodes.program_.c_str(), X_OK) != 0) {
        // Built below a home directory that the user postgres must not enter.
        nodes.program_ = root + "/pgkeel";
        std::filesystem::copy_file("/proc/self/exe", nodes.program_, error);
        if (error) return fail(Code::denied, "cannot copy this program to " + nodes.program_ + ": " + error.message());
    }
    for (std::size_t i = 0; i < kMachines.size(); ++i) {
        nodes.machines_[i] = {kMachines[i].first, kMachines[i].second, root + "/" + kMachines[i].first, std::nullopt};
    }
    return nodes;
}

Machine& Nodes::machine(std::string const& name) { return *std::ranges::find(machines_, name, &Machine::name); }

std::vector<postgres::Endpoint> Nodes::proxies(bool readers) const {
    auto const port = static_cast<std::uint16_t>(ports_.proxy + (readers ? 2 : 0));
    std::vector<postgres::Endpoint> out;
    for (auto const& machine : machines_) out.push_back({machine.address, port});
    return out;
}

postgres::ConnInfo Nodes::administrator(Machine const& machine) const {
    postgres::Place place;
    place.directory = machine.directory;
    place.port = ports_.postgres;
    return postgres::local_conninfo(place, "pgkeel-demo");
}

runtime::Task<Result<std::string>> Nodes::run(std::vector<std::string> arguments, Duration limit) {
    runtime::ChildSpec spec;
    if (!join_token_.empty()) spec.environment = {"PGKEEL_TOKEN=" + join_token_.reveal()};
    spec.argv = {program_};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.new_session = true;  // a Ctrl-C is ours to deal with
    auto const finished = co_await runtime::run_child(*io_, std::move(spec), limit);
    auto const what = "pgkeel " + arguments.front();
    if (!finished) {
        auto error = finished.error();
        co_return fail(std::move(error).in(what));
    }
    if (!finished->exit.ok())
        co_return fail(Code::internal, fmt::format("{}: {}\n{}", what, to_string(finished->exit), finished->output));
    co_return finished->output;
}

runtime::Task<Result<std::string>> Nodes::command(Machine const& machine, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--dir", machine.directory});
    co_return co_await run(std::move(arguments), 20s);
}

std::vector<std::string> Nodes::own_options(Machine const& machine) const {
    return {"--name",       machine.name,
            "--address",    machine.address,
            "--peer-port",  std::to_string(ports_.peer),
            "--api-port",   std::to_string(ports_.api),
            "--port",       std::to_string(ports_.postgres),
            "--proxy-port", std::to_string(ports_.proxy)};
}

// `init` and `join` print the whole command for the next node; the token is the word behind --token.
runtime::Task<Status> Nodes::create_first() {
    auto& machine = machines_[0];
    std::vector<std::string> arguments = {"init", "--cluster", "shop"};
    std::ranges::copy(own_options(machine), std::back_inserter(arguments));
    auto const said = co_await command(machine, std::move(arguments));
    if (!said) co_return fail(said.error());
    auto const begin = said->find("--token ");
    if (begin == std::string::npos) co_return fail(Code::internal, "pgkeel init printed no join token:\n" + *said);
    auto const rest = said->substr(begin + 8);
    join_token_ = Secret(rest.substr(0, rest.find_first_of(" \n")));
    co_return start(machine);
}

runtime::Task<Status> Nodes::create_next(Machine& machine) {
    std::vector<std::string> arguments = {"join", fmt::format("{}:{}", machines_[0].address, ports_.api)};
    std::ranges::copy(own_options(machine), std::back_inserter(arguments));
    auto const said = co_await command(machine, std::move(arguments));
    if (!said) co_return fail(said.error());
    co_return start(machine);
}

Status Nodes::start(Machine& machine) {
    runtime::ChildSpec spec;
    spec.argv = {program_, "node", "--dir", machine.directory};
    spec.new_session = true;
    spec.signal_at_parent_death = SIGTERM;
    spec.out = runtime::Stream::file(machine.directory + ".log");
    spec.err = runtime::Stream::file(machine.directory + ".log");
    KEEL_TRY(auto child, runtime::Child::spawn(*io_, std::move(spec)));
    machine.process.emplace(std::move(child));
    return {};
}

std::size_t Nodes::pull_the_plug(Machine& machine) {
    std::size_t killed = 0;
    // Twice: a process may have forked between the look and the kill.
    for (auto found = processes_of(machine.directory); !found.empty(); found = processes_of(machine.directory)) {
        // Parents first, so that nobody notices the death of another one and acts on it.
        std::ranges::sort(found);
        bool any = false;
        for (auto const pid : found) any = (::kill(pid, SIGKILL) == 0) || any;
        killed = std::max(killed, found.size());
        if (!any) break;
        std::this_thread::sleep_for(2ms);
        runtime::reap_orphans();
    }
    machine.process.reset();
    runtime::reap_orphans();
    return killed;
}

void Nodes::stop_all() {
    for (auto& machine : machines_) {
        if (machine.process) (void)machine.process->signal(SIGTERM);
    }
    auto const until = runtime::boot_now() + 5s;
    auto const alive = [&] {
        runtime::reap_orphans();
        return std::ranges::any_of(machines_, [](Machine& m) { return m.process && m.process->running(); });
    };
    while (alive() && runtime::boot_now() < until) std::this_thread::sleep_for(20ms);
    // PostgreSQL may outlive its agent; here nothing does.
    for (auto& machine : machines_) pull_the_plug(machine);
}

}  // namespace keel::cli::demo
