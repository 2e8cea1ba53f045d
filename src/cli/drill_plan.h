// What a drill is asked to do, whether the cluster can bear it now, and what it puts at risk. Pure.
#pragma once

#include <sys/types.h>

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/status.h"

namespace keel::cli::drill {

// switchover: the leader hands over, nothing is killed. The others are a SIGKILL on the node of the primary:
// postmaster: its PostgreSQL; agent: its agent, which is started again; node: every process of it.
enum class Fault { switchover, postmaster, agent, node };
BOOST_DESCRIBE_ENUM(Fault, switchover, postmaster, agent, node)

struct Order {
    Fault fault = Fault::switchover;
    std::string target;     // switchover: who shall lead; empty: the best standby
    std::string self;       // name of the node that the drill runs on
    bool own_role = false;  // an operator's role writes, which may make its schema from anywhere
};

// A process that the fault hits.
struct Process {
    pid_t pid = 0;
    std::string what;  // "postmaster", "agent", "guardian", "node", "backend"
};
BOOST_DESCRIBE_STRUCT(Process, (), (pid, what))

// Everything that is missing for a cluster to be whole: its leader reigns, every member is healthy, the sync set is
// what the settings ask for and streams. Each says what, and how to mend it; empty: whole.
std::vector<Error> not_whole(cluster::ClusterStatus const& status);

// Everything that speaks against this drill now, not_whole() included.
std::vector<Error> objections(cluster::ClusterStatus const& status, Order const& order);

// Who may take over: streams, may be promoted, and, unless the mode is async, is in the sync set.
std::vector<std::string> candidates(cluster::ClusterStatus const& status);

// One sentence: what is done, to which processes.
std::string fault_text(Order const& order, std::string const& leader, std::vector<Process> const& processes);
// What the fault may cost in this mode; a sentence each.
std::vector<std::string> risks(cluster::ClusterStatus const& status, Fault fault);

// For --dry-run: what would happen.
struct Plan {
    std::string cluster, leader;
    std::string mode;
    std::string fault, action;       // its name, and fault_text()
    std::vector<Process> processes;  // that would be killed
    std::vector<std::string> candidates, risks;
    std::string load;  // what writes and reads where, as whom
    std::vector<std::string> objections;
};
BOOST_DESCRIBE_STRUCT(Plan, (), (cluster, leader, mode, fault, action, processes, candidates, risks, load, objections))
std::string render(Plan const& plan);

}  // namespace keel::cli::drill
