// What operators are told before a switchover, by table.
#include "cluster/outlook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace keel::cluster {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

Instant const kNow = Instant{} + 1000s;
constexpr std::uint64_t kEnd = 100U << 20U;

PeerSight standby(std::uint64_t flush) {
    PeerSight out;
    out.heard = kNow - 50ms;
    out.last.state = State::standby;
    out.last.running = out.last.streaming = true;
    out.last.flush = out.last.replay = {flush};
    return out;
}

// anna leads; bela and cleo stream and have everything.
Sight whole() {
    Sight sight;
    sight.self = {"a"};
    sight.name = "anna";
    sight.clock = {kNow, 1'000'000};
    Record record;
    record.name = "shop";
    record.epoch = {4};
    record.leader = {"a"};
    for (auto const& [id, name] : {std::pair("a", "anna"), {"b", "bela"}, {"c", "cleo"}}) {
        record.members[{id}].name = name;
        record.voters.insert({id});
    }
    record.sync = {Mode::quorum, {{"b"}, {"c"}}, 1, {"a"}};
    record.lineage = {{{3}, {2}, {0x1000}, {4}, {"a"}, Fate::live}};
    sight.record = record;
    sight.opinion = {State::primary, "leads", kNow + 1200ms, {4}, false};
    sight.seen.server = Server::primary;
    sight.seen.flush = sight.seen.replay = {kEnd};
    sight.peers[{"b"}] = standby(kEnd);
    sight.peers[{"c"}] = standby(kEnd);
    return sight;
}

TEST(Outlook, a_whole_cluster_hands_over_and_nothing_speaks_against_it) {
    auto const out = outlook_of(whole(), {"cleo", 0});
    EXPECT_TRUE(out.possible) << out.refusal;
    EXPECT_EQ(out.from, "anna");
    EXPECT_EQ(out.to, "cleo");
    EXPECT_THAT(out.cautions, IsEmpty());
    EXPECT_THAT(out.steps, Contains("The nodes elect epoch 5; cleo is promoted onto timeline 4."));
    EXPECT_THAT(render_outlook(out), HasSubstr("Nothing speaks against it."));
}

TEST(Outlook, without_a_name_it_is_the_one_that_an_election_would_choose) {
    EXPECT_EQ(outlook_of(whole(), {}).to, "bela");
    auto sight = whole();
    sight.record->members[{"c"}].tags.priority = 1;
    EXPECT_EQ(outlook_of(sight, {}).to, "cleo");
    sight.record->members[{"c"}].tags.nofailover = true;
    EXPECT_EQ(outlook_of(sight, {}).to, "bela");
    sight.peers[{"b"}].last.disk = Disk::useless;
    auto const none = outlook_of(sight, {});
    EXPECT_FALSE(none.possible);
    EXPECT_THAT(none.refusal, HasSubstr("no standby is close enough"));
}

TEST(Outlook, the_only_standby_may_be_the_one_that_is_asked) {
    auto sight = whole();
    sight.self = {"b"};
    sight.name = "bela";
    sight.opinion = {State::standby, "streams", {}, {4}, false};
    sight.seen.server = Server::recovery;
    sight.seen.streaming = true;
    sight.peers.erase({"b"});
    sight.peers.erase({"c"});
    sight.peers[{"a"}].heard = kNow;
    sight.peers[{"a"}].last.state = State::primary;
    sight.peers[{"a"}].last.leads = {4};
    sight.peers[{"a"}].last.flush = {kEnd};
    for (auto const* to : {"", "bela"}) {
        auto const out = outlook_of(sight, {to, 0});
        EXPECT_EQ(out.to, "bela") << out.refusal;
    }
    sight.seen.streaming = false;
    EXPECT_FALSE(outlook_of(sight, {"bela", 0}).possible);
}

TEST(Outlook, what_would_be_refused_says_why) {
    struct Row {
        char const* why;
        void (*change)(Sight&);
        char const* to = "bela";
    };
    for (auto const& row :
         std::vector<Row>{{"an election is under way", [](Sight& s) { s.record->phase = Phase::revoking; }},
                          {"planned or under way already", [](Sight& s) { s.record->handover = Handover{}; }},
                          {"does not answer", [](Sight& s) { s.peers[{"b"}].heard = kNow - 10s; }},
                          {"does not stream", [](Sight& s) { s.peers[{"b"}].last.streaming = false; }},
                          {"lacks 95.4 MB of WAL",
                           [](Sight& s) { s.peers[{"b"}].last.flush = s.peers[{"b"}].last.replay = {0x493E00}; }},
                          {"disk that takes no writes", [](Sight& s) { s.peers[{"b"}].last.disk = Disk::useless; }},
                          {"is the leader already", [](Sight&) {}, "anna"},
                          {"there is no member", [](Sight&) {}, "dora"},
                          {"does not know the cluster's record", [](Sight& s) { s.record.reset(); }}}) {
        SCOPED_TRACE(row.why);
        auto sight = whole();
        row.change(sight);
        auto const out = outlook_of(sight, {row.to, 0});
        EXPECT_FALSE(out.possible);
        EXPECT_THAT(out.refusal, HasSubstr(row.why));
        EXPECT_FALSE(out.mend.empty());
    }
}

TEST(Outlook, what_makes_it_risky_is_said) {
    struct Row {
        char const* caution;
        void (*change)(Sight&);
    };
    for (auto const& row : std::vector<Row>{
             {"bela is not in the sync set", [](Sight& s) { s.record->sync.members = {{"c"}}; }},
             {"cleo is not well: silent for 10.0 s", [](Sight& s) { s.peers[{"c"}].heard = kNow - 10s; }},
             {"0 of the 1 standbys asked for can acknowledge commits",
              [](Sight& s) { s.peers[{"c"}].last.streaming = false; }},
             {"if one more fails, nobody can be elected", [](Sight& s) { s.peers[{"c"}].heard = kNow - 10s; }},
             {"the cluster is paused", [](Sight& s) { s.record->paused = true; }},
             {"bela's disk is nearly full", [](Sight& s) { s.peers[{"b"}].last.disk = Disk::tight; }},
             {"bela is broken: rotten", [](Sight& s) { s.record->members[{"b"}].broken = "rotten"; }},
             {"a transaction that has been open for 77 s is broken off (pid 5)", [](Sight& s) {
                  s.vitals.emplace();
                  s.vitals->longest_transaction_seconds = 77;
                  s.vitals->longest_transaction = "pid 5";
              }}}) {
        SCOPED_TRACE(row.caution);
        auto sight = whole();
        row.change(sight);
        auto const out = outlook_of(sight, {"bela", 0});
        EXPECT_TRUE(out.possible) << out.refusal;
        EXPECT_THAT(out.cautions, Contains(HasSubstr(row.caution)));
    }
}

TEST(Outlook, one_that_is_planned_may_wait_for_a_standby_to_catch_up) {
    auto sight = whole();
    sight.peers[{"b"}].last.streaming = false;
    EXPECT_FALSE(outlook_of(sight, {"bela", 0}).possible);
    auto const later = outlook_of(sight, {"bela", 2'000'000});
    EXPECT_TRUE(later.possible) << later.refusal;
    EXPECT_THAT(later.cautions, Contains(HasSubstr("bela does not stream from the leader now")));
    EXPECT_THAT(later.steps.front(), HasSubstr("Nothing happens until"));
}

}  // namespace
}  // namespace keel::cluster
