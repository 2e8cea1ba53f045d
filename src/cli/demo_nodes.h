// The demo's three machines: each a directory, an address of loopback and a real `pgkeel node` process tree.
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "postgres/libpq.h"
#include "runtime/child.h"

namespace keel::cli::demo {

struct Machine {
    std::string name;
    std::string address;
    std::string directory;
    std::optional<runtime::Child> process;
};

struct Ports {
    std::uint16_t peer = 0;
    std::uint16_t api = 0;
    std::uint16_t postgres = 0;
    std::uint16_t proxy = 0;  // the first of three
};

class Nodes {
  public:
    // Below `root`, an empty directory of this user. Ports that nobody uses on all three addresses are looked for.
    static Result<Nodes> plan(runtime::Io& io, std::string const& root);

    std::array<Machine, 3>& machines() { return machines_; }
    Machine& machine(std::string const& name);
    Ports const& ports() const { return ports_; }

    // `pgkeel init` and the first node; then `pgkeel join` for each of the others, and their nodes.
    runtime::Task<Status> create_first();
    runtime::Task<Status> create_next(Machine& machine);
    Status start(Machine& machine);
    // SIGKILL to every process of the machine at once: agent, guardian, postmaster, backends. Returns how many.
    std::size_t pull_the_plug(Machine& machine);
    // Ends everything: SIGTERM, after 5 s SIGKILL. Blocks.
    void stop_all();

    // Every machine's proxy: to the primary, or to the standbys.
    std::vector<postgres::Endpoint> proxies(bool readers) const;
    // The superuser over the Unix socket.
    postgres::ConnInfo administrator(Machine const& machine) const;
    // Runs this program with one of its commands against the machine's directory; its output.
    runtime::Task<Result<std::string>> command(Machine const& machine, std::vector<std::string> arguments);

  private:
    explicit Nodes(runtime::Io& io) : io_(&io) {}
    std::vector<std::string> own_options(Machine const& machine) const;
    runtime::Task<Result<std::string>> run(std::vector<std::string> arguments, Duration limit);

    runtime::Io* io_;
    std::string program_;
    Ports ports_;
    std::array<Machine, 3> machines_;
    Secret join_token_;
};

// Processes whose working directory or arguments name the directory; never this process.
std::vector<pid_t> processes_of(std::string const& directory);

}  // namespace keel::cli::demo
