#include "cli/drill_run.h"

#include <fmt/format.h>

#include "cli/client.h"
#include "cli/drill_fault.h"
#include "cluster/operations.h"
#include "runtime/clock.h"

namespace keel::cli::drill {

namespace {

constexpr Duration kLookPause = 40ms;
constexpr Duration kFirstWrite = 10s;
constexpr Duration kLoadBefore = 2s;
constexpr Duration kWholeFor = 2s;
constexpr Duration kAtLeast = 3s;  // the agent's death shows in the status only after some heartbeats
constexpr Duration kInsist = 10s;
constexpr char const* kTeller = "drill";

}  // namespace

Run::Run(runtime::Io& io, Setup setup)
    : io_(&io),
      setup_(std::move(setup)),
      watch_(setup_.eyes, setup_.out),
      worker_("drill"),
      load_(setup_.site.traffic) {
    auto const& before = setup_.before;
    report_.cluster = before.cluster;
    report_.mode = boost::describe::enum_to_string(before.mode, "?");
    report_.node = setup_.order.self;
    report_.fault = boost::describe::enum_to_string(setup_.order.fault, "?");
    report_.leader_before = before.leader;
    report_.epoch_before = before.epoch.value;
}

cluster::ClusterStatus const* Run::told() const {
    if (auto const* leader = watch_.of_leader()) return leader;
    return watch_.seen().empty() ? nullptr : &watch_.seen().begin()->second.status;
}

runtime::Task<void> Run::perform() {
    for (auto step : {&Run::prepare, &Run::check_again, &Run::strike}) {
        auto done = co_await (this->*step)();
        if (done) continue;
        refusal_ = std::move(done).error();
        co_return;
    }
    co_await watch_recovery();
}

runtime::Task<Done> Run::prepare() {
    schema_begun_ = true;
    if (auto made = co_await runtime::run_blocking(worker_, [this] { return make_schema(setup_.site); }); !made)
        co_return std::unexpected(Failure(kFailed, std::move(made).error().in("making the schema pgkeel_drill")));
    watch_.say(kTeller, fmt::format("the schema {} is made; 1 connection writes, 1 reads", kSchema));
    load_.start(1, 1);
    auto const give_up = runtime::boot_now() + kFirstWrite;
    while (load_.acknowledged() == 0 || load_.answered_reads() == 0) {
        if (runtime::boot_now() > give_up)
            co_return stop(kNotSafe, Code::timeout, "no write or read was answered before the fault; nothing was done",
                           "do the standbys acknowledge commits? pgkeel status");
        co_await runtime::sleep_for(kLookPause);
    }
    auto const begin = runtime::boot_now();
    co_await runtime::sleep_for(kLoadBefore);
    double const span = to_seconds(runtime::boot_now() - begin);
    watch_.say(kTeller,
               fmt::format("{:.0f} writes and {:.0f} reads a second", static_cast<double>(load_.acknowledged()) / span,
                           static_cast<double>(load_.answered_reads()) / span));
    co_return Done{};
}

// The cluster that was looked at some seconds ago may be another one now.
runtime::Task<Done> Run::check_again() {
    co_await watch_.look();
    auto const* now = watch_.of(setup_.order.self);
    if (now == nullptr)
        co_return stop(kUnreachable, Code::unavailable, "the agent of this node does not answer any more",
                       "pgkeel status");
    if (now->epoch != setup_.before.epoch)
        co_return stop(kNotSafe, Code::conflict, "the leadership changed before the drill's fault; nothing was done",
                       "pgkeel explain, then try again");
    if (auto wrong = objections(*now, setup_.order); !wrong.empty())
        co_return std::unexpected(
            Failure(kNotSafe, std::move(wrong.front()).in("not whole any more, so nothing was done")));
    setup_.before = *now;
    co_return Done{};
}

runtime::Task<Done> Run::ask_for_switchover() {
    runtime::HttpCall request;
    request.method = "POST";
    request.path = "/switchover";
    request.body = json::write(cluster::SwitchoverRequest{setup_.order.target, 0});
    request.headers["Content-Type"] = "application/json";
    request.timeout = 10s;
    auto const answer = co_await runtime::http_call(runtime::HttpTarget::local(setup_.config.agent_socket()), request);
    if (answer && answer->status >= 400) co_return std::unexpected(refusal_of(answer->status, answer->body));
    // Of one that got no answer nobody knows whether it happens: the drill looks.
    if (!answer && answer.error().outcome != Outcome::unknown)
        co_return std::unexpected(Failure(kUnreachable, answer.error()));
    co_return Done{};
}

runtime::Task<Done> Run::strike() {
    auto const moment = runtime::boot_now();
    auto const unix_ms = runtime::unix_ms_now();
    watch_.set_aloud(true);
    if (setup_.order.fault == Fault::switchover) {
        // From before the request: one that is interrupted may have been heard all the same.
        recorded_.fault = moment;
        auto asked = co_await ask_for_switchover();
        if (!asked) {
            recorded_.fault = {};
            co_return std::unexpected(std::move(asked).error());
        }
    } else {
        auto killed = kill_processes(*io_, setup_.config, setup_.order.fault);
        if (!killed) co_return std::unexpected(Failure(kNotSafe, std::move(killed).error()));
        report_.killed = std::move(*killed);
        recorded_.fault = moment;
    }
    report_.fault_unix_ms = unix_ms;
    report_.action = fault_text(setup_.order, setup_.before.leader, report_.killed);
    watch_.set_zero(moment);
    watch_.say(kTeller, report_.action);
    co_return Done{};
}

runtime::Task<void> Run::watch_recovery() {
    bool written = false, was_whole = false;
    for (;;) {
        co_await watch_.look();
        auto const now = runtime::boot_now();
        auto& seen = recorded_.sightings;
        see(seen, watch_.seen(), setup_.before, setup_.order.fault);
        if (!written && seen.promoted && load_.last_write() > *seen.promoted) {
            written = true;
            watch_.say(kTeller, "writes are acknowledged again");
        }
        if (seen.whole.has_value() != was_whole) {
            was_whole = !was_whole;
            watch_.say(kTeller, was_whole ? "every member is in its place" : "a member is not in its place again");
        }
        bool const served = load_.last_write() > recorded_.fault;
        if (served && seen.whole && now - *seen.whole >= kWholeFor && now - recorded_.fault >= kAtLeast) co_return;
        if (now - recorded_.fault > setup_.limit) {
            watch_.say(kTeller, fmt::format("not whole within {} s: the drill ends", to_ms(setup_.limit) / 1000));
            co_return;
        }
        co_await runtime::sleep_for(kLookPause);
    }
}

runtime::Task<Status> Run::insist(std::function<Status()> work) {
    auto const give_up = runtime::boot_now() + kInsist;
    for (;;) {
        auto done = co_await runtime::run_blocking(worker_, work);
        if (done || runtime::boot_now() > give_up) co_return done;
        co_await runtime::sleep_for(200ms);
    }
}

runtime::Task<void> Run::read_history() {
    auto const before = setup_.before.events.empty() ? 0 : setup_.before.events.back().number;
    auto const* teller = told();
    if (teller == nullptr) co_return;
    auto const eye = std::ranges::find(setup_.eyes, teller->told_by, &Eye::name);
    if (eye == setup_.eyes.end()) co_return;
    runtime::HttpCall request;
    request.path = "/history";
    auto const answer = co_await runtime::http_call(eye->target, request);
    if (!answer) co_return;
    auto const events = json::read<std::vector<cluster::HistoryEvent>>(answer->body);
    if (!events) co_return;
    for (auto const& event : *events) {
        if (event.number > before)
            report_.history.push_back(
                fmt::format("{}  epoch {}  {}", cluster::utc_text(event.unix_ms), event.epoch.value, event.text));
    }
}

runtime::Task<void> Run::settle(bool interrupted) {
    watch_.set_aloud(false);
    co_await runtime::run_blocking(worker_, [this] { load_.stop(); });
    if (fault_done()) {
        if (report_.fault_unix_ms == 0) {
            report_.fault_unix_ms = runtime::unix_ms_now() - to_ms(runtime::boot_now() - recorded_.fault);
            report_.action = fault_text(setup_.order, setup_.before.leader, {});
        }
        recorded_.interrupted = interrupted;
        recorded_.ledger = load_.ledger();
        co_await insist([this]() -> Status {
            KEEL_TRY(recorded_.audit, audit_schema(setup_.site, recorded_.ledger));
            return {};
        });
        co_await watch_.look();
        if (auto const* leader = watch_.of_leader()) {
            report_.leader_after = leader->leader;
            report_.epoch_after = leader->epoch.value;
        }
        if (auto const* status = told()) {
            for (auto const& error : not_whole(*status)) report_.not_whole.push_back(error.text);
        } else {
            report_.not_whole.emplace_back("no agent answers");
        }
        report_.whole = recorded_.sightings.whole.has_value() && report_.not_whole.empty();
        if (!report_.whole && report_.not_whole.empty())
            report_.not_whole.emplace_back("not for long enough to be sure");
        co_await read_history();
    }
    if (schema_begun_) {
        auto dropped = co_await insist([this] { return drop_schema(setup_.site); });
        report_.schema_dropped = dropped.has_value();
        if (!dropped) left_behind_ = std::move(dropped).error();
    }
    recorded_.moments = watch_.moments();
    if (fault_done()) conclude(report_, recorded_);
}

}  // namespace keel::cli::drill
