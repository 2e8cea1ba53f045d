// The layer against real PostgreSQL servers.
#include "postgres/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "postgres/test_cluster.h"
#include "postgres/timelines.h"

namespace keel::postgres::test {
namespace {

TEST(PostgresServer, InitStartsPromotesClonesAndStreams) {
    Pair c;
    EXPECT_EQ(c.a.server->observe().server, ServerState::absent);
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    auto seen = c.a.server->observe();
    EXPECT_EQ(seen.server, ServerState::primary);
    EXPECT_EQ(seen.timeline, Timeline{2});
    EXPECT_EQ(seen.problem, "");

    std::vector<Progress> steps;
    auto slots = command(Verb::slots);
    slots.members = {c.b.place.id};
    RUN(c.a.run(slots));
    EXPECT_EQ(c.a.server->observe().slots, std::set<NodeId>{c.b.place.id});
    RUN(c.b.run(command(Verb::clone, c.a.place.id), c.peers, [&](Progress const& p) { steps.push_back(p); }));
    ASSERT_FALSE(steps.empty());
    EXPECT_EQ(steps.back().done_bytes, steps.back().total_bytes);
    EXPECT_EQ(c.b.server->observe().server, ServerState::stopped);
    RUN(c.b.run(command(Verb::start, c.a.place.id), c.peers));
    ASSERT_TRUE(eventually([&] {
        auto const senders = c.a.server->observe().senders;
        return senders.size() == 1 && senders[0].node == c.b.place.id && senders[0].streaming;
    }));
    ASSERT_EQ(c.a.sql("INSERT INTO public.t(worker) VALUES (7)"), "");
    ASSERT_TRUE(c.level());
    EXPECT_EQ(c.b.sql("SELECT worker FROM public.t"), "7");
    seen = c.b.server->observe();
    EXPECT_EQ(seen.server, ServerState::recovery);
    EXPECT_TRUE(seen.settled);
    EXPECT_EQ(seen.timeline, Timeline{2});
    EXPECT_EQ(seen.upstream, c.a.place.id);
    EXPECT_TRUE(seen.names.members.empty());
}

TEST(PostgresServer, BadParametersAreKnownBeforeAServerHasThem) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    EXPECT_TRUE(try_parameters(c.a.place, {{"work_mem", "8MB"}, {"max_connections", "150"}, {"an.extension", "x"}}));
    for (auto const& [name, value] : {std::pair("work_mem", "8XB"), {"max_connections", "abc"}, {"nonsuch", "1"}}) {
        auto const refused = try_parameters(c.a.place, {{name, value}});
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().code, Code::invalid);
        EXPECT_NE(refused.error().text.find(name), std::string::npos) << refused.error().text;
    }
}

TEST(PostgresServer, ParametersOfOursCannotBeTakenOver) {
    TestCluster c;
    auto& a = c.add("a");
    Settings wrong;
    wrong.node = {{"synchronous_standby_names", "x"}, {"work_mem", "8MB"}};
    EXPECT_FALSE(a.server->set_settings(wrong));
    EXPECT_FALSE(init(a.place, wrong));
    EXPECT_FALSE(std::filesystem::exists(a.place.data()));
    Settings right;
    right.cluster = {{"work_mem", "8MB"}, {"log_min_messages", "info"}};
    right.node = {{"work_mem", "9MB"}};
    ASSERT_TRUE(a.server->set_settings(right));
    ASSERT_TRUE(init(a.place, right));
    EXPECT_FALSE(init(a.place, right)) << "a directory in use must be refused";
    RUN(a.run(command(Verb::start)));
    EXPECT_EQ(a.sql("SHOW work_mem"), "9MB");
    EXPECT_EQ(a.sql("SHOW data_checksums"), "on");
    ASSERT_EQ(a.sql("ALTER SYSTEM SET primary_conninfo = 'host=nowhere'"), "");
    ASSERT_EQ(a.sql("ALTER SYSTEM SET work_mem = '10MB'"), "");
    RUN(a.run(command(Verb::configure)));
    EXPECT_TRUE(eventually([&] { return a.sql("SHOW work_mem") == "10MB"; }));
    EXPECT_EQ(a.sql("SHOW primary_conninfo"), "");

    right.node = {{"maintenance_work_mem", "many"}};
    ASSERT_TRUE(a.server->set_settings(right));
    auto const refused = a.run(command(Verb::configure));
    EXPECT_FALSE(refused.ok);
    EXPECT_NE(refused.text.find("maintenance_work_mem"), std::string::npos) << refused.text;

    // Also behind our back while the server is down.
    RUN(a.run(command(Verb::stop)));
    ASSERT_TRUE(a.server->set_settings({}));
    ASSERT_TRUE(
        runtime::write_atomically(a.place.data() + "/postgresql.auto.conf", "restart_after_crash = 'on'\n", 0600));
    // And claims that a promotion left which never came.
    ASSERT_TRUE(claim_below(a.place.data(), {1}, {4}));
    RUN(a.run(command(Verb::start)));
    EXPECT_EQ(a.sql("SHOW restart_after_crash"), "off");
}

TEST(PostgresServer, CutStopsTheReceiverForGood) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    Writer const writer(c.a);
    for (int round = 0; round < 5; ++round) {
        auto const cut = c.b.run(command(Verb::cut));
        ASSERT_TRUE(cut.ok) << cut.text;
        EXPECT_EQ(cut.text, "") << "the server had to be stopped";
        EXPECT_FALSE(cut.seen.receiver);
        EXPECT_EQ(cut.seen.upstream, NodeId{});
        auto const before = writer.acknowledged.load();
        ASSERT_TRUE(eventually([&] { return writer.acknowledged > before + 20; }));
        auto const later = c.b.server->observe();
        EXPECT_EQ(later.flush, cut.seen.flush) << "WAL arrived after the cut";
        EXPECT_FALSE(later.receiver);
        RUN(c.b.run(command(Verb::follow, c.a.place.id), c.peers));
        ASSERT_TRUE(eventually([&] { return c.b.server->observe().flush > cut.seen.flush; }));
    }
}

TEST(PostgresServer, NamesAreInForceWhenSetNamesReturns) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    Writer const one(c.a, 1);
    Writer const two(c.a, 2);
    Names const b{1, {c.b.place.id}};
    NodeId const absent{runtime::random_uuid()};
    ASSERT_TRUE(eventually([&] { return one.acknowledged > 0 && two.acknowledged > 0; }));
    for (int round = 0; round < 3; ++round) {
        auto const on = c.a.run(naming(b));
        ASSERT_TRUE(on.ok) << on.text;
        EXPECT_EQ(on.seen.names, b);
        // From here on nothing is acknowledged that b has not, once it has what was acknowledged before.
        ASSERT_TRUE(eventually([&] { return c.b.server->observe().flush >= on.seen.flush; }));
        RUN(c.b.run(command(Verb::cut)));
        auto const waiting = [&] {
            return c.a.sql(
                       "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = "
                       "'test'") == "2";
        };
        ASSERT_TRUE(eventually(waiting));
        auto const acknowledged = one.acknowledged + two.acknowledged;
        ASSERT_TRUE(eventually([&] {
            auto const standby = c.b.server->observe();
            return standby.replay == standby.flush;
        }));
        EXPECT_LE(acknowledged, std::stol(c.b.sql("SELECT count(*) FROM public.t")));
        // More names and a higher count release nobody either.
        RUN(c.a.run(naming({2, {c.b.place.id, absent}})));
        EXPECT_TRUE(waiting());
        RUN(c.a.run(naming({1, {c.b.place.id, absent}})));
        EXPECT_TRUE(waiting());
        EXPECT_EQ(one.acknowledged + two.acknowledged, acknowledged);
        RUN(c.b.run(command(Verb::follow, c.a.place.id), c.peers));
        ASSERT_TRUE(eventually([&] { return one.acknowledged + two.acknowledged > acknowledged + 20; }));
        RUN(c.a.run(naming({2, {c.b.place.id, absent}})));
        ASSERT_TRUE(eventually(waiting));
        // A lower count lets go at once what was only waiting for the absent one.
        RUN(c.a.run(naming(b)));
        auto const now = one.acknowledged + two.acknowledged;
        ASSERT_TRUE(eventually([&] { return one.acknowledged + two.acknowledged > now + 20; }));
        RUN(c.a.run(naming({})));
        EXPECT_EQ(c.a.sql("SHOW synchronous_standby_names"), "");
    }
}

TEST(PostgresServer, SlotsAreThoseOfTheMembersAndMoveOnAlsoOnAStandby) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    NodeId const third{runtime::random_uuid()};
    auto slots = command(Verb::slots);
    slots.members = {c.a.place.id, c.b.place.id, third};
    RUN(c.b.run(slots));
    EXPECT_EQ(c.b.server->observe().slots, (std::set<NodeId>{c.a.place.id, third}));
    ASSERT_EQ(c.a.sql("INSERT INTO public.t(worker) SELECT 1 FROM generate_series(1, 1000)"), "");
    ASSERT_TRUE(c.level());
    auto const end = c.b.server->observe().flush;
    ASSERT_TRUE(c.b.server->advance_slots({{third, end}}));
    auto const at = [&](NodeId const& id) {
        return c.b.sql("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '" + slot_name(id) + "'");
    };
    EXPECT_EQ(at(third), keel::to_string(end));
    EXPECT_NE(at(c.a.place.id), at(third));
    slots.members = {third};
    RUN(c.b.run(slots));
    EXPECT_EQ(c.b.server->observe().slots, std::set<NodeId>{third});
    // On the primary, the slot of a member that left, still in use.
    RUN(c.a.run(slots));
    EXPECT_EQ(c.a.server->observe().slots, std::set<NodeId>{third});
}

TEST(PostgresServer, AServerWithoutItsPidFileIsNotStoppedAndCanBeKilled) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    std::filesystem::remove(c.a.place.data() + "/postmaster.pid");
    auto const seen = c.a.server->observe();
    EXPECT_EQ(seen.server, ServerState::starting) << seen.problem;
    EXPECT_TRUE(seen.problem.contains("postmaster.pid"));
    EXPECT_TRUE(c.a.server->kill());
    EXPECT_EQ(c.a.server->observe().server, ServerState::stopped);
}

TEST(PostgresServer, AnotherAgentAdoptsTheServerAndAKillOvertakesACommand) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    auto const pid = c.a.server->postmaster_pid();
    ASSERT_TRUE(pid);
    c.a.server = std::make_unique<Server>(c.a.place);
    EXPECT_EQ(c.a.server->postmaster_pid(), pid);
    EXPECT_EQ(c.a.server->observe().server, ServerState::primary);
    RUN(c.a.run(naming({})));

    Settings slow;
    slow.clone_rate_kbytes_max = 64;
    ASSERT_TRUE(c.b.server->set_settings(slow));
    std::atomic<bool> under_way = false;
    cluster::CommandDone overtaken;
    {
        std::jthread const clone([&] {
            overtaken =
                c.b.run(command(Verb::clone, c.a.place.id), c.peers, [&](Progress const&) { under_way = true; });
        });
        ASSERT_TRUE(eventually([&] { return under_way.load(); }));
        EXPECT_TRUE(c.b.server->kill());
    }
    EXPECT_FALSE(overtaken.ok);
    EXPECT_EQ(c.b.server->observe().server, ServerState::unusable);
    EXPECT_FALSE(c.b.run(command(Verb::start)).ok);
    ASSERT_TRUE(c.b.server->set_settings({}));
    RUN(c.b.run(command(Verb::clone, c.a.place.id), c.peers));
    RUN(c.b.run(command(Verb::start, c.a.place.id), c.peers));
    // Once more over an existing directory: the old one goes when the new one streams.
    RUN(c.b.run(command(Verb::clone, c.a.place.id), c.peers));
    EXPECT_TRUE(std::filesystem::exists(c.b.place.data_old()));
    RUN(c.b.run(command(Verb::start, c.a.place.id), c.peers));
    EXPECT_TRUE(eventually([&] {
        c.b.server->observe();
        return !std::filesystem::exists(c.b.place.data_old());
    }));

    // A postmaster that is stopped, with the fence coming: the kill must not need its help.
    ASSERT_EQ(::kill(*c.a.server->postmaster_pid(), SIGSTOP), 0);
    EXPECT_TRUE(eventually([&] { return c.a.server->observe().problem.find("SIGSTOP") != std::string::npos; }));
    RUN(c.a.run(command(Verb::kill)));
    EXPECT_EQ(c.a.server->observe().server, ServerState::stopped);
    EXPECT_EQ(c.a.server->postmaster_pidfd(), -1);
}

}  // namespace
}  // namespace keel::postgres::test
