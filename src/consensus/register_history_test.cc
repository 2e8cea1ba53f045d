// Random histories of the register: proposers and acceptors over a network that loses, repeats and reorders, on disks
// that fill up, forget what was not synced and get wiped, while voters come and go. Every operation is recorded with
// its invocation, return and outcome; check() is a linearizability checker for a register whose values carry revisions.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "consensus/linearizable.h"

namespace keel::consensus {
namespace {

struct Faults {                       // deliberate ones, to show that the checker bites
    bool promise_forgotten = false;   // at restart
    bool answer_before_sync = false;  // and a crash loses the write
    bool wiped_keeps_seat = false;    // an acceptor without memory counts as the one it replaces
    Rules rules = {};
};

class World {
  public:
    World(std::uint64_t seed, Faults faults) : random_(seed), faults_(faults) {
        may_lose_ = chance(60) ? 15 : 0;
        crashes_ = chance(70) ? (chance(30) ? 12 : 4) : 0;
        may_fill_ = chance(40);
        may_cut_ = chance(50);
        may_change_voters_ = chance(70);
        may_wipe_ = chance(40);
        smallest_ = may_wipe_ ? 3 : 1;
        Voters voters;
        auto const first = 3 + pick(3);
        for (std::size_t i = 0; i < 6; ++i) names_.push_back(NodeId{std::string(1, static_cast<char>('a' + i))});
        for (std::size_t i = 0; i < first; ++i) voters[names_[i]] = i + 1;
        first_ = {{1, names_[0], 0}, Value{1, voters, voters, {"genesis"}, "w0"}};
        for (std::size_t i = 0; i < names_.size(); ++i) {
            auto& node = nodes_[names_[i]];
            node.seat = ++seats_;
            if (i < first) node.disk = {first_.ballot, first_.ballot, first_.value};
            start(names_[i]);
        }
        latest_ = first_;
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) step();
    }

    // Everything works again: the register must, too.
    bool heals() {
        may_lose_ = 0;
        cut_.clear();
        for (auto& [name, node] : nodes_) {
            node.full = false;
            if (!node.acceptor) start(name);
        }
        crashes_ = 0;
        may_fill_ = may_cut_ = may_wipe_ = may_change_voters_ = false;
        auto const before = history_.size();
        for (int i = 0; i < 20000; ++i) {
            step();
            for (auto j = before; j < history_.size(); ++j) {
                if (!history_[j].is_read && history_[j].returned != 0 && history_[j].outcome == Outcome::done)
                    return true;
            }
        }
        return false;
    }

    std::string verdict() const { return what_is_not_linearizable(history_, chosen_); }
    std::size_t writes() const {
        return static_cast<std::size_t>(std::ranges::count_if(history_, [](Done const& one) {
            return !one.is_read && one.returned != 0 && one.outcome == Outcome::done;
        }));
    }

  private:
    struct Node {
        Seat seat = 0;
        Durable disk;
        bool full = false;
        std::optional<Acceptor> acceptor;  // none: the node is down
        std::optional<Proposer> proposer;
        std::optional<std::pair<Durable, std::pair<NodeId, Message>>> syncing;
        std::vector<std::pair<NodeId, Message>> waiting;  // until the disk is done
        std::optional<std::size_t> operation;             // in history_
    };
    struct Mail {
        NodeId from, to;
        Message message;
    };

    std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }
    bool chance(std::size_t percent) { return pick(100) < percent; }
    NodeId const& any() { return names_[pick(names_.size())]; }

    void start(NodeId const& name) {
        auto& node = nodes_[name];
        node.acceptor.emplace(node.seat, node.disk);
        node.proposer.emplace(name, ++nonces_, faults_.rules);
        node.proposer->believe(first_);  // as stale as it can be
        if (node.disk.value) node.proposer->believe({node.disk.accepted, *node.disk.value});
    }

    void crash(NodeId const& name) {
        auto& node = nodes_[name];
        if (!node.acceptor) return;
        if (node.syncing && chance(50)) node.disk = node.syncing->first;
        if (faults_.promise_forgotten) node.disk.promised = node.disk.accepted;
        node.syncing.reset();
        node.waiting.clear();
        node.acceptor.reset();
        node.proposer.reset();
        node.operation.reset();  // its outcome stays unknown
        if (may_wipe_ && chance(30) && everybody_seated()) {
            node.disk = {};
            may_wipe_ = false;  // one disk in a history: with a voter that is just joining, two could be a majority
            if (!faults_.wiped_keeps_seat) node.seat = ++seats_;
        }
    }

    bool everybody_seated() const {
        for (auto const* voters : {&latest_.value.before, &latest_.value.voters}) {
            for (auto const& [name, seat] : *voters) {
                if (nodes_.at(name).seat != seat) return false;
            }
        }
        // A write on its way to smaller or changed voters counts as one more loss.
        return std::ranges::all_of(nodes_, [&](auto const& one) {
            auto const& value = one.second.disk.value;
            return !value || value->voters == latest_.value.voters || one.second.disk.accepted < latest_.ballot;
        });
    }

    void post(NodeId const& from, NodeId const& to, Message const& message) {
        if (from != to && (chance(may_lose_) || cut_.contains({from, to}))) return;
        mail_.push_back({from, to, message});
        if (from != to && chance(may_lose_)) mail_.push_back({from, to, message});
    }

    void carry_out(NodeId const& name, Step const& step) {
        auto& node = nodes_[name];
        for (auto const& [to, message] : step.send) post(name, to, message);
        if (step.chosen) {
            chosen_.push_back(step.chosen->value);
            if (latest_.ballot < step.chosen->ballot) latest_ = *step.chosen;
            for (auto const& to : names_) {
                if (to != name) post(name, to, *step.chosen);
            }
        }
        if (step.finish && node.operation) {
            auto& record = history_[*node.operation];
            record.returned = ++now_;
            record.outcome = step.finish->outcome;
            if (step.finish->chosen) record.value = step.finish->chosen->value;
            node.operation.reset();
        }
    }

    void deliver(NodeId const& from, NodeId const& to, Message const& message) {
        auto& node = nodes_[to];
        if (!node.acceptor) return;
        carry_out(to, node.proposer->receive(from, message));
        if (node.syncing) {
            node.waiting.emplace_back(from, message);
            return;
        }
        auto const verdict = node.acceptor->consider(message);
        if (!verdict.reply) return;
        if (verdict.persist && node.full) return;
        if (verdict.persist && faults_.answer_before_sync) {
            node.acceptor->adopt(*verdict.persist);
            if (chance(50)) node.disk = *verdict.persist;
        } else if (verdict.persist) {
            node.syncing.emplace(*verdict.persist, std::pair{from, *verdict.reply});
            return;
        }
        post(to, from, *verdict.reply);
    }

    void synced(NodeId const& name) {
        auto& node = nodes_[name];
        if (!node.syncing) return;
        auto const [durable, reply] = *std::exchange(node.syncing, std::nullopt);
        node.disk = durable;
        node.acceptor->adopt(durable);
        post(name, reply.first, reply.second);
        for (auto const& [from, message] : std::exchange(node.waiting, {})) {
            if (node.syncing)
                node.waiting.emplace_back(from, message);
            else
                requeue(from, name, message);
        }
    }

    // The acceptor only: the proposer has seen it already.
    void requeue(NodeId const& from, NodeId const& to, Message const& message) {
        if (nodes_[to].acceptor->consider(message).reply) mail_.push_back({from, to, message});
    }

    void work(NodeId const& name) {
        auto& node = nodes_[name];
        if (!node.acceptor) return;
        if (node.proposer->busy()) {
            if (chance(6))
                carry_out(name, node.proposer->give_up());
            else
                carry_out(name, chance(50) ? node.proposer->retry() : node.proposer->tick());
            return;
        }
        auto const& known = node.proposer->belief()->value;
        auto const own = known.voters.find(name);
        if (own != known.voters.end() && own->second != node.seat) {
            carry_out(name, node.proposer->reseat(node.seat));
            return;
        }
        node.operation = history_.size();
        auto& record = history_.emplace_back();
        record.invoked = ++now_;
        record.is_read = chance(25);
        if (record.is_read) {
            carry_out(name, node.proposer->read());
            return;
        }
        record.expected = known.revision - (chance(5) && known.revision > 1 ? 1 : 0);
        record.text = "w" + std::to_string(history_.size());
        carry_out(name, node.proposer->swap(record.expected, record.text, voters_after(known)));
    }

    std::set<NodeId> voters_after(Value const& known) {
        std::set<NodeId> voters;
        for (auto const& [name, seat] : known.voters) voters.insert(name);
        if (!may_change_voters_ || !chance(faults_.rules.changes_at_once > 1 ? 80 : 40)) return voters;
        for (auto left = 1 + pick(faults_.rules.changes_at_once); left > 0; --left) {
            auto const& changed = any();
            if (!voters.insert(changed).second && voters.size() > smallest_) voters.erase(changed);
        }
        return voters;
    }

    void step() {
        if (!mail_.empty() && chance(85)) {
            auto const at = chance(30) ? pick(mail_.size()) : 0;
            auto const mail = mail_[at];
            mail_.erase(mail_.begin() + static_cast<std::ptrdiff_t>(at));
            deliver(mail.from, mail.to, mail.message);
            if (chance(70)) synced(mail.to);
            return;
        }
        auto const& name = any();
        auto const what = pick(100);
        if (what < 50)
            work(name);
        else if (what < 75)
            synced(name);
        else if (what < 75 + crashes_)
            crash(name);
        else if (what < 92 && !nodes_[name].acceptor)
            start(name);
        else if (what < 94 && may_fill_)
            nodes_[name].full = !nodes_[name].full;
        else if (what < 96 && may_cut_)
            cut_.insert({any(), any()});
        else if (what < 98)
            cut_.clear();
    }

    std::mt19937_64 random_;
    Faults faults_;
    std::size_t may_lose_ = 0, crashes_ = 0, smallest_ = 1;
    bool may_fill_ = false, may_cut_ = false, may_change_voters_ = false, may_wipe_ = false;
    std::vector<NodeId> names_;
    std::map<NodeId, Node> nodes_;
    std::vector<Mail> mail_;
    std::set<std::pair<NodeId, NodeId>> cut_;
    std::vector<Done> history_;
    std::vector<Value> chosen_;
    Learned first_, latest_;
    std::uint64_t now_ = 0, nonces_ = 0, seats_ = 0;
};

// The first seed whose history is wrong, and what is.
std::string first_violation(Faults faults, std::uint64_t seeds) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        World world(seed, faults);
        world.run(1500);
        if (auto const wrong = world.verdict(); !wrong.empty()) return "seed " + std::to_string(seed) + ": " + wrong;
    }
    return {};
}

constexpr std::uint64_t kSeedsToFind = 4000;

TEST(RegisterHistory, is_linearizable_and_heals) {
    std::size_t writes = 0;
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        World world(seed, {});
        world.run(1500);
        ASSERT_EQ(world.verdict(), "") << "seed " << seed;
        ASSERT_TRUE(world.heals()) << "seed " << seed;
        ASSERT_EQ(world.verdict(), "") << "seed " << seed << " after healing";
        writes += world.writes();
    }
    EXPECT_GT(writes, 3000U * 5);  // the histories say something
}

TEST(RegisterHistory, finds_a_promise_forgotten_at_restart) {
    EXPECT_NE(first_violation({.promise_forgotten = true}, kSeedsToFind), "");
}

TEST(RegisterHistory, finds_an_answer_before_the_sync) {
    EXPECT_NE(first_violation({.answer_before_sync = true}, kSeedsToFind), "");
}

TEST(RegisterHistory, finds_a_wiped_acceptor_that_keeps_its_seat) {
    EXPECT_NE(first_violation({.wiped_keeps_seat = true}, kSeedsToFind), "");
}

TEST(RegisterHistory, finds_a_proposer_that_ignores_the_highest_accepted_ballot) {
    auto const any_value = [](Answers const& answers) -> Answer const* {
        for (auto const& [node, answer] : answers) {
            if (answer.value) return &answer;
        }
        return nullptr;
    };
    EXPECT_NE(first_violation({.rules = {.newest = any_value}}, kSeedsToFind), "");
}

bool new_voters_only(Value const& value, Answers const& answers) {
    Value alone = value;
    alone.before = value.voters;
    return has_quorum(alone, answers);
}

bool old_voters_only(Value const& value, Answers const& answers) {
    Value alone = value;
    alone.voters = value.before;
    return has_quorum(alone, answers);
}

// With one change at a time any majority of the old voters meets any of the new ones, and the rule to settle a change
// first would do alone. The register rests on neither coincidence: it stays right with four changes at once, and there
// one majority is not enough.
TEST(RegisterHistory, is_linearizable_with_many_voters_changed_at_once) {
    EXPECT_EQ(first_violation({.rules = {.changes_at_once = 4}}, 1000), "");
}

TEST(RegisterHistory, finds_a_majority_of_the_new_voters_only) {
    EXPECT_NE(first_violation({.rules = {.has_quorum = new_voters_only, .changes_at_once = 4}}, kSeedsToFind), "");
}

TEST(RegisterHistory, finds_a_majority_of_the_old_voters_only) {
    EXPECT_NE(first_violation({.rules = {.has_quorum = old_voters_only, .changes_at_once = 4}}, kSeedsToFind), "");
}

TEST(RegisterHistory, finds_a_child_of_an_unsettled_change_of_voters) {
    EXPECT_NE(first_violation({.rules = {.settle_first = false, .changes_at_once = 4}}, kSeedsToFind), "");
}

}  // namespace
}  // namespace keel::consensus
