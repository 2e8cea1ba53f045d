#include "agent/driver.h"

#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {
namespace log = runtime::log;

cluster::Clock clock_now() { return {runtime::boot_now(), runtime::unix_ms_now()}; }

bool brings_server_up(cluster::Verb verb) {
    using cluster::Verb;
    return verb == Verb::start || verb == Verb::promote || verb == Verb::clone || verb == Verb::rewind;
}

// Nobody else has to have a commit: the lease alone says whether it counts.
bool leads_alone(cluster::Record const& record) {
    return record.settings.mode == cluster::Mode::async || record.sync.members.size() <= 1;
}

}  // namespace

Driver::Driver(cluster::Identity identity, Hands hands)
    : identity_(identity), hands_(std::move(hands)), story_(identity.id), node_(std::move(identity), clock_now()) {
    story_.counters().started_unix_ms = runtime::unix_ms_now();
}

cluster::Timing Driver::timing() const {
    return cluster::timing(node_.record() ? node_.record()->settings.profile : cluster::Profile::lan);
}

// ---- events ----

cluster::Clock Driver::wake() {
    auto const clock = clock_now();
    woke_ = clock.now;
    hands_.deadline->heartbeat(clock.now, identity_.incarnation);
    guardian_pulse_.look(hands_.deadline->view().guardian_beats, clock.now);
    return clock;
}

Duration Driver::tick() {
    auto const most = timing().heartbeat / 4;
    if (auto const rested = runtime::boot_now() - woke_; rested < most) return most - rested;
    step(node_.tick(wake()));
    return most;
}

void Driver::receive(NodeId const& from, std::string_view body) {
    auto const message = cluster::decode_message(body);
    if (!message) {
        log::warning("peer", "a message of {} cannot be read: {}", from.value, to_string(message.error()));
        return;
    }
    step(node_.receive(wake(), from, *message));
}

// A guardian that is killed or hung is replaced within two seconds, which costs no leader its office.
cluster::Observation Driver::with_guard(cluster::Observation seen) const {
    seen.unguarded = guardian_pulse_.silent() > 3s && !(hands_.fences_itself && hands_.fences_itself());
    return seen;
}

void Driver::observe(cluster::Observation const& seen) { step(node_.observe(wake(), with_guard(seen))); }

void Driver::command_done(cluster::CommandDone const& done) {
    if (running_ && running_->id == done.id) {
        story_.command_ended(runtime::boot_now(), running_->verb, done.ok);
        running_.reset();
    }
    auto marked = done;
    marked.seen = with_guard(done.seen);
    step(node_.command_done(wake(), marked));
}

void Driver::learn(cluster::Record const& record) {
    if (node_.record() && record.revision <= node_.record()->revision) return;
    step(node_.learn(wake(), record));
}

void Driver::answered(cluster::StoreAnswer const& answer) {
    if (answer.result == cluster::Swapped::conflict) ++story_.counters().record_conflicts;
    step(node_.store_answer(wake(), answer));
}

// ---- effects ----

void Driver::step(std::vector<cluster::Effect> effects) {
    if (stopped_) return;
    notice_record();
    for (auto& effect : effects) {
        auto const* command = std::get_if<cluster::Command>(&effect);
        if (command != nullptr && command->verb == cluster::Verb::kill) {
            // It waits for no disk, and overtakes what waits for one.
            std::erase_if(effects_, [](auto const& one) { return std::holds_alternative<cluster::Command>(one); });
            carry_out(std::move(effect));
        } else {
            effects_.push_back(std::move(effect));
        }
    }
    story_.after_step(clock_now(), node_);
    keep_gate();
    keep_pace();
    carry_on();
    if (hands_.on_step) hands_.on_step();
}

void Driver::carry_on() {
    while (!effects_.empty() && !persisting_ && !stopped_) {
        auto effect = std::move(effects_.front());
        effects_.pop_front();
        carry_out(std::move(effect));
    }
}

void Driver::carry_out(cluster::Effect effect) {
    std::visit(
        [this](auto&& one) {
            using T = std::decay_t<decltype(one)>;
            if constexpr (std::is_same_v<T, cluster::Send>)
                hands_.send(one.to, cluster::encode(one.message));
            else
                this->carry_out(std::forward<decltype(one)>(one));
        },
        std::move(effect));
}

void Driver::carry_out(cluster::Persist const& persist) {
    persisting_ = true;
    hands_.persist(persist.floor, [this](Status const& status) {
        persisting_ = false;
        if (status) return carry_on();
        stopped_ = true;
        effects_.clear();
        hands_.on_fatal(Error(status.error()).in("a promise cannot be kept, it is not on disk"));
    });
}

void Driver::carry_out(cluster::Swap swap) {
    ++story_.counters().record_writes;
    hands_.store->swap(swap.expected, std::move(swap.record),
                       [this](cluster::StoreAnswer const& answer) { answered(answer); });
}

void Driver::carry_out(cluster::Refresh const&) {
    hands_.store->read([this](cluster::StoreAnswer const& answer) { answered(answer); });
}

void Driver::carry_out(cluster::Arm const& arm) {
    if (arm.deadline == Instant{}) {
        shut_gate();
        return hands_.deadline->disarm();
    }
    hands_.deadline->server(postmaster_.first, postmaster_.second);
    hands_.deadline->arm(arm.deadline);
}

void Driver::carry_out(cluster::Command command) {
    story_.command_given(command);
    if (hands_.supervisor == nullptr) return;  // a witness has no server, and its machine gives no commands
    if (held_down_ && brings_server_up(command.verb)) {
        // Left without an answer on purpose: the machine waits for it, and asks for nothing else until the end.
        log::debug("postgres", "not done, the node is being stopped: {}", command.reason);
        return;
    }
    // A deadline that is left of an older reign must not open the gate of a server that comes out of recovery in it.
    if (brings_server_up(command.verb) || command.verb == cluster::Verb::kill) shut_gate();
    running_ = Running{command.id, command.verb};
    hands_.supervisor->carry_out(std::move(command), peers());
}

// ---- what follows from the record and the state ----

void Driver::notice_record() {
    auto const& record = node_.record();
    if (!record || record->revision == revision_) return;
    revision_ = record->revision;
    hands_.on_record(*record);
}

// Not the guardian's deadline: that one is armed before a promotion, while commits wait until the lease holds and the
// record confirms the leader. The opinion has a deadline only then.
void Driver::keep_gate() {
    if (hands_.gate == nullptr) return;
    auto const deadline = node_.opinion().lease_deadline;
    if (deadline == Instant{}) {
        if (gate_is_ours_) shut_gate();
        return;
    }
    gate_is_ours_ = true;
    auto const& record = *node_.record();
    // While the mode changes, what is still promised counts, and what is about to be.
    bool const promised = record.settings.mode != cluster::Mode::async || record.sync.mode != cluster::Mode::async;
    auto const floor = promised ? postgres::Floor::flushed_by_standbys : postgres::Floor::none;
    hands_.gate->order({deadline, record.epoch, leads_alone(record), floor}, runtime::boot_now());
}

void Driver::shut_gate() {
    if (hands_.gate == nullptr) return;
    gate_is_ours_ = true;
    hands_.gate->shut(runtime::boot_now());
}

void Driver::keep_pace() {
    if (hands_.supervisor == nullptr) return;
    using cluster::State;
    auto const state = node_.opinion().state;
    bool const settled = state == State::primary || state == State::standby || state == State::maintenance ||
                         state == State::cloning || state == State::fresh || state == State::broken;
    hands_.supervisor->set_pace(settled ? timing().heartbeat : std::min<Duration>(25ms, timing().heartbeat));
}

postgres::Peers Driver::peers() const {
    postgres::Peers out;
    if (!node_.record()) return out;
    for (auto const& [id, member] : node_.record()->members) {
        if (id != identity_.id && !member.postgres.empty()) out[id] = postgres::parse_endpoint(member.postgres);
    }
    return out;
}

}  // namespace keel::agent
