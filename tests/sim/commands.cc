// How a modelled agent carries out the machine's commands to PostgreSQL: one at a time, each with its durations and
// failures.
#include "host.h"
#include "world.h"

namespace keel::sim {

using cluster::Verb;

namespace {
NameMask mask_of(World const& world, cluster::Names const& names) {
    NameMask mask{names.count, 0};
    for (auto const& id : names.members) {
        if (int const node = world.index(id); node >= 0) mask.mask |= 1U << static_cast<unsigned>(node);
    }
    return mask;
}
constexpr Time kBarrierLimit = 5 * kSecond;
constexpr Time kStopLimit = 5 * kSecond;
constexpr Time kKillLimit = 10 * kSecond;
}  // namespace

void Host::begin(cluster::Command const& command) {
    if (world_.trace.on) {
        std::string what = command.peer.value;
        if (command.timeline.value != 0) what += fmt::format("timeline {} ", command.timeline.value);
        bool const naming = command.verb == Verb::set_names || command.verb == Verb::promote;
        if (naming) what += fmt::format("ANY {} ({:#b})", command.names.count, mask_of(world_, command.names).mask);
        world_.tell(fmt::format("{} command {} {}: {}", id_.value, word(command.verb), what, command.reason));
    }
    if (running_) {
        if (command.verb != Verb::kill) {
            world_.fail("contract", fmt::format("{} was given {} while {} runs", id_.value, word(command.verb),
                                                word(running_->verb)));
            return;
        }
        abort_copy();
        finish(false, "overtaken by a kill");
    }
    running_ = command;
    ++command_life_;
    command_began_ = world_.scheduler.now();
    switch (command.verb) {
        case Verb::start:
            return run_start();
        case Verb::follow:
            return run_follow();
        case Verb::cut:
            return run_cut();
        case Verb::promote:
            return run_promote();
        case Verb::set_names:
            return run_set_names();
        case Verb::stop:
            return run_stop();
        case Verb::kill:
            return run_kill();
        case Verb::rewind:
            return run_rewind();
        case Verb::clone:
            return run_clone();
        case Verb::slots:
            postgres.slots = 0;
            for (auto const& id : command.members) {
                if (int const node = world_.index(id); node >= 0) postgres.slots |= 1U << static_cast<unsigned>(node);
            }
            return after(2 * kMs, &Host::succeed);
        case Verb::configure:
            return after(3 * kMs, &Host::succeed);
    }
}

// The next part of the running command. What the agent does waits while it is paused; what the server does, while that
// is.
void Host::after(Time delay, void (Host::*next)()) {
    std::uint64_t const life = command_life_;
    world_.scheduler.after(delay, [this, life, next] {
        if (life != command_life_ || !running_) return;
        bool const needs_server = running_->verb != Verb::kill;
        if (agent_paused() || (needs_server && postgres.paused)) {
            after(10 * kMs, next);
            return;
        }
        (this->*next)();
    });
}

void Host::finish(bool ok, std::string text) {
    ++command_life_;
    if (!ok) SIM_TELL(world_, "{} {} failed: {}", id_.value, word(running_->verb), text);
    auto done = std::make_shared<cluster::CommandDone>();
    *done = {running_->id, ok, std::move(text), look()};
    running_.reset();
    enqueue({.kind = Waiting::Kind::done, .done = std::move(done)});
}

void Host::succeed() { finish(true, ""); }

void Host::run_start() {
    if (!postgres.present || postgres.marker) {
        world_.invariants.on_start(self_);
        return after(1 * kMs, &Host::refuse);
    }
    if (postgres.running()) return after(1 * kMs, &Host::refuse);
    lying_ = names_certain_ = false;
    postgres.upstream = world_.index(running_->peer);
    postgres.begin_start();
    Time const recovery = world_.rng.chance(0.1) ? world_.rng.between(300, 3000) : world_.rng.between(50, 250);
    postgres.replay_delay = world_.rng.chance(0.3) ? world_.rng.between(20, 1500) * kMs : 0;
    postgres.recover_later(recovery * kMs);
    after(10 * kMs, &Host::start_up);
}

void Host::refuse() { finish(false, "the server cannot be started or changed as it is"); }

void Host::start_up() {
    if (postgres.proc == Proc::starting) return after(5 * kMs, &Host::start_up);
    if (postgres.proc == Proc::down) return refuse();
    finish(true, "");
}

void Host::run_follow() {
    if (!postgres.up()) return after(1 * kMs, &Host::refuse);
    lying_ = false;
    postgres.follow(world_.index(running_->peer));
    after(world_.rng.between(2, 8) * kMs, &Host::succeed);
}

// F0: the receiver goes 7..12 ms after the reload, or is killed after a second.
void Host::run_cut() {
    if (world_.plan.defect == Defect::no_cut) {
        lying_ = true;
        return after(8 * kMs, &Host::succeed);
    }
    Time const span = postgres.receiver_sticks ? 1 * kSecond : world_.rng.between(7, 12) * kMs;
    after(span, &Host::cut_check);
}

void Host::cut_check() {
    if (postgres.up()) {
        postgres.cut_receiver();
    } else {
        postgres.upstream = -1;
    }
    finish(true, "");
}

void Host::run_promote() {
    if (postgres.proc != Proc::recovery || postgres.paused) return after(1 * kMs, &Host::refuse);
    postgres.reload_names(mask_of(world_, running_->names));
    after(4 * kMs, &Host::promote_names_in_force);
}

void Host::promote_names_in_force() {
    if (postgres.proc != Proc::recovery) return refuse();
    if (!postgres.names_in_force() && world_.plan.defect != Defect::skip_barrier) {
        if (world_.scheduler.now() - command_began_ > kBarrierLimit)
            return finish(false, "the names did not come into force");
        return after(2 * kMs, &Host::promote_names_in_force);
    }
    // From here on the server goes its way, whatever becomes of the agent.
    std::uint64_t const server = postgres.life;
    auto const lineage = std::make_shared<std::vector<cluster::Branch> const>(running_->lineage);
    std::uint32_t const timeline = running_->timeline.value;
    promote_later(world_.rng.between(20, 60) * kMs + postgres.promote_extra, server, timeline, lineage);
    after(1 * kMs, &Host::promote_done);
}

void Host::promote_later(Time delay, std::uint64_t server, std::uint32_t timeline,
                         std::shared_ptr<std::vector<cluster::Branch> const> lineage) {
    world_.scheduler.after(delay, [this, server, timeline, lineage] {
        if (postgres.life != server || postgres.proc != Proc::recovery) return;
        if (postgres.paused || postgres.stalled) {
            promote_later(5 * kMs, server, timeline, lineage);
            return;
        }
        postgres.cut_receiver();
        WalBranch branch{timeline, postgres.branch, postgres.flushed, 0, self_};
        for (auto const& known : *lineage) {
            if (known.timeline.value == timeline) branch.epoch = known.epoch.value;
        }
        if (world_.plan.defect == Defect::unplanned_timeline)
            branch.timeline = world_.wal[postgres.branch].timeline + 1;
        int const number = world_.wal.add(branch);
        postgres.open_read_write(number);
        world_.promoted(self_, number);
    });
}

void Host::promote_done() {
    if (postgres.proc == Proc::primary) {
        names_certain_ = true;
        return after(world_.rng.between(1, 10) * kMs, &Host::succeed);
    }
    if (postgres.proc != Proc::recovery) return finish(false, "the server died while it was promoted");
    after(5 * kMs, &Host::promote_done);
}

// Where the counts differ, or this life of the agent did not bring about what is there, through "nobody".
void Host::run_set_names() {
    if (!postgres.up()) return after(1 * kMs, &Host::refuse);
    NameMask const target = mask_of(world_, running_->names);
    bool const certain = std::exchange(names_certain_, false);
    bool const direct = target.count == 0 || (certain && postgres.file_names.count == target.count);
    if (direct || world_.plan.defect == Defect::skip_barrier) return reach_names();
    postgres.reload_names(kNobody);
    after(4 * kMs, &Host::nobody_barrier);
}

void Host::nobody_barrier() {
    if (!postgres.up()) return refuse();
    if (postgres.names_in_force()) return reach_names();
    if (world_.scheduler.now() - command_began_ > kBarrierLimit) return finish(false, "the barrier timed out");
    after(2 * kMs, &Host::nobody_barrier);
}

void Host::reach_names() {
    postgres.reload_names(mask_of(world_, running_->names));
    after(4 * kMs, &Host::names_barrier);
}

void Host::names_barrier() {
    if (!postgres.up()) return refuse();
    if (postgres.names_in_force() || world_.plan.defect == Defect::skip_barrier) {
        names_certain_ = true;
        return finish(true, "");
    }
    if (world_.scheduler.now() - command_began_ > kBarrierLimit) return finish(false, "the barrier timed out");
    after(2 * kMs, &Host::names_barrier);
}

void Host::run_stop() {
    if (postgres.proc == Proc::down) return after(1 * kMs, &Host::succeed);
    after(world_.rng.between(5, 60) * kMs, &Host::stop_clients);
}

void Host::stop_clients() {
    postgres.shut_down();
    stop_wait();
}

void Host::stop_wait() {
    bool const late = world_.scheduler.now() - command_began_ > kStopLimit;
    if (postgres.shutting_down() && !late) return after(3 * kMs, &Host::stop_wait);
    if (postgres.running()) {
        postgres.die();
        postgres.clean = !late;
    }
    if (postgres.dying) return finish(false, "processes survive SIGKILL");
    finish(true, "");
}

// SIGQUIT, 20 ms later SIGKILL.
void Host::run_kill() {
    ++world_.counts.kills;
    bool const stubborn = postgres.paused || world_.rng.chance(world_.plan.stubborn);
    after(stubborn ? 22 * kMs : world_.rng.between(1, 5) * kMs, &Host::kill_done);
}

void Host::kill_done() {
    if (postgres.running() && !postgres.dying) postgres.die();
    if (!postgres.dying) return finish(true, "");
    if (world_.scheduler.now() - command_began_ > kKillLimit) return finish(false, "processes survive SIGKILL");
    after(10 * kMs, &Host::kill_done);
}

bool Host::source_serves() const {
    if (copy_from_ < 0) return false;
    auto const& source = world_.host(copy_from_);
    bool const reachable =
        world_.network.open(Traffic::wal, self_, copy_from_) && world_.network.open(Traffic::wal, copy_from_, self_);
    return reachable && source.powered() && source.postgres.up() && !source.postgres.paused;
}

void Host::run_rewind() {
    copy_from_ = world_.index(running_->peer);
    if (postgres.running() || !postgres.present) return after(1 * kMs, &Host::refuse);
    if (!source_serves()) return after(20 * kMs, &Host::refuse);
    ++world_.counts.rewinds;
    postgres.marker = true;
    copy_life_ = world_.host(copy_from_).postgres.life;
    world_.directory_changed(self_);
    after(world_.rng.between(100, 1500) * kMs, &Host::rewind_done);
}

void Host::take_copy() {
    auto const& source = world_.host(copy_from_).postgres;
    postgres.present = true;
    postgres.marker = false;
    postgres.branch = source.branch;
    postgres.written = postgres.flushed = source.flushed;
    postgres.file_names = world_.rng.chance(0.5) ? source.file_names : NameMask{};
    postgres.upstream = -1;
    postgres.slots = 0;
    postgres.clean = false;
    world_.directory_changed(self_);
}

void Host::rewind_done() {
    if (!source_serves() || world_.host(copy_from_).postgres.life != copy_life_)
        return finish(false, "the source went away");
    take_copy();
    finish(true, "");
}

// Beside the old directory, which stays as it was until the copy is whole.
void Host::run_clone() {
    copy_from_ = world_.index(running_->peer);
    if (postgres.running()) return after(1 * kMs, &Host::refuse);
    if (!source_serves()) return after(20 * kMs, &Host::refuse);
    ++world_.counts.clones;
    copy_life_ = world_.host(copy_from_).postgres.life;
    after(world_.rng.between(500, 4000) * kMs, &Host::clone_done);
}

void Host::clone_done() {
    if (!source_serves() || world_.host(copy_from_).postgres.life != copy_life_)
        return finish(false, "the source went away");
    if (world_.rng.chance(0.02)) {
        postgres.present = true;
        postgres.marker = true;
        world_.directory_changed(self_);
        return finish(false, "killed while the directories were swapped");
    }
    take_copy();
    finish(true, "");
}

// A copy dies with its agent; a half-rewound directory keeps its marker.
void Host::abort_copy() {
    copy_from_ = -1;
    copy_life_ = 0;
}

}  // namespace keel::sim
