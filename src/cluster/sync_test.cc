#include "cluster/sync.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"

namespace keel::cluster {
namespace {

NodeId const kLeader{"leader"};

SyncSet set_of(Mode mode, std::vector<std::string> const& members, std::uint32_t quorum) {
    SyncSet out{mode, {}, quorum, kLeader};
    for (auto const& name : members) out.members.insert(NodeId{name});
    return out;
}

SyncSet const kAlone = set_of(Mode::quorum, {"leader"}, 1);

Names any(std::uint32_t count, std::vector<std::string> const& members) {
    Names out{count, {}};
    for (auto const& name : members) out.members.insert(NodeId{name});
    return out;
}

// The kind of the first step from one set to another, with the old setting in force and everybody caught up.
SyncStep first_step(SyncSet const& from, SyncSet const& to) {
    SyncView view{kLeader, from, to, names_for(to, kLeader), {names_for(from, kLeader)}, Lsn{10}, {}};
    for (auto const& id : to.members) view.flushed[id] = Lsn{10};
    return plan_sync(view);
}

struct Row {
    char const* sentence;
    SyncSet from, to;
    SyncStep::Kind first;
};

TEST(Sync, OrderOfRecordAndSettingFollowsFromTheInequality) {
    auto const record = SyncStep::Kind::write_record;
    auto const setting = SyncStep::Kind::set_names;
    auto const q = [](std::vector<std::string> const& m, std::uint32_t w) { return set_of(Mode::quorum, m, w); };
    for (auto const& row : std::vector<Row>{
             {"add a member at the same quorum: record first", q({"b"}, 1), q({"b", "c"}, 1), record},
             {"remove a member at the same quorum: setting first", q({"b", "c"}, 1), q({"b"}, 1), setting},
             {"add a member and raise the quorum: setting first", q({"b"}, 1), q({"b", "c"}, 2), setting},
             {"remove a member and lower the quorum: record first", q({"b", "c"}, 2), q({"b"}, 1), record},
             {"raise the quorum: setting first", q({"b", "c"}, 1), q({"b", "c"}, 2), setting},
             {"lower the quorum: record first", q({"b", "c"}, 2), q({"b", "c"}, 1), record},
             {"switch sync on: setting first", kAlone, q({"b", "c"}, 1), setting},
             {"degrade: record first, so that nobody else may be promoted", q({"b", "c"}, 1), kAlone, record},
             {"to async: record first", q({"b"}, 1), set_of(Mode::async, {"leader"}, 1), record},
             {"from async: setting first", set_of(Mode::async, {"leader"}, 1), q({"b"}, 1), setting},
         }) {
        EXPECT_EQ(first_step(row.from, row.to).kind, row.first) << row.sentence;
    }
}

TEST(Sync, AMemberIsTakenOutOfTheRecordOnlyWhenEnoughOthersHaveOlderCommits) {
    SyncView view{kLeader,
                  set_of(Mode::quorum, {"b", "c"}, 1),
                  set_of(Mode::quorum, {"b"}, 1),
                  any(1, {"b"}),
                  {any(1, {"b"})},
                  Lsn{100},
                  {{NodeId{"b"}, Lsn{99}}}};
    EXPECT_EQ(plan_sync(view).kind, SyncStep::Kind::wait);
    view.flushed[NodeId{"b"}] = Lsn{100};
    EXPECT_EQ(plan_sync(view).kind, SyncStep::Kind::write_record);
}

TEST(Sync, StrictGoesOnWaitingWhileOnlyTheLeaderIsRecorded) {
    SyncView view{kLeader,
                  set_of(Mode::strict, {"b"}, 1),
                  set_of(Mode::strict, {"leader"}, 1),
                  any(1, {"b", "c"}),
                  {any(1, {"b"})},
                  Lsn{10},
                  {}};
    for (int step = 0; step < 3; ++step) {
        SyncStep const next = plan_sync(view);
        if (next.kind == SyncStep::Kind::write_record) view.recorded = next.record;
        if (next.kind == SyncStep::Kind::set_names) view.possible = {next.names};
        EXPECT_GT(view.possible.front().count, 0U);
    }
    EXPECT_EQ(view.recorded, view.wanted);
    EXPECT_EQ(view.possible.front(), view.wanted_names);
}

TEST(Sync, FencedNodesNeededIsMembersMinusQuorumPlusOne) {
    EXPECT_EQ(fenced_needed(set_of(Mode::quorum, {"b", "c"}, 1)), 2U);
    EXPECT_EQ(fenced_needed(set_of(Mode::quorum, {"b", "c"}, 2)), 1U);
    EXPECT_EQ(fenced_needed(kAlone), 1U);
}

// Every change between every two sets over four nodes, with the setting's change interrupted or not: C at every
// instant, and the wanted set is reached in a few steps.
class EveryChange : public ::testing::Test {
  protected:
    static std::vector<SyncSet> all_sets() {
        std::vector<std::string> const names{"b", "c", "d", "e"};
        std::vector<SyncSet> out{kAlone, set_of(Mode::async, {"leader"}, 1)};
        for (unsigned mask = 1; mask < 16; ++mask) {
            std::vector<std::string> members;
            for (unsigned bit = 0; bit < 4; ++bit) {
                if ((mask >> bit & 1U) != 0) members.push_back(names[bit]);
            }
            for (std::uint32_t w = 1; w <= members.size(); ++w) {
                out.push_back(set_of(Mode::quorum, members, w));
                out.push_back(set_of(Mode::strict, members, w));
            }
        }
        return out;
    }

    static void walk(SyncSet const& from, SyncSet const& to, std::vector<Names> possible) {
        SyncView view{kLeader, from, to, names_for(to, kLeader), std::move(possible), Lsn{10}, {}};
        for (auto const* name : {"b", "c", "d", "e"}) view.flushed[NodeId{name}] = Lsn{10};
        for (int steps = 0; steps < 12; ++steps) {
            ASSERT_TRUE(covers(view.possible, view.recorded, kLeader))
                << json::write(from) << " -> " << json::write(to);
            SyncStep const step = plan_sync(view);
            if (step.kind == SyncStep::Kind::rest) {
                ASSERT_EQ(view.recorded, to);
                ASSERT_EQ(view.possible, std::vector{names_for(to, kLeader)});
                return;
            }
            ASSERT_NE(step.kind, SyncStep::Kind::wait) << json::write(from) << " -> " << json::write(to);
            if (step.kind == SyncStep::Kind::write_record) {
                view.recorded = step.record;
            } else {
                view.possible.push_back(step.names);  // mid-reload both may be in force
                ASSERT_TRUE(covers(view.possible, view.recorded, kLeader))
                    << json::write(from) << " -> " << json::write(to);
                view.possible = {step.names};
            }
        }
        FAIL() << "not reached: " << json::write(from) << " -> " << json::write(to);
    }
};

TEST_F(EveryChange, KeepsTheInequalityAndArrives) {
    auto const sets = all_sets();
    for (auto const& from : sets) {
        for (auto const& to : sets) walk(from, to, {names_for(from, kLeader)});
    }
}

TEST_F(EveryChange, ArrivesFromAnUnfinishedChangeOfTheSetting) {
    auto const sets = all_sets();
    for (auto const& from : sets) {
        for (auto const& other : sets) {
            std::vector<Names> const possible{names_for(from, kLeader), names_for(other, kLeader)};
            if (!covers(possible, from, kLeader)) continue;
            for (auto const& to : {from, other, kAlone}) walk(from, to, possible);
        }
    }
}

// A strict leader begins its reign with names that are wider than the record; an agent that died in the middle of a
// change left "nobody" in force. From both there was once no safe step, and writes hung with good standbys at hand.
TEST_F(EveryChange, ArrivesFromEverySettingThatKeepsTheRecord) {
    auto const sets = all_sets();
    std::vector<Names> settings{any(1, {})};
    for (auto const& set : sets) settings.push_back(names_for(set, kLeader));
    for (auto const& from : sets) {
        for (auto const& names : settings) {
            for (auto const& possible : {std::vector{names}, std::vector{names_for(from, kLeader), names}}) {
                if (!covers(possible, from, kLeader)) continue;
                for (auto const& to : {from, kAlone, set_of(Mode::quorum, {"b"}, 1)}) walk(from, to, possible);
            }
        }
    }
}

}  // namespace
}  // namespace keel::cluster
