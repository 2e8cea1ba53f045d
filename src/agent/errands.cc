#include "agent/errands.h"

#include "postgres/directory.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr Duration kLookEvery = 200ms;
// The first seconds of a reign belong to the sync set's own writes.
constexpr Duration kPhasesAfter = 3s;

std::optional<cluster::Errand> own_errand(Driver const& driver, NodeId const& self) {
    auto const& record = driver.node().record();
    if (!record) return std::nullopt;
    auto const found = record->errands.find(self);
    return found == record->errands.end() ? std::nullopt : std::optional(found->second);
}

Task<Status> carry_out(cluster::Errand const& errand, Supervisor& supervisor, postgres::Place const& place) {
    bool const reinit = errand.work == cluster::Work::reinit;
    // First, so that the machine finds a directory that it may not start; it clones a new one beside it.
    if (reinit) {
        if (auto status = postgres::set_marker(place, "thrown away by an operator (reinit)"); !status) co_return status;
    }
    cluster::Command stop;
    stop.verb = cluster::Verb::stop;
    stop.reason = errand.asked_by;
    auto const done = co_await supervisor.carry_out_aside(std::move(stop));
    if (done.ok) co_return Status{};
    if (reinit) (void)postgres::clear_marker(place);
    co_return fail(Code::unavailable, "PostgreSQL did not stop: " + done.text);
}

// The errand stays on record as long as the copy is not whole: the sync set does not count on it meanwhile.
Task<void> wait_for_copy(Driver const& driver, postgres::Place const& place) {
    auto const copied = [&] {
        auto const& seen = driver.node().observation();
        bool const streams = seen.server == cluster::Server::recovery && seen.streaming && !driver.command_runs();
        return streams && postgres::read_marker(place).empty();
    };
    while (!copied()) co_await runtime::sleep_for(kLookEvery);
}

}  // namespace

Task<void> do_errands(Desk& desk, Driver& driver, Supervisor& supervisor, postgres::Place const& place) {
    std::uint64_t last = 0;
    for (;;) {
        co_await runtime::sleep_for(kLookEvery);
        auto const errand = own_errand(driver, desk.self());
        if (!errand || driver.command_runs()) continue;
        // What was acknowledged may be on this copy alone; the leader takes it out of the sync set first.
        bool const counted_on = driver.node().record()->sync.members.contains(desk.self());
        if (errand->work == cluster::Work::reinit && counted_on) continue;
        if (errand->number != last) {
            char const* what = boost::describe::enum_to_string(errand->work, "?");
            log::info("errand", "{} of PostgreSQL, asked by {}", what, errand->asked_by);
            last = errand->number;
            auto const status = co_await carry_out(*errand, supervisor, place);
            if (!status) log::error("errand", "{} failed: {}", what, to_string(status.error()));
            if (status && errand->work == cluster::Work::reinit) co_await wait_for_copy(driver, place);
            std::string const problem = status ? "" : status.error().text;
            auto const written = co_await desk.change([&, number = errand->number](cluster::Record& record) -> Status {
                cluster::finish_errand(record, desk.self(), number, problem, desk.caller("the agent"));
                return {};
            });
            if (!written) log::warning("errand", "not yet taken off the record: {}", to_string(written.error()));
        } else {
            // Done, but the record could not be written then.
            (void)co_await desk.change([&, number = errand->number](cluster::Record& record) -> Status {
                cluster::finish_errand(record, desk.self(), number, {}, desk.caller("the agent"));
                return {};
            });
        }
    }
}

Task<void> move_slots(Driver const& driver, Supervisor& supervisor) {
    for (;;) {
        co_await runtime::sleep_for(5s);
        auto const& node = driver.node();
        if (node.observation().server != cluster::Server::recovery) continue;
        std::map<NodeId, Lsn> flushed;
        for (auto const& [id, peer] : node.peers()) flushed[id] = peer.last.flush;
        supervisor.advance_slots(std::move(flushed));
    }
}

Task<void> record_phases(Desk& desk, Driver& driver) {
    for (;;) {
        co_await runtime::sleep_for(1s);
        auto const phases = driver.story().take_phases();
        if (phases.empty()) continue;
        co_await runtime::sleep_for(kPhasesAfter);
        (void)co_await desk.change([&](cluster::Record& record) -> Status {
            if (record.leader != desk.self()) return fail(Code::conflict, "leads no more");
            auto const caller = desk.caller("the agent");
            cluster::note(record, caller.node, caller.unix_ms, "phases", "change of leader: " + phases);
            return {};
        });
    }
}

}  // namespace keel::agent
