#include "agent/supervisor.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>

#include "cluster/status.h"
#include "postgres/server.h"
#include "runtime/blocking.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/scope.h"

namespace keel::agent {

namespace {
namespace log = runtime::log;
using runtime::Task;

constexpr Duration kAskPendingEvery = 10s;

// A command on its way to the worker or on it.
struct Ordered {
    cluster::Command command;
    postgres::Peers peers;
    std::atomic<bool> overtaken = false;
};

}  // namespace

struct Supervisor::State : std::enable_shared_from_this<Supervisor::State> {
    State(runtime::Io& given_io, postgres::Server& given, Callbacks handed)
        : io(given_io),
          server(given),
          callbacks(std::move(handed)),
          watcher("pg watch"),
          worker("pg command"),
          killer("pg kill"),
          chores("pg chores"),
          wake(given_io),
          scope(given_io) {}

    // ---- looking ----
    struct Look {
        cluster::Observation seen;
        std::optional<postgres::ServerProcess> postmaster;
    };

    Task<void> look_for_ever() {
        std::optional<postgres::ServerProcess> known;
        for (;;) {
            auto const begun = commands_done;
            auto look = co_await runtime::run_blocking(watcher, [this, &known] {
                auto seen = server.observe();
                return Look{std::move(seen), server.postmaster(known)};
            });
            known = look.postmaster;
            if (begun != commands_done) continue;  // older than what a command told
            attend(look);
            last = look.seen;
            callbacks.on_observation(look.seen);
            co_await wake.wait_for(pace);
        }
    }

    void attend(Look const& look) {
        auto const found = look.postmaster.value_or(postgres::ServerProcess{});
        if (found.pid == watched && found.start_ticks == watched_start) return;
        watched = found.pid;
        watched_start = found.start_ticks;
        callbacks.on_postmaster(watched, watched_start);
        if (watched == 0) return;
        scope.spawn("postmaster", [this, pid = watched] { return wait_for_death(pid); });
    }

    Task<void> wait_for_death(pid_t pid) {
        auto held = runtime::PidFd::open(io, pid);
        if (held) co_await held->dead();
        auto const died = runtime::boot_now();
        auto const orphans = co_await runtime::run_blocking(killer, [this] { return server.reap_orphans(); });
        log::info("postgres", "the postmaster {} has ended{}", pid,
                  orphans == 0 ? std::string()
                               : fmt::format("; {} of its processes went on and were killed within {} ms", orphans,
                                             to_ms(runtime::boot_now() - died)));
        wake.notify();
    }

    // ---- commands ----
    Task<void> work(std::shared_ptr<Ordered> order) {
        auto const& command = order->command;
        log::info("postgres", "{}: {}", cluster_text(command), command.reason);
        auto const begun = runtime::boot_now();
        bool const kill = command.verb == cluster::Verb::kill;
        Look after;
        auto done = co_await runtime::run_blocking(kill ? killer : worker, [this, order, &after] {
            if (order->overtaken) return cluster::CommandDone{order->command.id, false, "overtaken by a kill", {}};
            auto out = server.run(order->command, order->peers, [this](auto const& progress) { tell(progress); });
            after = {out.seen, server.postmaster({})};
            return out;
        });
        report(command, done, runtime::boot_now() - begun);
        if (order->overtaken) co_return;  // has been told already
        if (running == order) running.reset();
        tell({});
        attend(after);  // first: the machine may arm the guardian for this very server
        deliver(done);
    }

    void deliver(cluster::CommandDone const& done) {
        ++commands_done;
        last = done.seen;
        callbacks.on_done(done);
        wake.notify();
    }

    // The overtaken command is over for the machine from here on, whatever its thread still does.
    void overtake() {
        if (!running) return;
        auto const order = std::exchange(running, nullptr);
        order->overtaken = true;
        runtime::asio::post(io, [weak = weak_from_this(), id = order->command.id] {
            if (auto const self = weak.lock()) self->callbacks.on_done({id, false, "overtaken by a kill", self->last});
        });
    }

    static std::string cluster_text(cluster::Command const& command) {
        std::string out = boost::describe::enum_to_string(command.verb, "?");
        if (command.verb == cluster::Verb::set_names || command.verb == cluster::Verb::promote)
            out += fmt::format(" (any {} of {})", command.names.count, command.names.members.size());
        return out;
    }

    void report(cluster::Command const& command, cluster::CommandDone const& done, Duration took) {
        auto const text =
            fmt::format("{} {} after {:.1f} ms{}{}", cluster_text(command), done.ok ? "done" : "failed",
                        static_cast<double>(took.count()) / 1000.0, done.text.empty() ? "" : ": ", done.text);
        log::write(done.ok ? log::Level::info : log::Level::warning, "postgres", text);
    }

    void tell(postgres::Progress const& progress) {
        std::lock_guard const lock(mutex);
        if (progress.what.empty())
            doing.clear();
        else if (progress.total_bytes == 0)
            doing = fmt::format("{}: {}", progress.what, cluster::bytes_text(progress.done_bytes));
        else
            doing = fmt::format("{}: {} of {}", progress.what, cluster::bytes_text(progress.done_bytes),
                                cluster::bytes_text(progress.total_bytes));
    }

    Task<void> ask_pending() {
        for (;;) {
            co_await runtime::sleep_for(kAskPendingEvery);
            auto asked = co_await runtime::run_blocking(chores, [this] { return server.pending_restart(); });
            if (asked) pending = std::move(*asked);
        }
    }

    runtime::Io& io;
    postgres::Server& server;
    Callbacks callbacks;
    cluster::Observation last;  // as delivered
    std::shared_ptr<Ordered> running;
    std::uint64_t commands_done = 0;
    Duration pace = 100ms;
    pid_t watched = 0;
    std::uint64_t watched_start = 0;
    std::vector<std::string> pending;
    std::mutex mutable mutex;
    std::string doing;  // guarded
    bool advancing = false;
    runtime::Worker watcher, worker, killer, chores;
    runtime::Event wake;
    runtime::Scope scope;
};

Supervisor::Supervisor(runtime::Io& io, postgres::Server& server, Callbacks callbacks)
    : state_(std::make_shared<State>(io, server, std::move(callbacks))) {}
Supervisor::~Supervisor() = default;

void Supervisor::begin() {
    auto* state = state_.get();
    state->scope.supervise("look at PostgreSQL", [state] { return state->look_for_ever(); });
    state->scope.supervise("pending restart", [state] { return state->ask_pending(); });
}

void Supervisor::carry_out(cluster::Command command, postgres::Peers peers) {
    auto const order = std::make_shared<Ordered>();
    order->command = std::move(command);
    order->peers = std::move(peers);
    if (order->command.verb == cluster::Verb::kill) state_->overtake();
    state_->running = order;
    state_->scope.spawn("command", [state = state_.get(), order] { return state->work(order); });
}

runtime::Task<cluster::CommandDone> Supervisor::carry_out_aside(cluster::Command command) {
    auto* const state = state_.get();
    auto const begun = runtime::boot_now();
    auto done =
        co_await runtime::run_blocking(state->worker, [state, &command] { return state->server.run(command, {}, {}); });
    state->report(command, done, runtime::boot_now() - begun);
    state->wake.notify();
    co_return done;
}

void Supervisor::set_pace(Duration pace) {
    bool const faster = pace < state_->pace;
    state_->pace = pace;
    if (faster) state_->wake.notify();
}

void Supervisor::look_soon() { state_->wake.notify(); }

void Supervisor::advance_slots(std::map<NodeId, Lsn> flushed) {
    if (std::exchange(state_->advancing, true)) return;
    state_->scope.spawn("slots", [state = state_.get(), flushed = std::move(flushed)]() -> runtime::Task<void> {
        auto const status =
            co_await runtime::run_blocking(state->chores, [&] { return state->server.advance_slots(flushed); });
        state->advancing = false;
        if (!status) log::debug("postgres", "slots were not moved: {}", to_string(status.error()));
    });
}

std::vector<std::string> const& Supervisor::pending_restart() const { return state_->pending; }

std::string Supervisor::activity() const {
    std::lock_guard const lock(state_->mutex);
    return state_->doing;
}

runtime::Task<void> Supervisor::close() { co_await state_->scope.close(); }

}  // namespace keel::agent
