// PostgreSQL's processes as the kernel shows them: the postmaster of a data directory, and whatever else runs there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keel::postgres {

struct ServerProcess {
    pid_t pid = 0;
    pid_t parent = 0;
    std::uint64_t start_ticks = 0;  // proc(5) stat field 22; with the pid it names a process for ever
    char state = 'S';               // proc(5) stat field 3; T: stopped
    bool titled = false;            // "postgres: ...": a child of a postmaster
};

// Processes that run the program postgres with the data directory as working directory (every server process has it:
// ChangeToDataDir in the postmaster, inherited by its children). Zombies are not among them.
std::vector<ServerProcess> server_processes(std::string const& data);

// The living postmaster that postmaster.pid names, when it really is one of this data directory.
std::optional<ServerProcess> find_postmaster(std::string const& data);
// The same in two small reads when it is still `known`, which is nearly always: for whoever looks ten times a second.
std::optional<ServerProcess> find_postmaster(std::string const& data, std::optional<ServerProcess> const& known);
// The same process as before still lives.
bool alive(ServerProcess const& process, std::string const& data);

// Children whose postmaster is gone.
std::vector<ServerProcess> orphans(std::vector<ServerProcess> const& all);

// pidfd_open(2), close-on-exec; -1 when it is gone (or the pid names another process by now).
int open_pidfd(ServerProcess const& process, std::string const& data);

// Programs that an agent before us left at work on `path` (a base backup, a rewind): SIGKILL, until they are gone.
void end_leftovers(std::string const& path);

// To exactly this process, never to a recycled pid. False when it is gone.
bool send_signal(ServerProcess const& process, std::string const& data, int number);

}  // namespace keel::postgres
