// The replicated register of the embedded store: CASPaxos (D. Rystsov, arXiv:1802.07000) with voters that change. Pure:
// no clock, socket, thread or random; the driver (embedded.h) has real ones, the simulator modelled ones.
//
// How to drive an acceptor: verdict = consider(message). If there is verdict.persist, write it durably, then adopt()
// it, and only then send verdict.reply; after a failed write neither. One message at a time. After a crash construct
// it from what is on the disk.
//
// How to drive a proposer: read(), swap() or reseat() starts an operation. Feed receive() with every Promise, Took,
// Refused, Seen and Learned; call tick() every few round trips while busy(). Carry out each Step: send the messages
// (one to oneself goes through the own acceptor like any other), call retry() after a random delay when `back_off`,
// take `finish` as the outcome. give_up() ends an operation whose time is over. embedded.cc and
// register_history_test.cc do all this.
//
// Why it is safe. Ballots are totally ordered and each belongs to one attempt of one proposer instance (`nonce` is
// drawn at each start), so at most one value is ever proposed in a ballot. A value names its electorate: the voters
// `before` and the `voters` it brings (the same set in most writes). It is *chosen* in ballot b once a majority of
// both accepted it in b. A proposal in ballot b has a base: of all the answers to its prepare the value accepted in
// the highest ballot; and those answers contain a majority of both sets of the base's electorate, whatever set the
// proposer believed in before. It proposes either the base unchanged, electorate included, or a child: before =
// base.voters. A child of a base that changes voters is proposed only after that base is known to be chosen in a
// lower ballot of the same proposer.
//
// Claim: if v is chosen in ballot b, every value proposed in a ballot b2 > b is v or descends from it.
//
// Proof by induction over b2. Let w be proposed in b2 with base u, accepted in b'. If b' >= b, the claim for b' gives
// it (in b only v was proposed). Else b' < b < b2: let v be the first one chosen above b', and c the last one chosen
// at or below b' (the genesis is chosen by definition), C = c.voters. By the induction u and v's base both descend
// from c, and nothing between was chosen; so no voter change between c and them has a child, and each electorate on
// the way is c's own, {C}, or {C, one other set}: all contain C. The same holds for v, being such a value or the
// child of one. So a majority of C answered the prepare of b2, and a majority of C accepted v in b: one acceptor did
// both. If it accepted first, it reported a ballot >= b, against b' < b; if it promised first, it could not accept b
// < b2. Contradiction.
//
// So all chosen values form one chain, in the order of their ballots. An acceptor of a set long gone still leads to
// the newest: a stale proposer meets, in every majority of that set, the value that changed it or a later one. The
// same argument lets a read go without a ballot: if a majority of both sets report the newest value in one accepted
// ballot, it is chosen, and a write that was answered before the question would have been among the answers. That
// voters change one at a time is a rule for people; the proof does not need it.
//
// Liveness: while a change of voters is the newest value, both sets must have a majority up. So its proposer goes on
// at once with a child that differs in `before` = voters only, and so does everybody who meets a change that lacks
// one.
//
// A wiped acceptor would break the promise "what I answered, I remember". So an acceptor is not its node but its
// *seat*, a random number in the acceptor's file, and voters are node -> seat: an acceptor whose file is gone has a
// new seat and counts for nothing, just as a node that never was a voter, until a write seats it (reseat(): an
// ordinary voter change, which a majority of the others must accept). A seat has full memory from its creation on, so
// a new voter may answer at once. The first node's file is created with the genesis value accepted in it.
//
// The answer to a swap never guesses. Values carry the ids of the last writes: whether an own earlier attempt is in
// the chain can be read off the chosen value; where the list does not reach back far enough, the outcome is
// `unknown`.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace keel::consensus {

struct Ballot {
    std::uint64_t counter = 0;
    NodeId node;
    std::uint64_t nonce = 0;
    auto operator<=>(Ballot const&) const = default;
};
BOOST_DESCRIBE_STRUCT(Ballot, (), (counter, node, nonce))

using Seat = std::uint64_t;
using Voters = std::map<NodeId, Seat>;

struct Value {
    std::uint64_t revision = 0;
    Voters before;  // electorate: a majority of these
    Voters voters;  // and of these
    std::vector<std::string>
        writes;        // ids of the last writes; the last one made `revision`, the one before revision - 1
    std::string text;  // the record
    bool operator==(Value const&) const = default;
};
BOOST_DESCRIBE_STRUCT(Value, (), (revision, before, voters, writes, text))

// What an acceptor must never forget.
struct Durable {
    Ballot promised;
    Ballot accepted;
    std::optional<Value> value;
    bool operator==(Durable const&) const = default;
};
BOOST_DESCRIBE_STRUCT(Durable, (), (promised, accepted, value))

// ---- messages: may be lost, repeated, delayed, reordered
// -------------------------------------------------------------
struct Peek {  // what did you accept? A read that needs no write on disk when a majority agrees
    static constexpr char const* kType = "peek";
    std::uint64_t round = 0;
};
BOOST_DESCRIBE_STRUCT(Peek, (), (round))
struct Seen {
    static constexpr char const* kType = "seen";
    std::uint64_t round = 0;
    Seat seat = 0;
    Ballot accepted;
    std::optional<Value> value;
};
BOOST_DESCRIBE_STRUCT(Seen, (), (round, seat, accepted, value))
struct Prepare {
    static constexpr char const* kType = "prepare";
    Ballot ballot;
};
BOOST_DESCRIBE_STRUCT(Prepare, (), (ballot))
struct Promise {
    static constexpr char const* kType = "promise";
    Ballot ballot;
    Seat seat = 0;
    Ballot accepted;
    std::optional<Value> value;
};
BOOST_DESCRIBE_STRUCT(Promise, (), (ballot, seat, accepted, value))
struct Accept {
    static constexpr char const* kType = "accept";
    Ballot ballot;
    Ballot next;  // and promise this one: the same proposer's next write then needs no prepare
    Value value;
};
BOOST_DESCRIBE_STRUCT(Accept, (), (ballot, next, value))
struct Took {
    static constexpr char const* kType = "took";
    Ballot ballot;
    Seat seat = 0;
};
BOOST_DESCRIBE_STRUCT(Took, (), (ballot, seat))
struct Refused {
    static constexpr char const* kType = "refused";
    Ballot ballot;    // the one refused
    Ballot promised;  // because of this one
};
BOOST_DESCRIBE_STRUCT(Refused, (), (ballot, promised))
struct Learned {  // chosen in this ballot
    static constexpr char const* kType = "learned";
    Ballot ballot;
    Value value;
};
BOOST_DESCRIBE_STRUCT(Learned, (), (ballot, value))
struct Fetch {  // answer with Learned when you know more than this ballot
    static constexpr char const* kType = "fetch";
    Ballot ballot;
};
BOOST_DESCRIBE_STRUCT(Fetch, (), (ballot))

using Message = std::variant<Peek, Seen, Prepare, Promise, Accept, Took, Refused, Learned, Fetch>;

// ---- acceptor
// --------------------------------------------------------------------------------------------------------
class Acceptor {
  public:
    Acceptor(Seat seat, Durable durable) : seat_(seat), durable_(std::move(durable)) {}

    struct Verdict {
        std::optional<Durable> persist;  // write this first, then adopt() it
        std::optional<Message> reply;    // none: the message is not for an acceptor
    };
    Verdict consider(Message const& message) const;
    void adopt(Durable durable) { durable_ = std::move(durable); }

    Seat seat() const { return seat_; }
    Durable const& durable() const { return durable_; }

  private:
    Seat seat_;
    Durable durable_;
};

// What the first node's acceptor starts with: the only value that is chosen without a vote.
Durable genesis(NodeId const& node, Seat seat, std::string text);

// ---- proposer
// --------------------------------------------------------------------------------------------------------
enum class Outcome {
    done,      // read: this value stood at some moment of the operation; swap: it happened
    conflict,  // it did not happen and never will; the value given stands instead
    not_done,  // given up before anything could have happened, and nothing will
    unknown,   // may have happened, or may still
    refused,   // more than one voter added or removed, or none left; nothing was sent
};
struct Finish {
    Outcome outcome = Outcome::unknown;
    std::optional<Learned> chosen;  // done, conflict: the value that stands
};
struct Step {
    std::vector<std::pair<NodeId, Message>> send;
    bool back_off = false;  // call retry() after a random delay, none while attempt() is 1
    std::optional<Finish> finish;
    std::optional<Learned> chosen;  // a value was chosen: tell every member
};

// Answers to one round: who (with which seat) accepted what. For the rules below.
struct Answer {
    Seat seat = 0;
    Ballot accepted;
    std::optional<Value> value;
};
using Answers = std::map<NodeId, Answer>;

// True when the answers hold a majority of both sets of the value's electorate.
bool has_quorum(Value const& value, Answers const& answers);
// The answer with the highest accepted ballot; null when nobody has a value.
Answer const* newest(Answers const& answers);
// A proposer's rules; others than these are for tests, which show that weaker ones lose writes.
struct Rules {
    bool (*has_quorum)(Value const&, Answers const&) = &consensus::has_quorum;
    Answer const* (*newest)(Answers const&) = &consensus::newest;
    bool settle_first = true;         // no child of a change of voters that is not known to be chosen
    std::size_t changes_at_once = 1;  // voters added and removed; the proof does not rest on it
};

// One operation at a time. `nonce` must differ from that of every earlier instance of this node: draw 64 random bits.
class Proposer {
  public:
    Proposer(NodeId self, std::uint64_t nonce, Rules rules = {});

    // Whom to ask: any value that was chosen or accepted once. Without one, operations wait for a Learned.
    // True when it is news.
    bool believe(Learned const& learned);
    std::optional<Learned> const& belief() const { return belief_; }

    Step read();
    // Replaces the value of revision `expected` by `text` with these voters (nodes; seats are asked for).
    Step swap(std::uint64_t expected, std::string text, std::set<NodeId> voters);
    // Gives this node, which is a voter, the seat its acceptor has now. The record and its revision stay.
    Step reseat(Seat seat);

    Step receive(NodeId const& from, Message const& message);
    Step tick();   // nothing came for a while: ask again
    Step retry();  // the back-off is over
    Step give_up();

    bool busy() const { return phase_ != Phase::idle; }
    // Whom the present round still waits for; for people.
    std::set<NodeId> silent() const;
    unsigned attempt() const { return attempt_; }  // of this operation, for the back-off and for people

  private:
    enum class Phase { idle, blind, peek, prepare, accept, pause };
    enum class Kind { read, swap, reseat };
    struct Operation {
        Kind kind = Kind::read;
        std::uint64_t expected = 0;
        std::string text = {};
        std::set<NodeId> voters = {};
        Seat seat = 0;
        std::string id = {};
        bool sent = false;  // an accept with this write has left
    };
    struct Ready {  // a majority promised `ballot` when it accepted `base`
        Ballot ballot;
        Value base;
    };

    Step begin(Operation operation);
    Step attempt_now();
    Step peek();
    Step prepare();
    Step propose(Value const& base);
    Step peeked();
    Step prepared();
    Step accepted();
    Step pause();
    Step ask_again();
    Step finish(Outcome outcome, std::optional<Learned> chosen);
    Outcome outcome_of(Value const& chosen) const;
    bool answers_operation(Value const& chosen) const;
    bool changes(Value const& base) const;
    bool lacks_seats(Value const& base) const;
    bool too_many_changes(Value const& base) const;
    Value child(Value const& base) const;
    void ask(Value const& value, Step& step);
    Message question() const;

    NodeId self_;
    std::uint64_t nonce_;
    Rules rules_;
    Phase phase_ = Phase::idle;
    Operation operation_;
    std::uint64_t operations_ = 0;
    unsigned attempt_ = 0;
    std::uint64_t counter_ = 0;  // highest seen anywhere
    std::uint64_t round_ = 0;    // of peeks
    Ballot ballot_;
    Ballot next_;
    Value proposal_;
    std::set<NodeId> asked_;
    Answers answers_;
    std::optional<Ready> ready_;
    std::optional<Learned> known_chosen_;  // by this proposer, in a ballot below ballot_
    std::optional<Learned> belief_;
};

}  // namespace keel::consensus
