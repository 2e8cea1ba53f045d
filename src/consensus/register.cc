#include "consensus/register.h"

#include <algorithm>

#include "base/assert.h"

namespace keel::consensus {

namespace {

// A swap that was in doubt for longer than this many later writes is answered `unknown`.
constexpr std::size_t kWritesKept = 8;

bool has_write(Value const& value, std::string const& id) {
    return std::ranges::find(value.writes, id) != value.writes.end();
}

// False only when the write that made `revision` is too old for the value to name it.
bool names_write_of(Value const& value, std::uint64_t revision) {
    return revision > value.revision || value.revision - revision < value.writes.size();
}

bool has_majority(Voters const& voters, Answers const& answers) {
    auto const agrees = [&](auto const& voter) {
        auto const found = answers.find(voter.first);
        return found != answers.end() && found->second.seat == voter.second;
    };
    return !voters.empty() && static_cast<std::size_t>(std::ranges::count_if(voters, agrees)) >= voters.size() / 2 + 1;
}

bool is_settled(Value const& value) { return value.before == value.voters; }

std::set<NodeId> electors(Value const& value) {
    std::set<NodeId> nodes;
    for (auto const* voters : {&value.before, &value.voters}) {
        for (auto const& [node, seat] : *voters) nodes.insert(node);
    }
    return nodes;
}

}  // namespace

// ---- acceptor
// --------------------------------------------------------------------------------------------------------
Acceptor::Verdict Acceptor::consider(Message const& message) const {
    if (auto const* peek = std::get_if<Peek>(&message)) {
        return {{}, Seen{peek->round, seat_, durable_.accepted, durable_.value}};
    }
    if (auto const* prepare = std::get_if<Prepare>(&message)) {
        if (prepare->ballot < durable_.promised) return {{}, Refused{prepare->ballot, durable_.promised}};
        Verdict verdict{{}, Promise{prepare->ballot, seat_, durable_.accepted, durable_.value}};
        if (prepare->ballot > durable_.promised) {
            verdict.persist = durable_;
            verdict.persist->promised = prepare->ballot;
        }
        return verdict;
    }
    if (auto const* accept = std::get_if<Accept>(&message)) {
        // Repeated: it was accepted with `next` promised, whatever was promised since.
        if (accept->ballot == durable_.accepted) return {{}, Took{accept->ballot, seat_}};
        if (accept->ballot < durable_.promised) return {{}, Refused{accept->ballot, durable_.promised}};
        return {Durable{std::max(accept->ballot, accept->next), accept->ballot, accept->value},
                Took{accept->ballot, seat_}};
    }
    return {};
}

Durable genesis(NodeId const& node, Seat seat, std::string text) {
    Ballot const ballot{1, node, seat};
    Voters const voters{{node, seat}};
    return {ballot, ballot, Value{1, voters, voters, {"genesis"}, std::move(text)}};
}

// ---- a proposer's two rules
// ------------------------------------------------------------------------------------------
bool has_quorum(Value const& value, Answers const& answers) {
    return has_majority(value.before, answers) && has_majority(value.voters, answers);
}

Answer const* newest(Answers const& answers) {
    Answer const* best = nullptr;
    for (auto const& [node, answer] : answers) {
        if (answer.value && (best == nullptr || answer.accepted > best->accepted)) best = &answer;
    }
    return best;
}

// ---- proposer
// --------------------------------------------------------------------------------------------------------
Proposer::Proposer(NodeId self, std::uint64_t nonce, Rules rules)
    : self_(std::move(self)), nonce_(nonce), rules_(rules) {}

bool Proposer::believe(Learned const& learned) {
    counter_ = std::max(counter_, learned.ballot.counter + 1);  // its `next` was promised too
    if (belief_ && learned.ballot <= belief_->ballot) return false;
    belief_ = learned;
    return true;
}

Step Proposer::read() { return begin({.kind = Kind::read}); }

Step Proposer::swap(std::uint64_t expected, std::string text, std::set<NodeId> voters) {
    return begin({.kind = Kind::swap, .expected = expected, .text = std::move(text), .voters = std::move(voters)});
}

Step Proposer::reseat(Seat seat) { return begin({.kind = Kind::reseat, .seat = seat}); }

Step Proposer::begin(Operation operation) {
    KEEL_ASSERT(phase_ == Phase::idle);
    operation_ = std::move(operation);
    operation_.id = self_.value + ":" + std::to_string(nonce_) + ":" + std::to_string(++operations_);
    attempt_ = 0;
    return attempt_now();
}

Step Proposer::attempt_now() {
    ++attempt_;
    answers_.clear();
    asked_.clear();
    if (!belief_) {
        phase_ = Phase::blind;
        return {};
    }
    if (operation_.kind == Kind::read && attempt_ == 1) return peek();
    if (ready_ && ready_->ballot.counter >= counter_ && !lacks_seats(ready_->base)) {
        ballot_ = ready_->ballot;
        return propose(Value(ready_->base));
    }
    return prepare();
}

Step Proposer::peek() {
    phase_ = Phase::peek;
    answers_.clear();
    asked_.clear();
    ++round_;
    Step step;
    ask(belief_->value, step);
    return step;
}

Step Proposer::prepare() {
    phase_ = Phase::prepare;
    ready_.reset();
    answers_.clear();
    asked_.clear();
    ballot_ = {++counter_, self_, nonce_};
    Step step;
    ask(belief_->value, step);
    return step;
}

Step Proposer::propose(Value const& base) {
    bool const chosen = !rules_.settle_first || is_settled(base) || (known_chosen_ && base == known_chosen_->value);
    bool const is_write = chosen && changes(base);
    if (is_write && too_many_changes(base)) return finish(Outcome::refused, {});
    proposal_ = is_write ? child(base) : base;
    if (chosen && !is_write) proposal_.before = proposal_.voters;
    operation_.sent = operation_.sent || is_write;
    phase_ = Phase::accept;
    ready_.reset();
    answers_.clear();
    asked_.clear();
    next_ = {ballot_.counter + 1, self_, nonce_};
    counter_ = std::max(counter_, next_.counter);
    Step step;
    ask(proposal_, step);
    return step;
}

Step Proposer::peeked() {
    auto const* top = newest(answers_);
    if (top == nullptr) return {};
    Step step;
    ask(*top->value, step);
    Answers same = answers_;
    std::erase_if(same, [&](auto const& one) { return one.second.accepted != top->accepted; });
    if (has_quorum(*top->value, same) && answers_operation(*top->value)) {
        return finish(outcome_of(*top->value), Learned{top->accepted, *top->value});
    }
    // Chosen, but not the end of the operation; or somebody is behind, or a write is on its way: settle it.
    return has_quorum(*top->value, answers_) ? prepare() : step;
}

// True when a value that was chosen, but for which this proposer holds no promises, tells the outcome. A swap's own
// earlier proposal may still become chosen unless a later revision is.
bool Proposer::answers_operation(Value const& chosen) const {
    if (!is_settled(chosen)) return false;
    return operation_.kind == Kind::swap ? chosen.revision > operation_.expected : !changes(chosen);
}

Step Proposer::prepared() {
    auto const* top = rules_.newest(answers_);
    if (top == nullptr) return {};
    Step step;
    ask(*top->value, step);
    if (!rules_.has_quorum(*top->value, answers_)) return step;
    if (changes(*top->value) && lacks_seats(*top->value)) return step;
    return propose(Value(*top->value));
}

Step Proposer::accepted() {
    if (!rules_.has_quorum(proposal_, answers_)) return {};
    Learned const learned{ballot_, proposal_};
    known_chosen_ = learned;
    ready_ = Ready{next_, proposal_};
    believe(learned);
    // A change of voters is brought to its end first; if it was another's, the operation's own turn is then.
    bool const ends = is_settled(proposal_) && !changes(proposal_);
    Step step = ends ? finish(outcome_of(proposal_), learned) : attempt_now();
    step.chosen = learned;
    return step;
}

Step Proposer::receive(NodeId const& from, Message const& message) {
    if (auto const* learned = std::get_if<Learned>(&message)) {
        bool const is_news = believe(*learned);
        if (is_news && phase_ == Phase::blind) return attempt_now();
        // The contest for which this proposer paused is over: look, without disturbing the winner.
        return is_news && phase_ == Phase::pause ? peek() : Step{};
    }
    if (!asked_.contains(from)) return {};
    if (auto const* seen = std::get_if<Seen>(&message);
        seen != nullptr && phase_ == Phase::peek && seen->round == round_) {
        counter_ = std::max(counter_, seen->accepted.counter + 1);
        answers_[from] = {seen->seat, seen->accepted, seen->value};
        return peeked();
    }
    if (auto const* promise = std::get_if<Promise>(&message);
        promise != nullptr && phase_ == Phase::prepare && promise->ballot == ballot_) {
        answers_[from] = {promise->seat, promise->accepted, promise->value};
        return prepared();
    }
    // A majority may still accept after somebody refused.
    if (auto const* took = std::get_if<Took>(&message);
        took != nullptr && (phase_ == Phase::accept || phase_ == Phase::pause) && took->ballot == ballot_) {
        answers_[from] = {took->seat, took->ballot, {}};
        return accepted();
    }
    if (auto const* refused = std::get_if<Refused>(&message)) {
        counter_ = std::max(counter_, refused->promised.counter);
        bool const mine = refused->ballot == ballot_ && (phase_ == Phase::prepare || phase_ == Phase::accept);
        return mine ? pause() : Step{};
    }
    return {};
}

Step Proposer::tick() {
    switch (phase_) {
        case Phase::idle:
        case Phase::pause:
            return {};
        case Phase::blind:
            return attempt_now();
        case Phase::peek:
            return prepare();
        case Phase::prepare:
        case Phase::accept:
            return ask_again();
    }
    return {};
}

Step Proposer::retry() { return phase_ == Phase::pause ? attempt_now() : Step{}; }

Step Proposer::give_up() {
    if (phase_ == Phase::idle) return {};
    if (operation_.sent && known_chosen_ && has_write(known_chosen_->value, operation_.id)) {
        return finish(Outcome::done, known_chosen_);
    }
    return finish(operation_.sent ? Outcome::unknown : Outcome::not_done, {});
}

Step Proposer::pause() {
    phase_ = Phase::pause;
    Step step;
    step.back_off = true;
    return step;
}

Step Proposer::finish(Outcome outcome, std::optional<Learned> chosen) {
    phase_ = Phase::idle;
    asked_.clear();
    Step step;
    step.finish = Finish{outcome, std::move(chosen)};
    return step;
}

Outcome Proposer::outcome_of(Value const& chosen) const {
    if (operation_.kind != Kind::swap || has_write(chosen, operation_.id)) return Outcome::done;
    bool const may_be_below = operation_.sent && !names_write_of(chosen, operation_.expected + 1);
    return may_be_below ? Outcome::unknown : Outcome::conflict;
}

bool Proposer::changes(Value const& base) const {
    switch (operation_.kind) {
        case Kind::read:
            return false;
        case Kind::swap:
            return base.revision == operation_.expected;
        case Kind::reseat: {
            auto const found = base.voters.find(self_);
            return found != base.voters.end() && found->second != operation_.seat;
        }
    }
    return false;
}

bool Proposer::lacks_seats(Value const& base) const {
    return std::ranges::any_of(
        operation_.voters, [&](NodeId const& node) { return !base.voters.contains(node) && !answers_.contains(node); });
}

bool Proposer::too_many_changes(Value const& base) const {
    if (operation_.kind != Kind::swap) return false;
    auto const added =
        std::ranges::count_if(operation_.voters, [&](auto const& node) { return !base.voters.contains(node); });
    auto const removed =
        std::ranges::count_if(base.voters, [&](auto const& voter) { return !operation_.voters.contains(voter.first); });
    return operation_.voters.empty() || static_cast<std::size_t>(added + removed) > rules_.changes_at_once;
}

Value Proposer::child(Value const& base) const {
    Value value = base;
    value.before = base.voters;
    if (operation_.kind == Kind::reseat) {
        value.voters[self_] = operation_.seat;
        return value;
    }
    value.revision = base.revision + 1;
    value.text = operation_.text;
    value.voters.clear();
    for (auto const& node : operation_.voters) {
        auto const found = base.voters.find(node);
        value.voters[node] = found != base.voters.end() ? found->second : answers_.at(node).seat;
    }
    value.writes.push_back(operation_.id);
    if (value.writes.size() > kWritesKept) value.writes.erase(value.writes.begin());
    return value;
}

std::set<NodeId> Proposer::silent() const {
    auto nodes = asked_;
    std::erase_if(nodes, [&](NodeId const& node) { return answers_.contains(node); });
    return nodes;
}

Message Proposer::question() const {
    if (phase_ == Phase::peek) return Peek{round_};
    if (phase_ == Phase::prepare) return Prepare{ballot_};
    return Accept{ballot_, next_, proposal_};
}

// Puts the round's question to those of the value's electorate, and to those this swap adds, who were not asked yet.
void Proposer::ask(Value const& value, Step& step) {
    auto nodes = electors(value);
    if (phase_ == Phase::prepare) nodes.insert(operation_.voters.begin(), operation_.voters.end());
    for (auto const& node : nodes) {
        if (asked_.insert(node).second) step.send.emplace_back(node, question());
    }
}

Step Proposer::ask_again() {
    Step step;
    if (phase_ == Phase::prepare) ask(belief_->value, step);
    for (auto const& node : asked_) {
        if (!answers_.contains(node)) step.send.emplace_back(node, question());
    }
    return step;
}

}  // namespace keel::consensus
