// Failovers against real PostgreSQL servers: deaths, burnt timelines, rewinds.
#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "postgres/test_cluster.h"
#include "postgres/timelines.h"

namespace keel::postgres::test {
namespace {

TEST(PostgresFailover, FailoverBurnsTimelinesReapsOrphansAndRewinds) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    std::vector<std::unique_ptr<Writer>> writers;
    for (int i = 0; i < 4; ++i) writers.push_back(std::make_unique<Writer>(c.a, i));
    auto acknowledged = [&] {
        long sum = 0;
        for (auto const& writer : writers) sum += writer->acknowledged;
        return sum;
    };
    ASSERT_TRUE(eventually([&] { return acknowledged() > 200; }));
    auto const cut = c.b.run(command(Verb::cut));
    ASSERT_TRUE(cut.ok) << cut.text;
    auto const before = acknowledged();
    ASSERT_TRUE(eventually([&] { return acknowledged() > before + 100; }));  // these are lost: b does not have them

    int const death = c.a.server->postmaster_pidfd();
    ASSERT_GE(death, 0);
    ASSERT_EQ(::kill(*c.a.server->postmaster_pid(), SIGKILL), 0);
    pollfd wait{death, POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 5000), 1);
    ::close(death);
    c.a.server->reap_orphans();
    auto const at_reap = acknowledged();
    ASSERT_TRUE(
        eventually([&] { return std::ranges::all_of(writers, [](auto const& w) { return w->ended.load(); }); }));
    // An answer that the kernel had already taken may still be read by the client, one per connection.
    EXPECT_LE(acknowledged(), at_reap + static_cast<long>(writers.size()));
    EXPECT_EQ(c.a.server->observe().server, ServerState::stopped);

    RUN(c.b.run(promotion(5)));
    EXPECT_EQ(c.b.server->observe().timeline, Timeline{5});
    auto const history = read_history(c.b.place.data(), {5});
    ASSERT_TRUE(history);
    ASSERT_EQ(history->size(), 2U);
    EXPECT_EQ(history->back().timeline, Timeline{2});

    // The crashed one comes up as a standby, knows that it has replayed everything, and shows its own timeline.
    RUN(c.a.run(command(Verb::start)));
    ASSERT_TRUE(eventually([&] { return c.a.server->observe().settled; }));
    auto const old = c.a.server->observe();
    EXPECT_EQ(old.timeline, Timeline{2});
    EXPECT_EQ(c.replayed_timeline(c.a), "2");
    EXPECT_GT(old.flush, history->back().until);
    auto slots = command(Verb::slots);
    slots.members = {c.a.place.id};
    RUN(c.b.run(slots));
    auto const rewound = c.a.run(command(Verb::rewind, c.b.place.id), c.peers);
    ASSERT_TRUE(rewound.ok) << rewound.text;
    std::string lost;
    for (auto const& entry : std::filesystem::directory_iterator(c.a.place.quarantine())) {
        lost = runtime::read_file(entry.path().string() + "/lost.txt", 1U << 20U).value_or("");
    }
    EXPECT_NE(lost.find("from: " + keel::to_string(history->back().until)), std::string::npos) << lost;
    EXPECT_NE(lost.find("to: " + keel::to_string(old.flush)), std::string::npos) << lost;
    RUN(c.a.run(command(Verb::start, c.b.place.id), c.peers));
    ASSERT_EQ(c.b.sql("INSERT INTO public.t(worker) VALUES (99)"), "");
    ASSERT_TRUE(eventually([&] { return c.a.sql("SELECT count(*) FROM public.t WHERE worker = 99") == "1"; }));
    EXPECT_EQ(c.a.sql("SELECT count(*) FROM public.t"), c.b.sql("SELECT count(*) FROM public.t"));
    EXPECT_EQ(c.a.server->observe().timeline, Timeline{5});
    EXPECT_EQ(c.replayed_timeline(c.a), "5");
    for (auto const* node : {&c.a, &c.b}) {
        for (std::uint32_t burnt : {3U, 4U}) {
            EXPECT_TRUE(is_claim(
                runtime::read_file(node->place.data() + "/pg_wal/" + history_name({burnt}), 4096).value_or("")));
        }
    }
}

// A standby that fetched the history of a leader which did not last aims at that timeline, without any WAL of it; its
// own promotion would name it as the parent, at a position before it began.
TEST(PostgresFailover, APromotionDoesNotDescendFromATimelineThatWasOnlyHeardOf) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    auto const cut = c.b.run(command(Verb::cut));
    ASSERT_TRUE(cut.ok) << cut.text;
    auto const wal = c.b.place.data() + "/pg_wal/";
    auto const heard = runtime::read_file(wal + history_name({2}), 4096).value() + "2\t" +
                       keel::to_string(Lsn{cut.seen.flush.value + 4096}) + "\tno recovery target specified\n";
    ASSERT_TRUE(runtime::write_atomically(wal + history_name({3}), heard, 0600));
    auto const log = c.b.place.log() + "/postgresql.log";
    ASSERT_TRUE(eventually([&] {
        return runtime::read_file(log, 1U << 20U).value_or("").find("new target timeline is 3") != std::string::npos;
    }));
    EXPECT_EQ(c.b.server->observe().timeline, Timeline{2});
    EXPECT_EQ(c.replayed_timeline(c.b), "2");
    RUN(c.b.run(promotion(4)));
    auto const history = read_history(c.b.place.data(), {4});
    ASSERT_TRUE(history && history->size() == 2);
    EXPECT_EQ(history->back().timeline, Timeline{2});
    EXPECT_EQ(c.b.sql("INSERT INTO public.t(worker) VALUES (1)"), "");
}

// b was promoted onto timeline 3, wrote, and died before anybody heard of it; a goes on, on timeline 4.
TEST(PostgresFailover, ABurntPromotionIsRewound) {
    Pair c;
    ASSERT_NO_FATAL_FAILURE(c.make_primary());
    ASSERT_NO_FATAL_FAILURE(c.make_standby());
    RUN(c.b.run(command(Verb::cut)));
    RUN(c.b.run(promotion(3)));
    ASSERT_EQ(c.b.sql("INSERT INTO public.t(worker) SELECT 3 FROM generate_series(1, 500)"), "");
    RUN(c.b.run(command(Verb::kill)));
    RUN(c.a.run(command(Verb::kill)));
    RUN(c.a.run(command(Verb::start)));
    ASSERT_TRUE(eventually([&] { return c.a.server->observe().settled; }));
    RUN(c.a.run(promotion(4)));
    ASSERT_EQ(c.a.sql("INSERT INTO public.t(worker) VALUES (4)"), "");

    RUN(c.b.run(command(Verb::start)));
    ASSERT_TRUE(eventually([&] { return c.b.server->observe().settled; }));
    EXPECT_EQ(c.b.server->observe().timeline, Timeline{3});
    EXPECT_EQ(c.replayed_timeline(c.b), "3");
    RUN(c.b.run(command(Verb::rewind, c.a.place.id), c.peers));
    EXPECT_FALSE(std::filesystem::is_empty(c.b.place.quarantine()));
    auto slots = command(Verb::slots);
    slots.members = {c.b.place.id};
    RUN(c.a.run(slots));
    RUN(c.b.run(command(Verb::start, c.a.place.id), c.peers));
    ASSERT_TRUE(c.level());
    EXPECT_EQ(c.b.server->observe().timeline, Timeline{4});
    EXPECT_EQ(c.b.sql("SELECT string_agg(worker::text, ' ') FROM public.t"), "4");
    // The real history of the burnt timeline is gone: nobody follows it from here.
    EXPECT_TRUE(is_claim(runtime::read_file(c.b.place.data() + "/pg_wal/" + history_name({3}), 4096).value_or("")));
}

}  // namespace
}  // namespace keel::postgres::test
