#include "cluster/node_table.h"

#include <algorithm>
#include <array>

namespace keel::cluster {

namespace {

using enum State;

constexpr std::array kTable = {
    Edge{fresh, cloning, "no data directory yet"},
    Edge{fresh, standby, "its server is there"},
    Edge{fresh, catchup, "an election runs, and it lacks WAL"},
    Edge{fresh, fenced, "an election runs"},
    Edge{fresh, restarting, "led before its agent started"},
    Edge{fresh, primary, "its agent restarted and adopted the primary"},
    Edge{fresh, promoting, "its agent restarted while it took over"},
    Edge{fresh, gated, "its agent restarted after the promotion"},
    Edge{fresh, broken, "its agent restarted, and the promotion is spent"},
    Edge{fresh, expired, "adopted a server that has no lease"},
    Edge{fresh, diverged, "came back with WAL of its own"},
    Edge{fresh, maintenance, "paused by the operator"},
    Edge{cloning, standby, "the copy is whole"},
    Edge{cloning, maintenance, "paused by the operator"},
    Edge{cloning, fenced, "an election runs"},
    Edge{cloning, broken, "its disk takes no writes"},
    Edge{fenced, catchup, "lacks WAL that another fenced node has"},
    Edge{catchup, fenced, "has it, or the time is over"},
    Edge{catchup, standby, "the new leader reigns"},
    Edge{catchup, promoting, "appointed"},
    Edge{catchup, diverged, "has WAL that the new leader has not"},
    Edge{catchup, maintenance, "paused by the operator"},
    Edge{catchup, broken, "its disk takes no writes"},
    Edge{standby, fenced, "promised a newer epoch"},
    Edge{standby, diverged, "has WAL that the cluster's history has not"},
    Edge{standby, cloning, "its WAL position is no longer to be had"},
    Edge{standby, maintenance, "paused by the operator"},
    Edge{standby, promoting, "appointed before it heard of the election"},
    Edge{standby, broken, "its disk takes no writes"},
    Edge{standby, expired, "a server of its was primary without a right to"},
    Edge{fenced, standby, "the new leader reigns"},
    Edge{fenced, promoting, "appointed"},
    Edge{fenced, diverged, "has WAL that the new leader has not"},
    Edge{fenced, cloning, "its data directory must be copied anew"},
    Edge{fenced, rewinding, "the new leader reigns while the rewind goes on"},
    Edge{fenced, expired, "a server of its was primary without a right to"},
    Edge{fenced, maintenance, "paused by the operator"},
    Edge{fenced, broken, "its disk takes no writes"},
    Edge{fenced, restarting, "its election came to nothing"},
    Edge{promoting, gated, "left recovery"},
    Edge{promoting, restarting, "the record confirms it, and its server is gone"},
    Edge{promoting, primary, "the record confirms it"},
    Edge{promoting, maintenance, "the record confirms it, its server is gone, and the operator paused it"},
    Edge{promoting, broken, "the promotion failed"},
    Edge{promoting, expired, "the lease ran out"},
    Edge{promoting, fenced, "a newer epoch was taken"},
    Edge{promoting, standby, "another was appointed"},
    Edge{promoting, diverged, "another was appointed after it left recovery"},
    Edge{gated, primary, "the record confirms it"},
    Edge{gated, expired, "the lease ran out"},
    Edge{gated, restarting, "its server died"},
    Edge{gated, promoting, "its server died before the record confirmed it"},
    Edge{gated, broken, "the promotion failed"},
    Edge{gated, stepping_down, "asked to hand over"},
    Edge{primary, stepping_down, "asked to hand over"},
    Edge{primary, expired, "the lease ran out or the epoch is over"},
    Edge{primary, restarting, "its server died"},
    Edge{primary, fenced, "a newer epoch was taken"},
    Edge{primary, maintenance, "its server died while paused"},
    Edge{primary, broken, "its server died, and its disk takes no writes"},
    Edge{restarting, broken, "its disk takes no writes"},
    Edge{restarting, fenced, "a newer epoch was taken"},
    Edge{restarting, primary, "its adopted server answers at last"},
    Edge{restarting, expired, "its server still does not answer"},
    Edge{restarting, standby, "another leads"},
    Edge{restarting, promoting, "elected again"},
    Edge{restarting, maintenance, "paused by the operator"},
    Edge{restarting, diverged, "another leads, and it has WAL of its own"},
    Edge{stepping_down, fenced, "the election of its successor runs"},
    Edge{stepping_down, standby, "its successor reigns"},
    Edge{stepping_down, restarting, "the hand-over came to nothing"},
    Edge{stepping_down, primary, "the hand-over was called off"},
    Edge{stepping_down, expired, "the lease ran out"},
    Edge{stepping_down, maintenance, "handed over, and paused before it heard of its successor"},
    Edge{stepping_down, broken, "its disk takes no writes"},
    Edge{expired, fenced, "killed; an election runs"},
    Edge{expired, standby, "killed; another leads"},
    Edge{expired, diverged, "killed; has WAL of its own"},
    Edge{expired, restarting, "killed; nobody else leads yet"},
    Edge{expired, stepping_down, "killed while it handed over"},
    Edge{expired, promoting, "killed; appointed again"},
    Edge{expired, broken, "killed in the middle of a promotion"},
    Edge{expired, maintenance, "killed; paused by the operator"},
    Edge{diverged, rewinding, "another leads, and can be copied from"},
    Edge{diverged, maintenance, "paused by the operator"},
    Edge{diverged, cloning, "a rewind is not possible"},
    Edge{diverged, standby, "the history shows that it has not diverged"},
    Edge{diverged, fenced, "an election runs"},
    Edge{diverged, broken, "its disk takes no writes"},
    Edge{rewinding, maintenance, "paused by the operator"},
    Edge{rewinding, standby, "rewound"},
    Edge{rewinding, diverged, "the rewind's source was lost"},
    Edge{rewinding, cloning, "the rewind failed"},
    Edge{rewinding, fenced, "an election runs"},
    Edge{rewinding, broken, "its disk takes no writes"},
    Edge{broken, fenced, "killed; the next candidate's turn"},
    Edge{broken, standby, "another leads"},
    Edge{broken, diverged, "another leads, and it has WAL of its own"},
    Edge{broken, expired, "the lease ran out while it gave up"},
    Edge{broken, maintenance, "paused by the operator"},
    Edge{broken, restarting, "its own promotion was confirmed, and its server is gone"},
    Edge{broken, promoting, "appointed again"},
    Edge{broken, primary, "the record confirms it after all"},
    Edge{broken, cloning, "its data directory must be copied anew"},
    Edge{maintenance, standby, "resumed"},
    Edge{maintenance, fenced, "an election runs"},
    Edge{maintenance, restarting, "resumed"},
    Edge{maintenance, primary, "resumed"},
    Edge{maintenance, diverged, "resumed with WAL of its own"},
    Edge{maintenance, cloning, "resumed"},
    Edge{maintenance, rewinding, "resumed"},
    Edge{maintenance, broken, "its disk takes no writes"},
};

}  // namespace

std::span<Edge const> node_table() { return kTable; }

bool may_follow(State from, State to) {
    return from == to || std::ranges::any_of(kTable, [&](Edge const& e) { return e.from == from && e.to == to; });
}

std::string node_table_dot() {
    auto const name = [](State s) { return std::string(boost::describe::enum_to_string(s, "?")); };
    std::string out = "digraph node {\n";
    for (auto const& edge : kTable)
        out += "  " + name(edge.from) + " -> " + name(edge.to) + " [label=\"" + edge.why + "\"];\n";
    return out + "}\n";
}

}  // namespace keel::cluster
