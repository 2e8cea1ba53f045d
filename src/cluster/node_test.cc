// Stories of single nodes that the simulator told first.
#include "cluster/node.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/sync.h"

namespace keel::cluster {
namespace {

NodeId const kA{"a"}, kB{"b"}, kC{"c"};

Clock at(Duration since_boot) { return {Instant(since_boot), 1'700'000'000'000}; }

// b leads epoch 2 on timeline 2.
Record led_by_b() {
    Record record;
    record.revision = 5;
    record.epoch = {2};
    record.leader = kB;
    record.voters = {kA, kB, kC};
    for (auto const& id : record.voters) record.members[id].name = id.value;
    record.sync = {Mode::quorum, {kA, kC}, 1, kB};
    record.lineage = {{Timeline{1}, {}, {}, Epoch{1}, kA, Fate::live},
                      {Timeline{2}, Timeline{1}, Lsn{100}, Epoch{2}, kB, Fate::live}};
    return record;
}

Observation standby_at(Lsn flush, NodeId upstream) {
    Observation seen;
    seen.server = Server::recovery;
    seen.settled = seen.whole = true;
    seen.timeline = {1};
    seen.flush = seen.replay = flush;
    seen.upstream = std::move(upstream);
    seen.slots = {kB, kC};
    return seen;
}

std::optional<Command> command_in(std::vector<Effect> const& effects) {
    for (auto const& effect : effects) {
        if (auto const* command = std::get_if<Command>(&effect)) return *command;
    }
    return std::nullopt;
}

// An agent died between the trigger of a promotion and its end, on a stalled disk. The next one found a server in
// recovery, took it for a standby and disarmed the guardian; another node was elected; then the server left recovery
// and acknowledged a commit that nobody else had.
TEST(Node, AnAgentThatFindsAPromotionBegunTakesTheServerForAPrimary) {
    auto const begin = at(100s);
    Node node({kA, Kind::data, 7, Epoch{2}, begin.now + 1s}, begin);
    (void)node.learn(begin, led_by_b());
    auto const command = command_in(node.observe(begin, standby_at(Lsn{100}, {})));
    ASSERT_TRUE(command);
    EXPECT_EQ(command->verb, Verb::kill);
}

TEST(Node, AnAgentThatFindsAStandbyLetsItFollow) {
    auto const begin = at(100s);
    Node node({kA, Kind::data, 7, Epoch{2}, {}}, begin);
    (void)node.learn(begin, led_by_b());
    auto const command = command_in(node.observe(begin, standby_at(Lsn{100}, {})));
    ASSERT_TRUE(command);
    EXPECT_EQ(command->verb, Verb::follow);
}

// a leads epoch 2 with what is left of a lease; how often does it ask for more, or take its own word where that is
// enough?
std::size_t renewals_of(Mode mode, bool unguarded, std::set<NodeId> const& voters) {
    auto const begin = at(100s);
    Instant const left = begin.now + 100ms;
    Node node({kA, Kind::data, 7, Epoch{2}, left}, begin);
    Record record = led_by_b();
    record.leader = record.sync.owner = record.lineage.back().node = kA;
    record.sync.mode = record.settings.mode = mode;
    record.voters = voters;
    (void)node.learn(begin, record);
    Observation seen = standby_at(Lsn{900}, {});
    seen.server = Server::primary;
    seen.timeline = {2};
    seen.fork = Lsn{100};
    seen.unguarded = unguarded;
    auto const effects = node.observe(begin, seen);
    return static_cast<std::size_t>(std::ranges::count_if(effects, [](auto const& effect) {
        auto const* send = std::get_if<Send>(&effect);
        return std::holds_alternative<Arm>(effect) || (send != nullptr && std::holds_alternative<Renew>(send->message));
    }));
}

TEST(Node, AnAsynchronousLeaderThatNothingWouldStopLetsItsLeaseRunOut) {
    std::set<NodeId> const three{kA, kB, kC};
    EXPECT_GT(renewals_of(Mode::async, false, three), 0U);
    EXPECT_EQ(renewals_of(Mode::async, true, three), 0U);
    EXPECT_GT(renewals_of(Mode::quorum, true, three), 0U) << "its standbys are cut off before another leads";
    EXPECT_GT(renewals_of(Mode::async, true, {kA}), 0U) << "nobody else can come to lead";
}

TEST(Node, ACandidateThatNothingWouldStopLeavesTheOfficeToAnother) {
    auto const begin = at(100s);
    Node node({kA, Kind::data, 7, Epoch{3}, {}}, begin);
    Record record = led_by_b();
    record.epoch = {3};
    record.leader = record.sync.owner = kA;
    record.phase = Phase::promoting;
    record.sync.mode = record.settings.mode = Mode::async;
    record.lineage.push_back({Timeline{3}, Timeline{2}, {}, Epoch{3}, kA, Fate::planned});
    (void)node.learn(begin, record);
    (void)node.store_answer(begin, {Swapped::done, record});  // its first question for the record
    auto seen = standby_at(Lsn{100}, kB);
    seen.unguarded = true;
    auto const effects = node.observe(begin, seen);
    auto const swap = std::ranges::find_if(effects, [](auto const& one) { return std::holds_alternative<Swap>(one); });
    ASSERT_NE(swap, effects.end());
    auto const& next = std::get<Swap>(*swap).record;
    EXPECT_EQ(next.epoch, Epoch{4});
    EXPECT_NE(next.members.at(kA).broken, "");
}

bool kills(std::vector<Effect> const& effects) {
    auto const command = command_in(effects);
    return command && command->verb == Verb::kill;
}

// a leads, and its disk hangs; b's and c's as they are said to be.
struct HungLeader {
    Clock now = at(100s);
    Record record = led_by_b();
    Node node{{kA, Kind::data, 7, Epoch{2}, Instant(1000s)}, now};
    Observation seen = standby_at(Lsn{900}, {});

    HungLeader() {
        record.leader = record.sync.owner = record.lineage.back().node = kA;
        record.sync.members = {kB, kC};
        (void)node.learn(now, record);
        seen.server = Server::primary;
        seen.timeline = {2};
        seen.fork = Lsn{100};
        seen.names = names_for(record.sync, kA);
        for (auto const& id : {kB, kC})
            seen.senders.push_back({id, true, Lsn{900}, Lsn{900}, Lsn{900}, Lsn{900}, {}, {}, {}});
        (void)node.observe(now, seen);
        record.revision = 6;  // a newer one shows that nothing of an earlier life is on its way
        (void)node.store_answer(now, {Swapped::done, record});
        seen.disk = Disk::useless;
    }

    // Was the server told to die within this time?
    bool killed_within(Duration time, Disk of_b, Disk of_c) {
        bool killed = false;
        for (Instant const end = now.now + time; now.now < end && !killed;) {
            now.now += 50ms;
            for (auto const& [id, disk] : {std::pair{kB, of_b}, std::pair{kC, of_c}}) {
                Heartbeat beat;
                beat.state = State::standby;
                beat.running = beat.streaming = true;
                beat.revision = record.revision;
                beat.disk = disk;
                killed |= kills(node.receive(now, id, beat));
            }
            killed |= kills(node.observe(now, seen));
        }
        return killed;
    }
};

TEST(Node, ALeaderWhoseDiskHangsMakesWayOnceAnotherWasBetterOffForASecond) {
    HungLeader alone;
    EXPECT_FALSE(alone.killed_within(950ms, Disk::sound, Disk::sound)) << "the others notice at their next write";
    EXPECT_TRUE(alone.killed_within(200ms, Disk::sound, Disk::sound));
    HungLeader shared;
    EXPECT_FALSE(shared.killed_within(10s, Disk::useless, Disk::useless)) << "nobody is better off";
    EXPECT_FALSE(shared.killed_within(3s, Disk::sound, Disk::useless)) << "c may have what b lacks";
    EXPECT_FALSE(shared.killed_within(900ms, Disk::sound, Disk::sound)) << "its own may be back in a moment";
    EXPECT_FALSE(shared.killed_within(900ms, Disk::useless, Disk::useless));
    EXPECT_FALSE(shared.killed_within(900ms, Disk::sound, Disk::sound)) << "counted anew";
    EXPECT_TRUE(shared.killed_within(200ms, Disk::sound, Disk::sound));
}

// Somebody had started a standby's server by hand, as a primary. Nothing could be committed on it, but its checkpoints
// went into the leader's timeline; as a standby again it was ahead of the leader, and "had" every commit at once.
TEST(Node, AServerThatRanAsAPrimaryOnAnothersTimelineIsClonedAnew) {
    auto const begin = at(100s);
    Observation seen = standby_at(Lsn{900}, {});
    seen.server = Server::stopped;
    seen.timeline = {2};
    seen.was_primary = true;
    Heartbeat leads;
    leads.leads = Epoch{2};
    for (auto const& [owner, expected] : {std::pair{kB, Verb::clone}, std::pair{kA, Verb::start}}) {
        Node node({kA, Kind::data, 7, Epoch{2}, {}}, begin);
        Record record = led_by_b();
        record.sync.members = {kC};
        record.lineage.back().node = owner;
        (void)node.learn(begin, record);
        (void)node.receive(begin, kB, leads);
        auto const command = command_in(node.observe(begin, seen));
        ASSERT_TRUE(command);
        EXPECT_EQ(command->verb, expected) << "the timeline is " << owner.value << "'s";
    }
}

// A standby had heard of timeline 2, but got no byte of it, when timeline 3 forked off timeline 1 at the same place:
// PostgreSQL says "new timeline 3 is not a child of database system timeline 2", for ever.
TEST(Node, AStandbyThatGetsNoWalOfAnotherTimelineIsStartedAnewLessAndLessOften) {
    auto now = at(100s);
    Node node({kA, Kind::data, 7, Epoch{2}, {}}, now);
    (void)node.learn(now, led_by_b());
    auto seen = standby_at(Lsn{100}, kB);
    std::vector<Instant> stops;
    while (now.now < Instant(160s)) {
        now.now += 150ms;
        Heartbeat beat;
        beat.leads = Epoch{2};
        beat.revision = 5;
        beat.timeline = {2};
        auto command = command_in(node.receive(now, kB, beat));
        if (!command) command = command_in(node.observe(now, seen));
        while (command) {
            if (command->verb == Verb::stop) {
                stops.push_back(now.now);
                seen.server = Server::stopped;
            } else if (command->verb == Verb::start) {
                seen.server = Server::recovery;
            }
            command = command_in(node.command_done(now, {command->id, true, "", seen}));
        }
    }
    ASSERT_GE(stops.size(), 3U);
    EXPECT_GT(stops[2] - stops[1], stops[1] - stops[0]);
}

// a coordinates after a switchover to c has begun, and has all WAL itself; c has the same, but is slow to say so. Who
// is appointed, and when?
std::pair<NodeId, Duration> appointed(Duration c_is_fenced_after) {
    auto now = at(100s);
    Node node({kA, Kind::data, 7, Epoch{3}, {}}, now);
    Record record = led_by_b();
    record.epoch = {3};
    record.phase = Phase::revoking;
    record.leader = {};
    record.coordinator = kA;
    record.sync.members = {kA};  // so that a alone is known to have every commit
    record.handover = Handover{kC, 0, false, "an operator"};
    (void)node.learn(now, record);
    (void)node.store_answer(now, {Swapped::done, record});
    auto seen = standby_at(Lsn{200}, {});
    seen.timeline = {2};
    seen.fork = Lsn{100};
    Grant grant{Epoch{3}, true, false, true, true, Timeline{2}, Lsn{100}, Lsn{200}, Lsn{200}, Disk::sound};
    for (Duration age{}; age < 10s; age += 20ms, now.now += 20ms) {
        grant.fenced = age >= c_is_fenced_after;
        Heartbeat beat;
        beat.state = State::standby;
        beat.running = beat.in_recovery = true;
        beat.revision = record.revision;
        for (auto const& effects : {node.receive(now, kC, beat), node.receive(now, kC, grant), node.observe(now, seen)})
            for (auto const& effect : effects)
                if (auto const* swap = std::get_if<Swap>(&effect)) return {swap->record.leader, age};
    }
    return {};
}

TEST(Node, WhoWasAskedForGetsTheTimeToAnswer) {
    EXPECT_EQ(appointed(0ms).first, kC);
    EXPECT_EQ(appointed(600ms).first, kC);
    auto const [other, after] = appointed(60s);
    EXPECT_EQ(other, kA) << "but not all time";
    EXPECT_LE(after, timing(Profile::lan).lease + 100ms);
}

// The marker of an unfinished rewind is there as long as the rewind works.
TEST(Node, ARewindAtWorkIsCalledARewindAndAnUnfinishedOneIsClonedOver) {
    auto const now = at(100s);
    Record record = led_by_b();
    record.sync.members = {kC};
    Heartbeat leads;
    leads.leads = Epoch{2};
    Observation ahead = standby_at(Lsn{200}, {});
    Observation marked;
    marked.server = Server::unusable;

    Node node({kA, Kind::data, 7, Epoch{2}, {}}, now);
    (void)node.learn(now, record);
    (void)node.receive(now, kB, leads);
    auto const stop = command_in(node.observe(now, ahead));
    ASSERT_TRUE(stop);
    ASSERT_EQ(stop->verb, Verb::stop);
    ahead.server = Server::stopped;
    auto const rewind = command_in(node.command_done(now, {stop->id, true, "", ahead}));
    ASSERT_TRUE(rewind);
    ASSERT_EQ(rewind->verb, Verb::rewind);
    (void)node.observe(now, marked);
    EXPECT_EQ(node.opinion().state, State::rewinding);

    Node restarted({kA, Kind::data, 7, Epoch{2}, {}}, now);
    (void)restarted.learn(now, record);
    (void)restarted.receive(now, kB, leads);
    auto const clone = command_in(restarted.observe(now, marked));
    ASSERT_TRUE(clone);
    EXPECT_EQ(clone->verb, Verb::clone);
}

}  // namespace
}  // namespace keel::cluster
