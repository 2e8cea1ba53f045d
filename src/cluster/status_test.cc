#include "cluster/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace keel::cluster {
namespace {

using testing::HasSubstr;
using testing::Not;

Instant const kNow = Instant{} + 1000s;

Member member(std::string name, Kind kind = Kind::data) {
    Member out;
    out.name = name;
    out.kind = kind;
    out.peer = name + ":7432";
    if (kind == Kind::data) out.postgres = name + ":5432";
    return out;
}

PeerSight standby(Lsn flush, Duration ago = 50ms) {
    PeerSight out;
    out.heard = kNow - ago;
    out.last.state = State::standby;
    out.last.running = out.last.streaming = true;
    out.last.timeline = {3};
    out.last.flush = out.last.replay = flush;
    return out;
}

// anna tells: she leads, bela is level, cleo is 1 MB behind, wanda votes.
Sight healthy() {
    Sight sight;
    sight.self = {"a"};
    sight.name = "anna";
    sight.clock = {kNow, 1'763'711'000'123};
    Record record;
    record.name = "shop";
    record.cluster_id = "0000";
    record.revision = 17;
    record.epoch = {4};
    record.leader = {"a"};
    record.members = {{{"a"}, member("anna")},
                      {{"b"}, member("bela")},
                      {{"c"}, member("cleo")},
                      {{"w"}, member("wanda", Kind::witness)}};
    record.voters = {{"a"}, {"b"}, {"w"}};
    record.sync = {Mode::quorum, {{"b"}, {"c"}}, 1, {"a"}};
    record.lineage = {{{3}, {2}, {0x1000}, {4}, {"a"}, Fate::live}};
    note(record, {"a"}, 1'763'710'000'000, "leader", "anna leads epoch 4 on timeline 3, from 0/1000");
    sight.record = record;
    sight.opinion = {State::primary, "leads epoch 4 with the lease", kNow + 1200ms, {4}, false};
    sight.seen.server = Server::primary;
    sight.seen.timeline = {3};
    sight.seen.flush = sight.seen.replay = {0x300000};
    sight.peers[{"b"}] = standby({0x300000});
    sight.peers[{"c"}] = standby({0x200000});
    sight.peers[{"c"}].last.replay_delay = 1500ms;
    sight.peers[{"w"}].heard = kNow - 20ms;
    sight.peers[{"w"}].last.state = State::witness;
    return sight;
}

MemberStatus const& of(ClusterStatus const& status, std::string const& name) {
    return *std::ranges::find(status.members, name, &MemberStatus::name);
}

TEST(Status, a_sound_cluster_is_fine_in_one_sentence) {
    auto const status = status_of(healthy());
    EXPECT_EQ(status.health, "ok");
    EXPECT_EQ(status.verdict, "Fine: anna leads, 2 standbys stream; any 1 node may fail without losing a commit.");
    EXPECT_EQ(status.lease_ms, 1200);
    EXPECT_EQ(status.fence, "degraded (extension not loaded)");
    EXPECT_EQ(status.voters_alive, 3U);
    EXPECT_EQ(status.members.front().name, "anna");
    EXPECT_EQ(status.members.back().name, "wanda");
}

TEST(Status, lag_is_told_in_bytes_and_seconds_and_only_where_there_is_any) {
    auto const status = status_of(healthy());
    EXPECT_EQ(of(status, "bela").lag_bytes, 0U);
    EXPECT_EQ(of(status, "bela").lag_seconds, std::nullopt);
    EXPECT_EQ(of(status, "cleo").lag_bytes, 0x100000U);
    EXPECT_EQ(of(status, "cleo").lag_seconds, 1.5);
    EXPECT_EQ(of(status, "anna").lag_bytes, std::nullopt);
    EXPECT_EQ(of(status, "wanda").lag_bytes, std::nullopt);
    EXPECT_EQ(of(status, "bela").role, "sync standby");
}

TEST(Status, the_leaders_walsender_is_newer_than_a_heartbeat) {
    Sight sight = healthy();
    Sender sender;
    sender.node = {"c"};
    sender.streaming = true;
    sender.flush = sender.replay = {0x300000};
    sight.seen.senders = {sender};
    EXPECT_EQ(of(status_of(sight), "cleo").lag_bytes, 0U);
}

struct Trouble {
    char const* sentence;
    void (*change)(Sight&);
    char const* health;
    char const* verdict;
};

TEST(Status, trouble_is_named) {
    std::vector<Trouble> const rows = {
        {"a silent standby", [](Sight& s) { s.peers[{"c"}].heard = kNow - 9s; }, "degraded", "cleo silent for 9.0 s"},
        {"a standby never heard of", [](Sight& s) { s.peers.erase({"c"}); }, "degraded", "cleo not heard since"},
        {"a standby that does not stream", [](Sight& s) { s.peers[{"c"}].last.streaming = false; }, "degraded",
         "cleo does not stream"},
        {"a broken member",
         [](Sight& s) {
             s.record->members[{"c"}].broken = "its promotion stalled";
             s.peers[{"c"}].last.streaming = false;
         },
         "degraded", "broken: its promotion stalled"},
        {"the leader is alone", [](Sight& s) { s.record->sync = {Mode::quorum, {{"a"}}, 1, {"a"}}; }, "degraded",
         "commits wait for 0 of the 1 standbys"},
        {"paused", [](Sight& s) { s.record->paused = true; }, "degraded", "paused by an operator"},
        {"the store is away", [](Sight& s) { s.store_trouble = "no majority"; }, "degraded", "no majority"},
        {"an election", [](Sight& s) { s.record->phase = Phase::revoking, s.record->leader = {}; }, "down",
         "an election is under way"},
        {"the lease is lost", [](Sight& s) { s.opinion.lease_deadline = {}; }, "down", "anna does not answer"},
        {"blocked", [](Sight& s) { s.opinion = {State::fenced, "blocked: waiting for anna", {}, {5}, true}; }, "down",
         "No primary. blocked: waiting for anna"},
        {"no record yet",
         [](Sight& s) {
             s.record.reset();
             s.opinion.reason = "waiting for the cluster's record";
         },
         "down", "knows no cluster yet: waiting for the cluster's record"},
    };
    for (auto const& row : rows) {
        SCOPED_TRACE(row.sentence);
        Sight sight = healthy();
        row.change(sight);
        auto const status = status_of(sight);
        EXPECT_EQ(status.health, row.health);
        EXPECT_THAT(status.verdict, HasSubstr(row.verdict));
        EXPECT_THAT(render_status(status), HasSubstr(row.verdict));
    }
}

TEST(Status, the_report_survives_the_codec) {
    auto const status = status_of(healthy());
    auto const back = json::read<ClusterStatus>(json::write(status));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(json::write(*back), json::write(status));
}

TEST(StatusText, one_screen_shows_members_roles_and_lag) {
    auto const text = render_status(status_of(healthy()));
    EXPECT_THAT(text, HasSubstr("commits    quorum: commits wait for any 1 of bela, cleo\n"));
    EXPECT_THAT(text, HasSubstr("  cleo    sync standby  standby  3   1.0 MB, 1.5 s  cleo:5432\n"));
    EXPECT_THAT(text, HasSubstr("  bela    sync standby  standby  3   caught up"));
    EXPECT_THAT(text, HasSubstr("fence      degraded (extension not loaded)"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "no colour unless it is asked for";
    EXPECT_THAT(render_status(status_of(healthy()), {.colour = true}), HasSubstr("\x1b[32m"));
}

TEST(StatusText, the_days_of_the_certificate_are_told) {
    Sight sight = healthy();
    EXPECT_THAT(render_status(status_of(sight)), Not(HasSubstr("certificate"))) << "not known";
    sight.certificate_until_unix_ms = sight.clock.unix_ms + 3 * 86'400'000 + 1;
    EXPECT_THAT(render_status(status_of(sight)), HasSubstr("certificate of anna is good for 3 days"));
}

TEST(StatusText, the_topology_is_a_tree) {
    Sight sight = healthy();
    auto status = status_of(sight);
    std::ranges::find(status.members, "cleo", &MemberStatus::name)->upstream = "bela";
    EXPECT_EQ(render_topology(status),
              "anna  leader, timeline 3\n"
              "└─ bela  sync standby, caught up, timeline 3\n"
              "   └─ cleo  sync standby, 1.0 MB, 1.5 s, timeline 3\n"
              "wanda  witness\n");
}

TEST(StatusText, upstreams_in_a_circle_do_not_hang_the_drawing) {
    auto status = status_of(healthy());
    std::ranges::find(status.members, "bela", &MemberStatus::name)->upstream = "cleo";
    std::ranges::find(status.members, "cleo", &MemberStatus::name)->upstream = "bela";
    auto const text = render_topology(status);
    EXPECT_THAT(text, HasSubstr("bela"));
    EXPECT_THAT(text, HasSubstr("cleo"));
}

TEST(StatusText, foreign_text_cannot_steer_the_terminal) {
    Sight sight = healthy();
    sight.peers[{"c"}].last.problem = "bad\x1b[2Jthing\nnext";
    auto const text = render_status(status_of(sight));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("bad [2Jthing next"));
}

TEST(StatusText, history_names_the_nodes) {
    Sight const sight = healthy();
    EXPECT_EQ(render_history(sight.record->history, {{{"a"}, "anna"}}),
              "  2025-11-21 07:26:40.000Z  epoch 4  leader  anna  anna leads epoch 4 on timeline 3, from 0/1000\n");
    EXPECT_EQ(render_history({}, {}), "Nothing has happened yet.\n");
}

TEST(Explain, the_last_decision_and_what_it_rests_on) {
    auto const text = render_explanation(explain(healthy()));
    EXPECT_THAT(text, HasSubstr("2025-11-21 07:26:40.000Z: anna leads epoch 4 on timeline 3, from 0/1000."));
    EXPECT_THAT(text, HasSubstr("every acknowledged commit is on anna and at least 1 of bela, cleo"));
    EXPECT_THAT(text, HasSubstr("every member is heard"));
    EXPECT_THAT(text, HasSubstr("this node (anna) is primary: leads epoch 4 with the lease"));
}

TEST(Explain, a_blocked_cluster_says_what_it_waits_for) {
    Sight sight = healthy();
    sight.opinion = {State::fenced, "blocked: waiting for bela", {}, {5}, true};
    sight.peers.erase({"b"});
    auto const text = render_explanation(explain(sight));
    EXPECT_THAT(text, HasSubstr("Nobody is promoted: blocked: waiting for bela."));
    EXPECT_THAT(text, HasSubstr("not heard: bela"));
}

TEST(StatusText, sizes_for_people) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(1536), "1.5 kB");
    EXPECT_EQ(bytes_text(5ULL << 40U), "5.0 TB");
}

}  // namespace
}  // namespace keel::cluster
