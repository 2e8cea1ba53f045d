// What a switchover would do, told before it is asked for: whether it can be, who would lead, step by step, and what to
// think of first. Pure, and changes nothing.
#pragma once

#include "cluster/operations.h"
#include "cluster/status.h"

namespace keel::cluster {

struct Outlook {
    bool possible = false;
    std::string refusal, mend;  // why not, and what to do; empty when it is possible
    std::string from;           // name of the leader
    std::string to;             // who would lead: the one asked for, else the likely one; empty when nobody could
    std::vector<std::string> steps;
    std::vector<std::string> cautions;  // what an operator should know first; empty: nothing speaks against it
};
BOOST_DESCRIBE_STRUCT(Outlook, (), (possible, refusal, mend, from, to, steps, cautions))

// As one agent sees it now: the leader looks again when it is asked.
Outlook outlook_of(Sight const& sight, SwitchoverRequest const& request);

std::string render_outlook(Outlook const& outlook);

}  // namespace keel::cluster
