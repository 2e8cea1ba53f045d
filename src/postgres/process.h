// PostgreSQL's processes as the kernel shows them: the postmaster of a data directory, and whatever else runs there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace keel::postgres {

struct ServerProcess {
    pid_t pid = 0;
    pid_t parent = 0;
    std::uint64_t start_ticks = 0;  // proc(5) stat field 22; with the pid it names a process for ever
    char state = 'S';               // proc(5) stat field 3; T: stopped
};

// A server process, by its command line, which lies in that process's own memory: whoever reads it may wait for a page
// of it to come back from a disk.
bool is_child(ServerProcess const& process);

// Processes that run the program postgres with the data directory as working directory (every server process has it:
// ChangeToDataDir in the postmaster, inherited by its children). Zombies are not among them.
std::vector<ServerProcess> server_processes(std::string const& data);

// ---- for a process that must not wait: no heap, no lock, no disk, and nothing of the processes' own memory
using Visit = void (*)(void* context, ServerProcess const& process);
void each_server_process(std::string const& data, Visit visit, void* context);

// The same process as before still lives.
bool alive(ServerProcess const& process, std::string const& data);

// SIGKILL waits so long for SIGQUIT, which lets the postmaster tell its clients and clear its shared memory up. Well
// below what the lease sets aside to kill a server (cluster/lease.h): the fence must not rest on a server's good will.
inline constexpr Duration kGentle = 20ms;

struct EndServer {
    // Gets SIGQUIT. pid 0, one that is gone, or stopped (it would pass nothing on): SIGKILL for all at once.
    ServerProcess postmaster;
    Duration limit{10s};
    // Called about every millisecond.
    void (*each_round)(void* context) = nullptr;
    void* context = nullptr;
};
// Until no process of the server is left, those of a dead postmaster included, or the limit is over (some are blocked
// in the kernel: they die before they run again); how many are left.
std::size_t end_server(std::string const& data, EndServer const& how);
// Runs through everything that end_server() needs, so that it is in memory, and hurts nobody.
void rehearse_end(std::string const& data);
// ----

// The living postmaster that postmaster.pid names, when it really is one of this data directory.
std::optional<ServerProcess> find_postmaster(std::string const& data);
// The same in two small reads when it is still `known`, which is nearly always: for whoever looks ten times a second.
std::optional<ServerProcess> find_postmaster(std::string const& data, std::optional<ServerProcess> const& known);
// Children whose postmaster is gone.
std::vector<ServerProcess> orphans(std::vector<ServerProcess> const& all);

// pidfd_open(2), close-on-exec; -1 when it is gone (or the pid names another process by now).
int open_pidfd(ServerProcess const& process, std::string const& data);

// Programs that an agent before us left at work on `path` (a base backup, a rewind): SIGKILL, until they are gone.
void end_leftovers(std::string const& path);

// To exactly this process, never to a recycled pid. False when it is gone.
bool send_signal(ServerProcess const& process, std::string const& data, int number);

}  // namespace keel::postgres
