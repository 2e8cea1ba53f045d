// The embedded store on real files, its network and timers in virtual time.
#include "consensus/embedded.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "consensus/memory.h"

namespace keel::consensus {
namespace {

namespace fs = std::filesystem;
using cluster::Record;
using cluster::StoreAnswer;
using cluster::Swapped;

NodeId const kA{"a"}, kB{"b"}, kC{"c"};

class EmbeddedTest : public testing::Test {
  protected:
    struct Node {
        std::unique_ptr<Embedded> store;
        std::vector<Record> watched;
        bool disk_full = false;
        std::uint64_t saves = 0;
    };

    EmbeddedTest() {
        auto pattern = (fs::temp_directory_path() / "pgkeel-embedded-XXXXXX").string();
        directory = ::mkdtemp(pattern.data());
    }
    ~EmbeddedTest() override {
        nodes.clear();
        fs::remove_all(directory);
    }

    Embedded::Options options(NodeId const& self) const {
        Embedded::Options made;
        made.file = directory / self.value;
        made.cluster_id = "cluster";
        made.self = self;
        made.peers = {kA, kB, kC};
        return made;
    }

    void at(Duration delay, std::function<void()> function) { events.emplace(now + delay, std::move(function)); }

    Embedded::Ports ports(NodeId const& self) {
        Embedded::Ports made;
        made.send = [this, self](NodeId const& to, std::string bytes) {
            if (cut.contains(self) || cut.contains(to) || random() % 100 < loss) return;
            at(Duration(200 + static_cast<Duration::rep>(random() % 300)), [this, self, to, bytes = std::move(bytes)] {
                auto const found = nodes.find(to);
                if (found != nodes.end() && found->second.store) found->second.store->receive(self, bytes);
            });
        };
        made.after = [this](Duration delay, std::function<void()> function) { at(delay, std::move(function)); };
        made.post = [this](std::function<void()> function) { at(Duration(1), std::move(function)); };
        made.blocking = [this, self](std::function<Status()> work, std::function<void(Status)> done) {
            auto& node = nodes[self];
            ++node.saves;
            auto status = node.disk_full ? fail(Code::exhausted, self.value + ": no space left") : work();
            at(1ms, [done = std::move(done), status = std::move(status)] { done(status); });
        };
        made.random = [this] { return random(); };
        return made;
    }

    void start(NodeId const& name) {
        auto opened = Embedded::open(options(name), ports(name));
        ASSERT_TRUE(opened) << to_string(opened.error());
        auto& node = nodes[name];
        node.store = std::move(*opened);
        node.store->watch([&node](Record const& record) { node.watched.push_back(record); });
    }

    bool run_until(std::function<bool()> const& done) {
        auto const end = now + 60s;
        while (!done()) {
            if (events.empty() || events.begin()->first > end) return false;
            auto const next = events.extract(events.begin());
            now = next.key();
            next.mapped()();
        }
        return true;
    }
    void run_for(Duration span) {
        bool over = false;
        at(span, [&] { over = true; });
        run_until([&] { return over; });
    }

    StoreAnswer read(NodeId const& node) {
        std::optional<StoreAnswer> got;
        nodes[node].store->read([&](StoreAnswer answer) { got = std::move(answer); });
        EXPECT_TRUE(run_until([&] { return got.has_value(); }));
        return got.value_or(StoreAnswer{});
    }
    StoreAnswer swap(NodeId const& node, Record record) {
        std::optional<StoreAnswer> got;
        auto const expected = record.revision;
        nodes[node].store->swap(expected, std::move(record), [&](StoreAnswer answer) { got = std::move(answer); });
        EXPECT_TRUE(run_until([&] { return got.has_value(); }));
        return got.value_or(StoreAnswer{});
    }

    // Three voters, brought together the way `init` and `join` do.
    void found_cluster() {
        Record record;
        record.cluster_id = "cluster";
        for (auto const& name : {kA, kB, kC}) record.members[name].name = "node-" + name.value;
        ASSERT_TRUE(Embedded::bootstrap(options(kA), record, 1));
        for (auto const& name : {kA, kB, kC}) start(name);
        for (auto const& name : {kB, kC}) {
            auto now_there = *read(kA).record;
            now_there.voters.insert(name);
            ASSERT_EQ(swap(kA, now_there).result, Swapped::done);
        }
    }

    fs::path directory;
    std::mt19937_64 random{7};
    Instant now;
    std::multimap<Instant, std::function<void()>> events;
    std::map<NodeId, Node> nodes;
    std::set<NodeId> cut;
    std::uint64_t loss = 0;  // percent
};

TEST_F(EmbeddedTest, the_first_node_works_alone) {
    Record record;
    record.cluster_id = "cluster";
    ASSERT_TRUE(Embedded::bootstrap(options(kA), record, 1));
    EXPECT_FALSE(Embedded::bootstrap(options(kA), record, 2));
    start(kA);
    auto there = read(kA);
    ASSERT_EQ(there.result, Swapped::done);
    EXPECT_EQ(there.record->revision, 1U);
    EXPECT_EQ(there.record->voters, std::set{kA});
    there.record->name = "shop";
    auto const done = swap(kA, *there.record);
    EXPECT_EQ(done.result, Swapped::done);
    EXPECT_EQ(done.record->revision, 2U);
}

TEST_F(EmbeddedTest, joining_nodes_become_voters_and_every_node_learns_each_write) {
    found_cluster();
    EXPECT_EQ(read(kC).record->voters.size(), 3U);
    auto record = *read(kB).record;
    record.name = "shop";
    ASSERT_EQ(swap(kB, record).result, Swapped::done);
    run_for(10ms);
    for (auto const& [name, node] : nodes) {
        ASSERT_FALSE(node.watched.empty());
        EXPECT_EQ(node.watched.back().name, "shop");
        EXPECT_TRUE(std::is_sorted(node.watched.begin(), node.watched.end(),
                                   [](auto const& left, auto const& right) { return left.revision < right.revision; }));
    }
}

TEST_F(EmbeddedTest, one_of_three_may_be_missing_and_two_are_named) {
    found_cluster();
    cut = {kC};
    auto record = *read(kA).record;
    ASSERT_EQ(swap(kA, record).result, Swapped::done);
    cut = {kB, kC};
    auto later = *nodes[kA].watched.rbegin();
    EXPECT_EQ(swap(kA, later).result, Swapped::unknown);
    EXPECT_NE(nodes[kA].store->trouble().find("node-b, node-c"), std::string::npos) << nodes[kA].store->trouble();
    EXPECT_EQ(read(kB).result, Swapped::unknown);
    cut.clear();
    EXPECT_EQ(read(kC).result, Swapped::done);
    EXPECT_EQ(read(kA).result, Swapped::done);
    EXPECT_EQ(nodes[kA].store->trouble(), "");
}

TEST_F(EmbeddedTest, of_two_candidates_one_wins_the_epoch) {
    found_cluster();
    cut = {kA};  // the leader is dead
    for (int round = 0; round < 50; ++round) {
        auto const before = *read(kB).record;
        std::map<NodeId, StoreAnswer> answers;
        for (auto const& name : {kB, kC}) {
            auto record = before;
            record.coordinator = name;
            nodes[name].store->swap(before.revision, record,
                                    [&, name](StoreAnswer answer) { answers[name] = std::move(answer); });
        }
        auto const start = now;
        ASSERT_TRUE(run_until([&] { return answers.size() == 2; }));
        EXPECT_NE(answers[kB].result == Swapped::done, answers[kC].result == Swapped::done) << round;
        EXPECT_EQ(answers[kB].record->coordinator, answers[kC].record->coordinator);
        EXPECT_LT(now - start, 500ms);
    }
}

TEST_F(EmbeddedTest, everything_survives_the_power_loss_of_all) {
    found_cluster();
    auto record = *read(kA).record;
    record.name = "kept";
    ASSERT_EQ(swap(kA, record).result, Swapped::done);
    for (auto const& name : {kA, kB, kC}) nodes[name].store.reset();
    for (auto const& name : {kC, kB}) start(name);
    EXPECT_EQ(read(kC).record->name, "kept");
}

TEST_F(EmbeddedTest, a_voter_that_lost_its_file_is_seated_again_by_itself) {
    found_cluster();
    nodes[kC].store.reset();
    fs::remove(directory / "c");
    start(kC);
    run_for(3s);
    cut = {kB};  // now a and c must be a majority
    auto record = *read(kA).record;
    EXPECT_EQ(swap(kA, record).result, Swapped::done);
}

TEST_F(EmbeddedTest, a_full_disk_is_silence_and_is_said) {
    found_cluster();
    nodes[kC].disk_full = true;
    auto record = *read(kA).record;
    ASSERT_EQ(swap(kA, record).result, Swapped::done);
    run_for(1s);
    EXPECT_NE(nodes[kC].store->trouble().find("no space left"), std::string::npos);
    // Known before: a read may need a promise, which cannot be given then.
    record = *read(kA).record;
    cut = {kB};
    EXPECT_EQ(swap(kA, record).result, Swapped::unknown);
    nodes[kC].disk_full = false;
    auto const after = read(kA);
    ASSERT_EQ(after.result, Swapped::done);
    EXPECT_EQ(swap(kA, *after.record).result, Swapped::done);
    EXPECT_EQ(nodes[kC].store->trouble(), "");
}

TEST_F(EmbeddedTest, a_write_without_contest_saves_twice_at_most) {
    found_cluster();
    auto record = *read(kB).record;
    run_for(1s);
    for (auto& [name, node] : nodes) node.saves = 0;
    record = *swap(kB, record).record;
    for (auto const& [name, node] : nodes) EXPECT_LE(node.saves, 2U);
    run_for(1s);
    for (auto& [name, node] : nodes) node.saves = 0;
    ASSERT_EQ(swap(kB, record).result, Swapped::done);
    for (auto const& [name, node] : nodes) EXPECT_LE(node.saves, 1U);
}

TEST_F(EmbeddedTest, a_changed_record_is_fetched_from_the_peer_that_has_it) {
    found_cluster();
    cut = {kC};
    auto record = *read(kA).record;
    record.name = "missed";
    ASSERT_EQ(swap(kA, record).result, Swapped::done);
    run_for(1s);
    cut.clear();
    EXPECT_NE(nodes[kC].watched.back().name, "missed");
    nodes[kC].store->fetch(kA);
    run_for(10ms);
    EXPECT_EQ(nodes[kC].watched.back().name, "missed");
}

TEST_F(EmbeddedTest, loses_nothing_over_a_bad_network) {
    found_cluster();
    loss = 20;
    std::map<std::uint64_t, NodeId> owners;  // of each revision whose write was done
    int ended = 0;
    std::function<void(NodeId, int)> const work = [&](NodeId name, int left) {
        if (left == 0) {
            ++ended;
            return;
        }
        nodes[name].store->read([&, name, left](StoreAnswer seen) {
            if (!seen.record) return work(name, left - 1);
            auto record = *seen.record;
            auto const revision = record.revision;
            record.name = name.value;
            nodes[name].store->swap(revision, record, [&, name, left, revision](StoreAnswer answer) {
                if (answer.result == Swapped::done) EXPECT_TRUE(owners.emplace(revision + 1, name).second) << revision;
                work(name, left - 1);
            });
        });
    };
    for (auto const& name : {kA, kB, kC}) work(name, 60);
    while (ended < 3) ASSERT_TRUE(run_until([&, before = now] { return ended == 3 || now > before + 30s; }));
    loss = 0;
    EXPECT_GT(owners.size(), 40U);
    EXPECT_GE(read(kA).record->revision, owners.rbegin()->first);
}

TEST_F(EmbeddedTest, drops_nonsense) {
    found_cluster();
    for (auto const* bytes : {"", "x", "{}", "{\"type\":\"prepare\",\"ballot\":7}", "{\"type\":\"learned\"}", "[]",
                              "{\"type\":\"learned\",\"ballot\":{\"counter\":99},\"value\":{\"revision\":99}}",
                              "{\"type\":\"prepare\",\"ballot\":{\"counter\":18446744073709551615}}"}) {
        nodes[kA].store->receive(kB, bytes);
    }
    EXPECT_EQ(read(kA).result, Swapped::done);
}

TEST_F(EmbeddedTest, may_be_destroyed_by_an_answer) {
    found_cluster();
    bool gone = false;
    nodes[kA].store->read([&](StoreAnswer const&) {
        nodes[kA].store.reset();
        gone = true;
    });
    ASSERT_TRUE(run_until([&] { return gone; }));
    run_for(5s);
    EXPECT_EQ(read(kB).result, Swapped::done);
}

TEST(Memory, swaps_by_revision) {
    std::vector<std::function<void()>> posted;
    Memory store([&](std::function<void()> function) { posted.push_back(std::move(function)); });
    std::vector<StoreAnswer> answers;
    std::vector<std::uint64_t> watched;
    auto const keep = [&](StoreAnswer answer) { answers.push_back(std::move(answer)); };
    store.watch([&](Record const& record) { watched.push_back(record.revision); });
    store.read(keep);
    store.swap(0, Record{}, keep);
    store.swap(0, Record{}, keep);
    store.swap(1, Record{}, keep);
    EXPECT_TRUE(answers.empty());
    for (auto const& function : posted) function();
    EXPECT_FALSE(answers[0].record);
    EXPECT_EQ(answers[1].result, Swapped::done);
    EXPECT_EQ(answers[2].result, Swapped::conflict);
    EXPECT_EQ(answers[2].record->revision, 1U);
    EXPECT_EQ(answers[3].record->revision, 2U);
    EXPECT_EQ(watched, (std::vector<std::uint64_t>{1, 2}));
}

}  // namespace
}  // namespace keel::consensus
