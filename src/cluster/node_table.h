// THE table of node states: what may follow what, and why. The simulator and the exhaustive test hold every change of
// state against it; the documentation's diagram is printed from it.
#pragma once

#include <span>
#include <string>

#include "cluster/messages.h"

namespace keel::cluster {

struct Edge {
    State from;
    State to;
    char const* why;
};

std::span<Edge const> node_table();
// True for from == to as well.
bool may_follow(State from, State to);
// The table as a Graphviz digraph.
std::string node_table_dot();

}  // namespace keel::cluster
