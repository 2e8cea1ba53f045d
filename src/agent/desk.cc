#include "agent/desk.h"

#include <fmt/format.h>

#include "agent/backups.h"
#include "postgres/setup.h"
#include "runtime/clock.h"

namespace keel::agent {

namespace {

using runtime::Task;

constexpr int kAttempts = 20;

// One answer of a store as something to wait for.
struct Awaited {
    explicit Awaited(runtime::asio::any_io_executor executor) : done(std::move(executor)) {}
    runtime::Event done;
    cluster::StoreAnswer answer;
};

template <class Ask>
Task<cluster::StoreAnswer> ask(Ask start) {
    auto const awaited = std::make_shared<Awaited>(co_await runtime::asio::this_coro::executor);
    // The answer may come after the caller was cancelled: it finds the shared state, and nobody waits.
    start([awaited](cluster::StoreAnswer answer) {
        awaited->answer = std::move(answer);
        awaited->done.notify();
    });
    co_await awaited->done.wait();
    co_return std::move(awaited->answer);
}

Finding finding(Status const& status, std::string what, std::string good) {
    if (status) return {true, std::move(what), std::move(good), {}};
    return {false, std::move(what), status.error().text, status.error().mend};
}

}  // namespace

cluster::Sight Desk::glance() const {
    auto const& node = parts_.driver->node();
    cluster::Sight sight;
    sight.self = self();
    sight.name = config_.name;
    sight.clock = {runtime::boot_now(), runtime::unix_ms_now()};
    sight.record = node.record();
    sight.opinion = node.opinion();
    sight.peers = node.peers();
    sight.seen = node.observation();
    return sight;
}

cluster::Sight Desk::look() const {
    auto sight = glance();
    auto const& certificate = parts_.prepared->tls.own.certificate;
    if (certificate != certificate_read_.first) {
        auto const until = runtime::expires_unix_ms(certificate);
        certificate_read_ = {certificate, until ? *until : 0};
    }
    sight.certificate_until_unix_ms = certificate_read_.second;
    sight.store_trouble = parts_.store->trouble();
    sight.fence = parts_.fence();
    if (backups_ != nullptr) sight.backup = backups_->status();
    if (parts_.supervisor != nullptr) {
        sight.guardian = parts_.driver->guardian();
        sight.activity = parts_.supervisor->activity();
        sight.pending_restart = parts_.supervisor->pending_restart();
        sight.vitals = parts_.supervisor->vitals();
        if (sight.vitals && sight.record) {
            for (auto& slot : sight.vitals->slots) {
                auto const member = sight.record->members.find(NodeId{slot.member});
                slot.member = member == sight.record->members.end() ? std::string() : member->second.name;
            }
        }
    }
    return sight;
}

cluster::Caller Desk::caller(std::string who) const { return {self(), std::move(who), runtime::unix_ms_now()}; }

Task<cluster::StoreAnswer> Desk::read() {
    return ask([this](auto answer) { parts_.store->read(std::move(answer)); });
}

Task<cluster::StoreAnswer> Desk::swap(std::uint64_t expected, cluster::Record record) {
    return ask([this, expected, record = std::move(record)](auto answer) mutable {
        parts_.store->swap(expected, std::move(record), std::move(answer));
    });
}

Task<Result<cluster::Record>> Desk::change(Edit edit) {
    auto answer = co_await read();
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        if (!answer.record) {
            auto const trouble = parts_.store->trouble();
            co_return fail(Code::unavailable,
                           "the cluster's record cannot be read" + (trouble.empty() ? "" : ": " + trouble),
                           "look at pgkeel status: a majority of the voters must be up");
        }
        cluster::Record next = *answer.record;
        auto const expected = next.revision;
        if (auto const status = edit(next); !status) co_return fail(status.error());
        auto written = co_await swap(expected, std::move(next));
        if (written.record) parts_.driver->learn(*written.record);
        if (written.result == cluster::Swapped::done) co_return std::move(*written.record);
        if (written.result == cluster::Swapped::unknown) {
            auto error = Error{Code::unavailable, "no majority answered: the change may have been made or not",
                               "look at pgkeel status before you try again", Outcome::unknown};
            co_return fail(std::move(error));
        }
        answer = written.record ? std::move(written) : co_await read();
    }
    co_return fail(Code::conflict, "the record is being changed by others all the time", "try again");
}

Task<Result<std::string>> Desk::reload() { co_return parts_.reload(); }

std::vector<Finding> Desk::local_findings() const {
    std::vector<Finding> out;
    auto const config = load_config(config_.directory);
    out.push_back(finding(config ? Status{} : Status(fail(config.error())), "node.toml", "no problem"));
    if (auto const validity = runtime::validity(parts_.prepared->tls.own.certificate)) {
        constexpr std::int64_t kDayMs = 86'400'000;
        auto const now = runtime::unix_ms_now();
        auto const days = (validity->until_unix_ms - now) / kDayMs;
        // It renews itself; that it has not done so for a week needs somebody to look.
        bool const good = days > 30 && !runtime::is_renewal_due(*validity, now - 7 * kDayMs);
        out.push_back({good, "certificate", fmt::format("valid for {} days", days),
                       good ? ""
                            : "it should have been renewed by itself: the lines \"certificate\" of this node's log say "
                              "why not; a data node must run"});
    }
    if (auto const free = runtime::free_bytes(config_.directory)) {
        bool const enough = *free > (1ULL << 30U);
        out.push_back({enough, "disk space of " + config_.directory, cluster::bytes_text(*free) + " free",
                       enough ? "" : "free some space: PostgreSQL stops when WAL cannot be written"});
    }
    if (parts_.prepared->place) {
        auto const problems = postgres::check_place(*parts_.prepared->place,
                                                    runtime::exists(parts_.prepared->place->data() + "/PG_VERSION"));
        for (auto const& problem : problems) out.push_back({false, "PostgreSQL", problem.text, problem.mend});
        if (problems.empty()) out.push_back({true, "PostgreSQL", "binaries and data directory are sound", {}});
    }
    return out;
}

Task<std::vector<Finding>> Desk::doctor() {
    auto out = local_findings();
    auto const trouble = parts_.store->trouble();
    out.push_back({trouble.empty(), "cluster record", trouble.empty() ? "can be read and written" : trouble,
                   trouble.empty() ? "" : "bring a majority of the voters up"});
    auto const sight = look();
    if (!sight.seen.problem.empty()) out.push_back({false, "local PostgreSQL", sight.seen.problem, {}});
    if (!sight.guardian.empty()) out.push_back({sight.guardian.starts_with("on duty"), "guardian", sight.guardian, {}});
    if (!sight.seen.disk_text.empty())
        out.push_back({false, "disk of the WAL", sight.seen.disk_text,
                       sight.seen.disk == cluster::Disk::useless
                           ? "mend the disk, or make room on it; the node goes on by itself"
                           : "make room on it: at 95 % this node gives up the lead, if another can take over"});
    for (auto const& parameter : sight.pending_restart)
        out.push_back({false, "parameter " + parameter, "waits for a restart of PostgreSQL", "pgkeel restart"});
    if (sight.record) {
        for (auto const& [id, member] : sight.record->members) {
            if (id == self()) continue;
            auto const peer = sight.peers.find(id);
            bool const heard = peer != sight.peers.end() && sight.clock.now - peer->second.heard < 5s;
            out.push_back(
                {heard, "node " + member.name, heard ? "answers" : "not heard of for five seconds",
                 heard ? ""
                       : "look at its log, and at the network between " + config_.address + " and " + member.peer});
        }
    }
    co_return out;
}

}  // namespace keel::agent
