#include "host.h"

#include "world.h"

namespace keel::sim {

using cluster::Effect;

Host::Host(World& world, int self, cluster::Kind kind)
    : postgres(world, self), world_(world), self_(self), id_{fmt::format("n{}", self)}, kind_(kind) {
    Rng& rng = world.rng;
    clock_.boot(world.scheduler.now(), rng.between(1, 100) * kSecond,
                rng.between(-world.plan.clock_ppm, world.plan.clock_ppm));
    clock_.wall_offset_ms = rng.between(-5000, 5000);
}

cluster::Clock Host::now() const {
    Time const truth = world_.scheduler.now();
    return {clock_.instant(truth), 1'700'000'000'000 + truth / kMs + clock_.wall_offset_ms};
}

// ---- life of the agent
// --------------------------------------------------------------------------------------------------

void Host::start_agent() {
    if (!powered_ || node_) return;
    ++agent_life_;
    ++world_.counts.agent_starts;
    Epoch const floor = world_.plan.defect == Defect::ignore_persist ? Epoch{} : durable_floor;
    cluster::Identity identity{id_, kind_, ++incarnation_, floor, armed_.value_or(Instant{})};
    SIM_TELL(world_, "{} agent starts (floor {})", id_.value, floor.value);
    node_ = std::make_unique<cluster::Node>(identity, now());
    node_->mutate(world_.plan.mutation);
    last_state_ = node_->opinion().state;
    inbox_.clear();
    store_queue_.clear();
    store_busy_ = false;
    draining_ = false;
    look_scheduled_ = false;
    lying_ = false;
    names_certain_ = false;
    if (data()) observe_soon(1 * kMs);
    tick_later();
    look_later();
    world_.store->node_started(self_);
}

void Host::crash_agent() {
    if (!node_) return;
    SIM_TELL(world_, "{} agent is dead", id_.value);
    node_.reset();
    ++agent_life_;
    abort_copy();
    running_.reset();
    ++command_life_;
    world_.store->node_stopped(self_);
}

void Host::pause_agent() { ++agent_paused_; }

void Host::resume_agent() {
    if (agent_paused_ == 0 || --agent_paused_ > 0) return;
    drain();
    world_.store->node_resumed(self_);
}

void Host::power_off() {
    if (!powered_) return;
    SIM_TELL(world_, "{} loses power", id_.value);
    crash_agent();
    if (machine_paused_) {
        machine_paused_ = false;
        --agent_paused_;
    }
    postgres.power_off();
    powered_ = false;
    armed_.reset();
}

void Host::power_on() {
    if (powered_) return;
    powered_ = true;
    Rng& rng = world_.rng;
    clock_.boot(world_.scheduler.now(), rng.between(1, 20) * kSecond,
                rng.between(-world_.plan.clock_ppm, world_.plan.clock_ppm));
    SIM_TELL(world_, "{} is powered on", id_.value);
    start_agent();
}

void Host::pause_machine(bool clock_blind) {
    if (!powered_ || machine_paused_) return;
    machine_paused_ = true;
    blind_pause_ = clock_blind;
    paused_at_ = world_.scheduler.now();
    pause_agent();
    postgres.pause();
}

void Host::resume_machine() {
    if (!machine_paused_) return;
    machine_paused_ = false;
    Time const truth = world_.scheduler.now();
    resumed_at_ = truth;
    if (blind_pause_) {
        clock_.skip(paused_at_, truth);
        blind_total_ += truth - paused_at_;
    }
    // Everybody runs at once; let the server be first, as the worst case.
    postgres.resume();
    world_.scheduler.after(world_.rng.between(0, 2) * kMs, [this] { guard(); });
    world_.scheduler.after(world_.rng.between(0, 2) * kMs, [this] { resume_agent(); });
}

// ---- the guardian: kills the server at the armed deadline
// ---------------------------------------------------------------

void Host::arm(Instant deadline) {
    if (deadline == Instant{})
        armed_.reset();
    else
        armed_ = deadline;
    if (armed_ && !guarding_) guard();
}

void Host::guard() {
    guarding_ = false;
    if (!armed_ || machine_paused_ || !powered_) return;
    Time const truth = world_.scheduler.now();
    if (clock_.instant(truth) < *armed_) {
        guarding_ = true;
        Time const due = clock_.truth(armed_->time_since_epoch().count());
        world_.scheduler.at(std::max(due, truth + 50), [this] { guard(); });
        return;
    }
    armed_.reset();
    if (!postgres.running() || world_.plan.defect == Defect::no_guardian) return;
    bool const paused = postgres.paused || world_.rng.chance(world_.plan.stubborn);
    std::uint64_t const life = postgres.life;
    ++world_.counts.guardian_kills;
    SIM_TELL(world_, "{} guardian kills the server: the lease ran out", id_.value);
    world_.scheduler.after(paused ? 22 * kMs : world_.rng.between(1, 5) * kMs, [this, life] {
        if (postgres.life != life) return;
        postgres.die();
        observe_soon(5 * kMs);
    });
}

// ---- events for the machine
// ---------------------------------------------------------------------------------------------

void Host::tick_later() {
    std::uint64_t const life = agent_life_;
    Time const quarter = cluster::timing(world_.plan.profile).heartbeat.count() / 4;
    world_.scheduler.after(world_.rng.between(quarter * 6 / 10, quarter * 9 / 10), [this, life] {
        if (life != agent_life_) return;
        enqueue({});
        if (life == agent_life_) tick_later();
    });
}

void Host::look_later() {
    if (!data()) return;
    std::uint64_t const life = agent_life_;
    world_.scheduler.after(world_.rng.between(50, 110) * kMs, [this, life] {
        if (life != agent_life_) return;
        enqueue({.kind = Waiting::Kind::observe});
        if (life == agent_life_) look_later();
    });
}

void Host::observe_soon(Time delay) {
    if (!node_ || !data() || look_scheduled_) return;
    look_scheduled_ = true;
    std::uint64_t const life = agent_life_;
    world_.scheduler.after(delay, [this, life] {
        if (life != agent_life_) return;
        look_scheduled_ = false;
        enqueue({.kind = Waiting::Kind::observe});
    });
}

void Host::deliver(int from, std::shared_ptr<cluster::Message const> message) {
    if (!node_ || !powered_) return;
    enqueue({.kind = Waiting::Kind::message, .from = from, .message = std::move(message)});
}

void Host::store_answered(std::uint64_t agent_life, cluster::StoreAnswer answer) {
    if (agent_life != agent_life_ || !node_) return;
    store_busy_ = false;
    enqueue({.kind = Waiting::Kind::store, .answer = std::make_shared<cluster::StoreAnswer const>(std::move(answer))});
    if (agent_life == agent_life_) next_store_request();
}

void Host::record_learned(std::shared_ptr<cluster::Record const> record) {
    if (!node_ || !powered_) return;
    enqueue({.kind = Waiting::Kind::learn, .record = std::move(record)});
}

void Host::enqueue(Waiting event) {
    if (!node_) return;
    if (agent_paused() || draining_) {
        bool const idle_kind = event.kind == Waiting::Kind::tick || event.kind == Waiting::Kind::observe;
        if (!idle_kind || inbox_.empty() || inbox_.back().kind != event.kind) inbox_.push_back(std::move(event));
        return;
    }
    run(event);
    if (!inbox_.empty()) drain();
}

void Host::drain() {
    while (!inbox_.empty() && node_ && !agent_paused()) {
        Waiting const event = std::move(inbox_.front());
        inbox_.pop_front();
        run(event);
    }
}

void Host::run(Waiting const& event) {
    if (world_.failure()) return;
    draining_ = true;
    std::uint64_t const life = agent_life_;
    cluster::Clock const clock = now();
    std::vector<Effect> effects;
    switch (event.kind) {
        case Waiting::Kind::tick:
            effects = node_->tick(clock);
            break;
        case Waiting::Kind::message:
            effects = node_->receive(clock, world_.host(event.from).id(), *event.message);
            break;
        case Waiting::Kind::observe:
            // The agent is the backends' subreaper: it ends orphans before it says that the server is down.
            if (postgres.proc == Proc::down && postgres.backends) {
                draining_ = false;
                std::uint64_t const server = postgres.life;
                world_.scheduler.after(world_.rng.between(1, 3) * kMs, [this, server] {
                    if (postgres.life == server && !postgres.dying) postgres.die();
                    observe_soon(postgres.dying ? 10 * kMs : 0);
                });
                return;
            }
            effects = node_->observe(clock, look());
            break;
        case Waiting::Kind::done:
            effects = node_->command_done(clock, *event.done);
            break;
        case Waiting::Kind::store:
            effects = node_->store_answer(clock, *event.answer);
            break;
        case Waiting::Kind::learn:
            effects = node_->learn(clock, *event.record);
            break;
    }
    ++world_.counts.steps;
    auto const state = node_->opinion().state;
    if (state != last_state_) {
        SIM_TELL(world_, "{} {} -> {}: {}", id_.value, word(last_state_), word(state), node_->opinion().reason);
        world_.invariants.on_state(self_, last_state_, state);
        ++world_.counts.states[static_cast<std::size_t>(state)];
        last_state_ = state;
    }
    bool const blocked = node_->opinion().blocked;
    if (blocked && !was_blocked_) ++world_.counts.blocked;
    was_blocked_ = blocked;
    apply(std::move(effects), 0);
    if (life == agent_life_) draining_ = false;
}

// ---- effects
// --------------------------------------------------------------------------------------------------------------

void Host::apply(std::vector<Effect> effects, std::size_t from) {
    std::uint64_t const life = agent_life_;
    for (std::size_t i = from; i < effects.size() && life == agent_life_; ++i) {
        if (auto* floor = std::get_if<cluster::Persist>(&effects[i])) {
            persist(floor->floor, std::move(effects), i + 1);
            return;
        }
        apply_one(effects[i]);
    }
}

void Host::persist(Epoch floor, std::vector<Effect> effects, std::size_t rest) {
    if (disk_full) {
        ++world_.counts.persist_failures;
        SIM_TELL(world_, "{} cannot write its floor: the agent stops", id_.value);
        crash_agent();
        std::uint64_t const life = agent_life_;
        world_.scheduler.after(world_.rng.between(200, 1000) * kMs, [this, life] {
            if (life == agent_life_) start_agent();
        });
        return;
    }
    Time const span = static_cast<Time>(static_cast<double>(world_.rng.between(100, 1500)) * postgres.fsync_factor);
    std::uint64_t const life = agent_life_;
    auto const kept = std::make_shared<std::vector<Effect>>(std::move(effects));
    finish_persist(span, life, floor, kept, rest);
}

void Host::finish_persist(Time span, std::uint64_t life, Epoch floor, std::shared_ptr<std::vector<Effect>> const& kept,
                          std::size_t rest) {
    world_.scheduler.after(span, [this, life, floor, kept, rest] {
        if (life != agent_life_) return;
        if (postgres.stalled) return finish_persist(10 * kMs, life, floor, kept, rest);
        durable_floor = std::max(durable_floor, floor);
        apply(std::move(*kept), rest);
    });
}

void Host::apply_one(Effect& effect) {
    if (auto* send = std::get_if<cluster::Send>(&effect)) {
        int const to = world_.index(send->to);
        if (std::holds_alternative<cluster::Release>(send->message)) world_.invariants.on_release(self_);
        if (to >= 0) world_.network.send(self_, to, send->message);
    } else if (auto* swap = std::get_if<cluster::Swap>(&effect)) {
        store_queue_.push_back({swap->expected, std::make_shared<cluster::Record const>(std::move(swap->record))});
        next_store_request();
    } else if (std::holds_alternative<cluster::Refresh>(effect)) {
        store_queue_.push_back({0, nullptr});
        next_store_request();
    } else if (auto* deadline = std::get_if<cluster::Arm>(&effect)) {
        arm(deadline->deadline);
    } else if (auto* command = std::get_if<cluster::Command>(&effect)) {
        begin(*command);
    }
}

void Host::next_store_request() {
    if (store_busy_ || store_queue_.empty()) return;
    store_busy_ = true;
    StoreRequest const request = std::move(store_queue_.front());
    store_queue_.pop_front();
    std::uint64_t const life = agent_life_;
    auto const done = [this, life](cluster::Swapped result, SharedRecord record) {
        cluster::StoreAnswer answer{result, {}};
        if (record) answer.record = *record;
        store_answered(life, std::move(answer));
    };
    if (request.record)
        world_.store->swap(self_, self_, request.expected, request.record, done);
    else
        world_.store->read(self_, done);
}

}  // namespace keel::sim
