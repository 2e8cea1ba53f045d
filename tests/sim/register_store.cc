#include "register_store.h"

#include <algorithm>

#include "world.h"

namespace keel::sim {

using cluster::Swapped;
using consensus::Durable;
using consensus::Learned;
using consensus::Message;
using consensus::Step;

namespace {
constexpr Time kGiveUpAfter = 2 * kSecond;
constexpr Time kAskAgainAfter = 60 * kMs;
constexpr Time kBackOffFirst = 4 * kMs;
constexpr Time kReseatAgainAfter = 1 * kSecond;
}  // namespace

RegisterStore::RegisterStore(World& world, SharedRecord first)
    : world_(world), truth_(std::move(first)), truth_text_("0") {
    texts_.push_back({truth_, -1});
    text_of_write_["genesis"] = "0";
    consensus::Voters voters;
    seats_.resize(static_cast<std::size_t>(world.size()));
    for (int node = 0; node < world.size(); ++node) {
        seat(node).number = 1000 + static_cast<std::uint64_t>(node);
        if (truth_->voters.contains(id(node))) voters[id(node)] = seat(node).number;
    }
    for (int node = 0; node < world.size(); ++node) {
        Durable durable = consensus::genesis(id(0), seat(0).number, "0");
        durable.value->before = durable.value->voters = voters;
        seat(node).disk = std::move(durable);
    }
}

NodeId const& RegisterStore::id(int node) const { return world_.host(node).id(); }

// ---- life
// ---------------------------------------------------------------------------------------------------------------

void RegisterStore::node_started(int node) {
    Seat& self = seat(node);
    ++self.life;
    Durable memory = self.disk;
    if (world_.plan.defect == Defect::promise_forgotten) memory.promised = memory.accepted;
    self.acceptor = std::make_unique<consensus::Acceptor>(self.number, memory);
    self.proposer = std::make_unique<consensus::Proposer>(id(node), world_.rng.next());
    if (memory.value) self.proposer->believe({memory.accepted, *memory.value});
}

void RegisterStore::node_stopped(int node) {
    Seat& self = seat(node);
    ++self.life;
    ++self.serial;
    self.acceptor.reset();
    self.proposer.reset();
    self.requests.clear();
    self.current.reset();
    self.known.reset();
    self.waiting.clear();
    self.held.clear();
    self.reseating = false;
    // A write that was under way is on the disk whole or, torn, not at all: the other slot stands.
    if (self.saving && world_.rng.chance(0.5)) {
        self.disk = *self.saving;
        look_at(node);
    }
    self.saving.reset();
}

void RegisterStore::node_resumed(int node) {
    auto held = std::exchange(seat(node).held, {});
    for (auto& function : held) run_or_hold(node, std::move(function));
}

void RegisterStore::run_or_hold(int node, std::function<void()> function) {
    if (world_.host(node).agent_paused())
        seat(node).held.push_back(std::move(function));
    else
        function();
}

template <class F>
void RegisterStore::later(int node, Time delay, F function) {
    std::uint64_t const life = seat(node).life;
    world_.scheduler.after(delay, [this, node, life, function] {
        if (seat(node).life != life || !seat(node).proposer) return;
        if (!world_.host(node).agent_paused()) return function();
        seat(node).held.push_back([this, node, life, function] {
            if (seat(node).life == life && seat(node).proposer) function();
        });
    });
}

template <class F>
void RegisterStore::on_operation(int node, Time delay, F function) {
    later(node, delay, [this, node, serial = seat(node).serial, function] {
        if (seat(node).serial == serial) function();
    });
}

// ---- operations
// ------------------------------------------------------------------------------------------------------------

void RegisterStore::read(int node, Done done) { submit(node, {.done = std::move(done)}); }

void RegisterStore::swap(int node, int author, std::uint64_t expected, SharedRecord next, Done done) {
    auto record = std::make_shared<cluster::Record>(*next);
    record->revision = expected + 1;
    std::string const text = std::to_string(texts_.size());
    std::set<NodeId> const voters = record->voters;
    texts_.push_back({std::move(record), author});
    submit(node, {Request::Kind::swap, expected, text, voters, std::move(done)});
}

void RegisterStore::submit(int node, Request request) {
    if (!seat(node).proposer) {
        if (request.done) world_.scheduler.after(0, [done = request.done] { done(Swapped::unknown, nullptr); });
        return;
    }
    seat(node).requests.push_back(std::move(request));
    later(node, 0, [this, node] { next(node); });
}

void RegisterStore::next(int node) {
    Seat& self = seat(node);
    if (self.proposer->busy() || self.current || self.requests.empty()) return;
    self.current = std::move(self.requests.front());
    self.requests.pop_front();
    ++self.serial;
    Request const& request = *self.current;
    Step step;
    if (request.kind == Request::Kind::read)
        step = self.proposer->read();
    else if (request.kind == Request::Kind::reseat)
        step = self.proposer->reseat(self.number);
    else
        step = self.proposer->swap(request.expected, request.text, request.voters);
    if (!step.finish) {
        on_operation(node, kGiveUpAfter, [this, node] {
            if (seat(node).proposer->busy()) carry_out(node, seat(node).proposer->give_up());
        });
        tick_later(node);
    }
    carry_out(node, step);
}

void RegisterStore::tick_later(int node) {
    on_operation(node, kAskAgainAfter, [this, node] {
        if (!seat(node).proposer->busy()) return;
        tick_later(node);
        carry_out(node, seat(node).proposer->tick());
    });
}

void RegisterStore::carry_out(int node, Step const& step) {
    for (auto const& [to, message] : step.send) send(node, world_.index(to), message);
    if (step.chosen) {
        learn(node, *step.chosen);
        for (int other = 0; other < world_.size(); ++other) {
            if (other != node && truth_->members.contains(id(other))) send(node, other, *step.chosen);
        }
    }
    if (step.back_off) {
        Time const longest = kBackOffFirst << std::min(seat(node).proposer->attempt(), 6U);
        on_operation(node, world_.rng.between(1, longest),
                     [this, node] { carry_out(node, seat(node).proposer->retry()); });
    }
    if (step.finish) finish(node, *step.finish);
}

void RegisterStore::finish(int node, consensus::Finish const& end) {
    Seat& self = seat(node);
    if (end.chosen) learn(node, *end.chosen);
    if (!self.current) return;
    Request const request = std::move(*self.current);
    self.current.reset();
    later(node, 0, [this, node] { next(node); });
    if (request.kind == Request::Kind::reseat) {
        self.reseating = false;
        if (!end.chosen) later(node, kReseatAgainAfter, [this, node] { reseat_if_needed(node); });
        return;
    }
    Swapped result = Swapped::unknown;
    SharedRecord record = end.chosen ? record_of(end.chosen->value) : nullptr;
    if (end.outcome == consensus::Outcome::done) result = Swapped::done;
    if (end.outcome == consensus::Outcome::conflict || end.outcome == consensus::Outcome::refused)
        result = Swapped::conflict;
    if (end.outcome == consensus::Outcome::refused && self.known) record = record_of(self.known->value);
    if (request.done) later(node, 0, [done = request.done, result, record] { done(result, record); });
}

SharedRecord RegisterStore::record_of(consensus::Value const& value) const {
    return texts_[std::stoul(value.text)].record;
}

void RegisterStore::learn(int node, Learned const& learned) {
    Seat& self = seat(node);
    Step const step = self.proposer->receive(id(node), learned);
    if (!step.send.empty() || step.finish) carry_out(node, step);
    if (self.known && learned.ballot <= self.known->ballot) return;
    bool const newer = !self.known || learned.value.revision > self.known->value.revision;
    self.known = learned;
    reseat_if_needed(node);
    if (newer)
        later(node, 0, [this, node, record = record_of(learned.value)] { world_.host(node).record_learned(record); });
}

void RegisterStore::reseat_if_needed(int node) {
    Seat& self = seat(node);
    if (!self.known || self.reseating) return;
    auto const own = self.known->value.voters.find(id(node));
    if (own == self.known->value.voters.end() || own->second == self.number) return;
    self.reseating = true;
    submit(node, {.kind = Request::Kind::reseat});
}

// ---- messages and the disk
// ---------------------------------------------------------------------------------------------------

void RegisterStore::send(int from, int to, Message const& message) {
    if (to < 0) return;
    auto const shared = std::make_shared<Message const>(message);
    auto const arrive = [this, from, to, shared] {
        if (!seat(to).proposer) return;
        run_or_hold(to, [this, from, to, life = seat(to).life, shared] {
            if (seat(to).life == life && seat(to).proposer) deliver(to, from, *shared);
        });
    };
    if (from == to)
        world_.scheduler.after(0, arrive);
    else
        world_.network.post(from, to, arrive);
}

void RegisterStore::deliver(int node, int from, Message const& message) {
    Seat& self = seat(node);
    if (auto const* learned = std::get_if<Learned>(&message)) return learn(node, *learned);
    if (auto const* fetch = std::get_if<consensus::Fetch>(&message)) {
        if (self.known && fetch->ballot < self.known->ballot) send(node, from, *self.known);
        return;
    }
    if (auto const* accept = std::get_if<consensus::Accept>(&message);
        accept != nullptr && !accept->value.writes.empty()) {
        text_of_write_[accept->value.writes.back()] = accept->value.text;
    }
    auto const verdict = self.acceptor->consider(message);
    if (!verdict.reply) return carry_out(node, self.proposer->receive(id(from), message));
    if (!verdict.persist) return send(node, from, *verdict.reply);
    self.waiting.emplace_back(from, message);
    save_next(node);
}

void RegisterStore::save_next(int node) {
    Seat& self = seat(node);
    while (!self.saving && !self.waiting.empty()) {
        auto const [from, message] = std::move(self.waiting.front());
        self.waiting.pop_front();
        auto const verdict = self.acceptor->consider(message);
        if (!verdict.persist) {
            send(node, from, *verdict.reply);
            continue;
        }
        self.saving = *verdict.persist;
        Time const span = static_cast<Time>(static_cast<double>(world_.rng.between(100, 900)) *
                                            world_.host(node).postgres.fsync_factor);
        auto const durable = std::make_shared<Durable const>(*verdict.persist);
        auto const reply = std::make_shared<Message const>(*verdict.reply);
        later(node, span, [this, node, to = from, durable, reply] { saved(node, *durable, to, *reply); });
    }
}

void RegisterStore::saved(int node, Durable durable, int to, Message const& reply) {
    Seat& self = seat(node);
    if (world_.host(node).postgres.stalled) {
        auto const kept = std::make_shared<std::pair<Durable, Message> const>(std::move(durable), reply);
        later(node, 10 * kMs, [this, node, to, kept] { saved(node, kept->first, to, kept->second); });
        return;
    }
    self.saving.reset();
    if (world_.host(node).disk_full) {
        ++world_.counts.persist_failures;  // no answer
    } else {
        self.disk = durable;
        self.acceptor->adopt(durable);
        look_at(node);
        send(node, to, reply);
    }
    save_next(node);
}

// ---- the truth
// -----------------------------------------------------------------------------------------------------------------

void RegisterStore::look_at(int node) {
    Durable const& disk = seat(node).disk;
    if (!disk.value || disk.value->revision < truth_->revision) return;
    auto& answers = taken_[disk.accepted];
    answers[id(node)] = {seat(node).number, disk.accepted, disk.value};
    if (consensus::has_quorum(*disk.value, answers)) chosen(*disk.value);
}

// One write after another: a value may be chosen whose parents never were by themselves.
void RegisterStore::chosen(consensus::Value const& value) {
    if (value.revision == truth_->revision) {
        if (value.text != truth_text_)
            world_.fail("register", fmt::format("two records of revision {} were chosen", value.revision));
        return;
    }
    auto at = std::ranges::find(value.writes, truth_write_);
    std::size_t const missing = value.revision - truth_->revision;
    if (at == value.writes.end() && missing < value.writes.size()) {
        world_.fail("register", fmt::format("revision {} was chosen, and does not descend from {}", value.revision,
                                            truth_->revision));
        return;
    }
    if (at == value.writes.end())
        at = value.writes.end() - static_cast<std::ptrdiff_t>(std::min(missing, value.writes.size())) - 1;
    for (++at; at != value.writes.end(); ++at) {
        std::string const& text = text_of_write_[*at];
        Written const& written = texts_[std::stoul(text)];
        SharedRecord const before = std::exchange(truth_, written.record);
        truth_text_ = text;
        truth_write_ = *at;
        world_.record_written(written.author, *before, *truth_);
    }
}

}  // namespace keel::sim
