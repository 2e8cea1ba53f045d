// The register step by step: one acceptor, one proposer, one sentence of the specification at a time.
#include "consensus/register.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace keel::consensus {
namespace {

NodeId const kA{"a"}, kB{"b"}, kC{"c"}, kD{"d"};

// Acceptors that answer at once, over a network that a test cuts as it likes.
struct Cluster {
    std::map<NodeId, Acceptor> acceptors;
    std::set<NodeId> down;
    std::size_t writes = 0, messages = 0;

    Cluster() {
        Voters const voters{{kA, 1}, {kB, 2}, {kC, 3}};
        Ballot const first{1, kA, 0};
        Durable const durable{first, first, Value{1, voters, voters, {"genesis"}, "one"}};
        Seat seat = 0;
        for (auto const& node : {kA, kB, kC, kD}) {
            acceptors.emplace(node, Acceptor(++seat, node == kD ? Durable{} : durable));
        }
    }
    Proposer proposer(NodeId const& self, std::uint64_t nonce = 1) const {
        Proposer made(self, nonce);
        made.believe({{1, kA, 0}, *acceptors.at(kA).durable().value});
        return made;
    }
    std::optional<Message> ask(NodeId const& to, Message const& message) {
        if (down.contains(to)) return {};
        ++messages;
        auto const verdict = acceptors.at(to).consider(message);
        if (verdict.persist) acceptors.at(to).adopt((++writes, *verdict.persist));
        return verdict.reply;
    }
    // Runs the operation until it ends, or for some ticks without an answer.
    std::optional<Finish> run(Proposer& proposer, Step step) {
        std::vector<std::pair<NodeId, Message>> mail;
        for (int ticks = 0; ticks < 5;) {
            if (step.finish) return step.finish;
            if (step.back_off) step = proposer.retry();
            mail.insert(mail.end(), step.send.begin(), step.send.end());
            if (mail.empty()) {
                step = proposer.tick();
                ++ticks;
                continue;
            }
            auto const [to, message] = mail.front();
            mail.erase(mail.begin());
            auto const reply = ask(to, message);
            step = reply ? proposer.receive(to, *reply) : Step{};
        }
        return {};
    }
};

std::set<NodeId> const kAbc{kA, kB, kC};

TEST(Register, an_uncontended_write_is_two_rounds_and_two_writes_on_each_disk) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    auto const end = cluster.run(proposer, proposer.swap(1, "two", kAbc));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->outcome, Outcome::done);
    EXPECT_EQ(end->chosen->value.text, "two");
    EXPECT_EQ(end->chosen->value.revision, 2U);
    EXPECT_LE(cluster.writes, 6U);
}

TEST(Register, the_next_write_of_the_same_proposer_is_one_round) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    cluster.run(proposer, proposer.swap(1, "two", kAbc));
    cluster.writes = cluster.messages = 0;
    auto const end = cluster.run(proposer, proposer.swap(2, "three", kAbc));
    EXPECT_EQ(end->outcome, Outcome::done);
    EXPECT_LE(cluster.messages, 3U);
    EXPECT_LE(cluster.writes, 3U);
}

TEST(Register, a_read_of_a_settled_value_writes_nothing) {
    Cluster cluster;
    auto proposer = cluster.proposer(kD);
    auto const end = cluster.run(proposer, proposer.read());
    EXPECT_EQ(end->chosen->value.text, "one");
    EXPECT_EQ(cluster.writes, 0U);
}

TEST(Register, a_write_over_another_revision_is_a_conflict_with_the_value_that_stands) {
    Cluster cluster;
    auto first = cluster.proposer(kA);
    auto second = cluster.proposer(kB);
    cluster.run(first, first.swap(1, "two", kAbc));
    auto const end = cluster.run(second, second.swap(1, "other", kAbc));
    EXPECT_EQ(end->outcome, Outcome::conflict);
    EXPECT_EQ(end->chosen->value.text, "two");
}

TEST(Register, without_a_majority_nothing_ends_and_nothing_was_done) {
    Cluster cluster;
    cluster.down = {kB, kC};
    auto proposer = cluster.proposer(kA);
    EXPECT_FALSE(cluster.run(proposer, proposer.swap(1, "two", kAbc)));
    EXPECT_EQ(proposer.silent(), (std::set{kB, kC}));
    EXPECT_EQ(proposer.give_up().finish->outcome, Outcome::not_done);
}

TEST(Register, a_write_that_somebody_may_have_accepted_is_unknown_and_then_completed_by_the_next_one) {
    Cluster cluster;
    auto first = cluster.proposer(kA);
    auto step = first.swap(1, "two", kAbc);
    for (auto const& [to, message] : std::vector(step.send)) {  // prepare: everybody; accept: only a
        auto const promised = first.receive(to, *cluster.ask(to, message));
        if (!promised.send.empty()) step = promised;
    }
    ASSERT_TRUE(std::holds_alternative<Accept>(step.send.front().second));
    cluster.ask(kA, step.send.front().second);
    EXPECT_EQ(first.give_up().finish->outcome, Outcome::unknown);

    cluster.down = {kC};
    auto second = cluster.proposer(kB);
    auto const end = cluster.run(second, second.read());
    ASSERT_TRUE(end);
    EXPECT_EQ(end->chosen->value.text, "two");
}

TEST(Register, a_new_voter_is_added_with_its_seat_and_counts) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    auto const end = cluster.run(proposer, proposer.swap(1, "two", {kA, kB, kC, kD}));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->chosen->value.voters.at(kD), 4U);
    cluster.down = {kB};
    EXPECT_EQ(cluster.run(proposer, proposer.swap(2, "three", {kA, kB, kC, kD}))->outcome, Outcome::done);
    cluster.down = {kB, kC};  // two of four are no majority
    EXPECT_FALSE(cluster.run(proposer, proposer.swap(3, "four", {kA, kB, kC, kD})));
}

TEST(Register, a_third_voter_counts_at_once) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    cluster.run(proposer, proposer.swap(1, "two", {kA, kB}));
    ASSERT_EQ(cluster.run(proposer, proposer.swap(2, "three", {kA, kB, kD}))->outcome, Outcome::done);
    cluster.down = {kB};
    auto other = cluster.proposer(kD);
    ASSERT_EQ(cluster.run(other, other.swap(3, "four", {kA, kB, kD}))->outcome, Outcome::done);
}

TEST(Register, a_voter_that_does_not_answer_is_not_added) {
    Cluster cluster;
    cluster.down = {kD};
    auto proposer = cluster.proposer(kA);
    EXPECT_FALSE(cluster.run(proposer, proposer.swap(1, "two", {kA, kB, kC, kD})));
    EXPECT_EQ(proposer.give_up().finish->outcome, Outcome::not_done);
    EXPECT_EQ(cluster.run(proposer, proposer.swap(1, "two", kAbc))->outcome, Outcome::done);
}

TEST(Register, more_than_one_change_of_voters_is_refused) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    EXPECT_EQ(cluster.run(proposer, proposer.swap(1, "two", {kA}))->outcome, Outcome::refused);
    EXPECT_EQ(cluster.run(proposer, proposer.swap(1, "two", {kA, kB, kD}))->outcome, Outcome::refused);
    EXPECT_EQ(cluster.run(proposer, proposer.swap(1, "two", {}))->outcome, Outcome::refused);
    EXPECT_EQ(cluster.run(proposer, proposer.swap(1, "two", {kA, kB}))->outcome, Outcome::done);
}

TEST(Register, a_proposer_that_missed_three_changes_of_voters_starts_over_under_the_newest) {
    Cluster cluster;
    auto stale = cluster.proposer(kA);
    auto proposer = cluster.proposer(kC);
    for (auto const& voters : std::vector<std::set<NodeId>>{{kA, kB, kC, kD}, {kB, kC, kD}, {kC, kD}}) {
        auto const revision = proposer.belief()->value.revision;
        ASSERT_EQ(cluster.run(proposer, proposer.swap(revision, "r", voters))->outcome, Outcome::done);
    }
    auto const end = cluster.run(stale, stale.swap(1, "late", kAbc));
    EXPECT_EQ(end->outcome, Outcome::conflict);
    EXPECT_EQ(end->chosen->value.revision, 4U);
    cluster.down = {kD};  // a and b are voters no more
    auto fresh = cluster.proposer(kB, 9);
    EXPECT_FALSE(cluster.run(fresh, fresh.swap(4, "five", {kC, kD})));
}

TEST(Register, a_wiped_voter_counts_for_nothing_until_it_is_seated_again) {
    Cluster cluster;
    auto proposer = cluster.proposer(kA);
    cluster.run(proposer, proposer.swap(1, "two", kAbc));
    cluster.acceptors.at(kC) = Acceptor(33, {});
    cluster.down = {kB};
    EXPECT_FALSE(cluster.run(proposer, proposer.swap(2, "three", kAbc)));
    proposer.give_up();
    cluster.down.clear();
    auto wiped = cluster.proposer(kC, 2);
    ASSERT_EQ(cluster.run(wiped, wiped.reseat(33))->outcome, Outcome::done);
    cluster.down = {kB};
    auto const end = cluster.run(wiped, wiped.read());
    ASSERT_TRUE(end);
    EXPECT_EQ(end->chosen->value.voters.at(kC), 33U);
}

TEST(Register, an_acceptor_repeats_its_answers_and_refuses_what_is_older) {
    Acceptor acceptor(1, {});
    Ballot const low{1, kA, 1}, next{2, kA, 1}, high{3, kB, 1};
    auto const accept = acceptor.consider(Accept{low, next, {}});
    ASSERT_TRUE(accept.persist);
    acceptor.adopt(*accept.persist);
    EXPECT_EQ(acceptor.durable().promised, next);
    EXPECT_FALSE(acceptor.consider(Accept{low, next, {}}).persist);
    EXPECT_TRUE(std::holds_alternative<Took>(*acceptor.consider(Accept{low, next, {}}).reply));
    EXPECT_TRUE(std::holds_alternative<Refused>(*acceptor.consider(Prepare{low}).reply));
    auto const promise = acceptor.consider(Prepare{high});
    ASSERT_TRUE(promise.persist);
    EXPECT_EQ(std::get<Promise>(*promise.reply).accepted, low);
    acceptor.adopt(*promise.persist);
    EXPECT_TRUE(std::holds_alternative<Refused>(*acceptor.consider(Accept{next, {}, {}}).reply));
    EXPECT_FALSE(acceptor.consider(Prepare{high}).persist);
}

TEST(Register, messages_survive_the_codec) {
    Accept const accept{{1, kA, ~0ULL}, {2, kA, ~0ULL}, {3, {{kA, ~0ULL}}, {{kB, 1}}, {"x"}, "{\"a\":\"\\n\"}"}};
    auto const back = json::read<Message>(json::write(Message(accept)));
    ASSERT_TRUE(back);
    EXPECT_EQ(std::get<Accept>(*back).value, accept.value);
    EXPECT_EQ(std::get<Accept>(*back).ballot, accept.ballot);
    EXPECT_FALSE(json::read<Message>("{\"type\":\"nonsense\"}"));
}

}  // namespace
}  // namespace keel::consensus
