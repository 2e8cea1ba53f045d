#include "cluster/node_table.h"

#include <gtest/gtest.h>

#include <set>

namespace keel::cluster {
namespace {

TEST(NodeTable, NamesEachEdgeOnceAndSaysWhy) {
    std::set<std::pair<State, State>> seen;
    for (auto const& edge : node_table()) {
        EXPECT_TRUE(seen.emplace(edge.from, edge.to).second) << edge.why;
        EXPECT_NE(edge.from, edge.to);
        EXPECT_FALSE(std::string_view(edge.why).empty());
    }
}

TEST(NodeTable, OnlyAPromotionLeadsToPrimary) {
    for (auto const& edge : node_table()) {
        if (edge.to != State::primary) continue;
        // fresh, maintenance, restarting and stepping_down: the server was primary all along.
        std::set<State> const allowed{State::promoting,   State::gated,      State::broken,       State::fresh,
                                      State::maintenance, State::restarting, State::stepping_down};
        EXPECT_TRUE(allowed.contains(edge.from)) << edge.why;
    }
}

TEST(NodeTable, EveryStateCanBeLeftAndReached) {
    std::set<State> from, to;
    for (auto const& edge : node_table()) {
        from.insert(edge.from);
        to.insert(edge.to);
    }
    EXPECT_EQ(from.size(), 15U) << "all but witness, which never changes";
    EXPECT_EQ(to.size(), 14U) << "all but witness and fresh, where a node begins";
}

}  // namespace
}  // namespace keel::cluster
