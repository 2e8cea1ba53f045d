#include "agent/stopping.h"

#include <fmt/format.h>

#include "postgres/server.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/scope.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr Duration kHandOverWithin = 15s;
constexpr Duration kCommandEndsWithin = 5s;
constexpr Duration kNoteWithin = 2s;

bool leads(Ending const& ending) {
    auto const& record = ending.driver.node().record();
    return record && record->leader == ending.desk.self();
}

// Another node reigns.
bool handed_over(Ending const& ending) {
    auto const& record = ending.driver.node().record();
    return record && record->phase == cluster::Phase::stable && record->leader != ending.desk.self();
}

// Our server is down already and nobody is heard who could take over: the whole cluster is being stopped.
bool alone(Ending const& ending) {
    auto const& node = ending.driver.node();
    auto const now = runtime::boot_now();
    bool heard = false;
    for (auto const& [id, peer] : node.peers()) heard = heard || now - peer.heard < 1s;
    return !heard && node.observation().server == cluster::Server::stopped;
}

template <class Condition>
Task<bool> wait_until(Ending& ending, Duration limit, Condition condition) {
    auto const until = runtime::boot_now() + limit;
    while (!condition()) {
        if (ending.hurry || runtime::boot_now() > until) co_return false;
        co_await runtime::sleep_for(10ms);
    }
    co_return true;
}

// What the others are about to see is a leader that goes away: the history says that it was asked to, and that nothing
// broke. Whoever is elected afterwards tells it as that.
Task<void> note_stop(Ending& ending, std::string why) {
    auto& desk = ending.desk;
    auto const noted = co_await runtime::with_timeout(kNoteWithin, desk.change([&](cluster::Record& record) -> Status {
        if (record.leader != desk.self()) return fail(Code::conflict, "leads no more");
        auto const caller = desk.caller("the node");
        cluster::note(record, caller.node, caller.unix_ms, "stop",
                      fmt::format("{} is being stopped, and nobody took over before: {}", desk.config().name, why));
        return {};
    }));
    if (!noted) log::info("stop", "not noted in the history: {}", to_string(noted.error()));
}

Task<void> hand_over(Ending& ending) {
    auto& desk = ending.desk;
    auto const asked = co_await desk.change([&](cluster::Record& record) -> Status {
        auto const sight = desk.look();
        auto const view = cluster::view_of(desk.self(), sight.clock, record, sight.opinion, sight.peers);
        return cluster::request_switchover(record, view, {}, desk.caller("the node, which is being stopped"));
    });
    if (!asked) {
        log::warning("stop", "nobody takes over: {}", to_string(asked.error()));
        if (!ending.hurry) co_await note_stop(ending, asked.error().text);
        co_return;
    }
    auto const& node = ending.driver.node();
    auto const over = [&] {
        return handed_over(ending) || alone(ending) || (node.record() && !node.record()->handover);
    };
    bool const in_time = co_await wait_until(ending, kHandOverWithin, over);
    if (handed_over(ending)) {
        log::info("stop", "handed over");
        co_return;
    }
    char const* const why = in_time ? "was called off" : "did not end in time";
    log::warning("stop", "the hand-over {}", why);
    if (!ending.hurry && !alone(ending) && leads(ending))
        co_await note_stop(ending, fmt::format("the hand-over {}", why));
}

}  // namespace

Task<void> end_server(Ending& ending) {
    ending.driver.hold_server_down();
    if (leads(ending) && !ending.hurry) co_await hand_over(ending);
    bool const idle = co_await wait_until(ending, kCommandEndsWithin, [&] { return !ending.driver.command_runs(); });
    if (!idle || ending.hurry) {
        // A clone or rewind is broken off by it too; its marker says so to the next start.
        log::info("stop", "PostgreSQL is ended at once");
        auto const status = ending.server.kill();
        if (!status) log::error("stop", "{}", to_string(status.error()));
    }
    cluster::Command stop;
    stop.verb = cluster::Verb::stop;
    stop.reason = "the node is being stopped";
    auto const done = co_await ending.supervisor.carry_out_aside(std::move(stop));
    if (!done.ok) log::error("stop", "PostgreSQL did not stop: {}", done.text);
    // The others hear that the lease is free before this process ends.
    bool const leader = leads(ending);
    ending.driver.observe(done.seen);
    if (leader) co_await runtime::sleep_for(50ms);
}

}  // namespace keel::agent
