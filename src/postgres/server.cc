#include "postgres/server.h"

#include <fmt/format.h>

#include "postgres/gate.h"
#include "postgres/server_state.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

// The longest that a command may take. A clone of terabytes takes hours; crash recovery minutes.
Duration limit_of(cluster::Verb verb) {
    using cluster::Verb;
    switch (verb) {
        case Verb::clone:
            return 240h;
        case Verb::rewind:
            return 2h;
        case Verb::start:
            return 30min;
        case Verb::promote:
            return 60s;
        case Verb::stop:
            return 20s;
        case Verb::kill:
        case Verb::set_names:
        case Verb::follow:
        case Verb::slots:
        case Verb::configure:
            return 10s;
        case Verb::cut:
            return 3s;
    }
    return 10s;
}

char const* verb_name(cluster::Verb verb) { return boost::describe::enum_to_string(verb, "?"); }

Status carry_out(Server::State& state, Running& run) {
    using cluster::Verb;
    switch (run.command.verb) {
        case Verb::start:
            return state.start(run);
        case Verb::follow:
            return state.follow(run);
        case Verb::cut:
            return state.cut(run);
        case Verb::promote:
            return state.promote(run);
        case Verb::set_names:
            return state.set_names(run);
        case Verb::stop:
            return state.stop(run);
        case Verb::kill:
            return state.kill();
        case Verb::rewind:
            return state.rewind(run);
        case Verb::clone:
            return state.clone(run);
        case Verb::slots:
            return state.slots(run);
        case Verb::configure:
            return state.configure(run);
    }
    return fail(Code::internal, "unknown command");
}

}  // namespace

Server::Server(Place place) : state_(std::make_unique<State>(std::move(place))) {}
Server::~Server() = default;

Place const& Server::place() const { return state_->place; }

Status Server::set_settings(Settings settings) {
    state_->disk.set_limits(settings.disk);
    auto wrong = complaints(settings.cluster, "the cluster's settings");
    for (auto& one : complaints(settings.node, "[postgres.parameters]")) wrong.push_back(std::move(one));
    std::lock_guard const lock(state_->mutex);
    state_->settings.members = settings.members;  // a wrong parameter must not shut the members out
    if (!wrong.empty()) return fail(Code::invalid, fmt::format("{}", fmt::join(wrong, "\n")));
    settings.proxied = std::move(state_->settings.proxied);
    state_->settings = std::move(settings);
    return {};
}

void Server::begin_probes(Gate const& gate) {
    state_->words = &gate;
    state_->disk.begin();
}

cluster::Observation Server::observe() {
    std::lock_guard const lock(state_->watching);
    state_->poll_checkpoint();
    auto seen = state_->watch.look(*state_, Bound(600ms));
    state_->relieve_disk(seen);
    return seen;
}

cluster::CommandDone Server::run(cluster::Command const& command, Peers const& peers,
                                 ProgressListener const& progress) {
    cluster::CommandDone done{.id = command.id, .ok = false, .text = {}, .seen = {}};
    if (command.verb == cluster::Verb::kill) {
        auto const status = kill();
        done.ok = status.has_value();
        if (!status) done.text = to_string(status.error());
        Watch fresh;
        done.seen = fresh.look(*state_, Bound(600ms));
        return done;
    }
    Running running{command, peers, progress, Bound(limit_of(command.verb), state_->kills, state_->kills.load()), {}};
    auto const begun = runtime::boot_now();
    auto const status = carry_out(*state_, running);
    runtime::log::debug("postgres", "{} took {} ms", verb_name(command.verb), to_ms(runtime::boot_now() - begun));
    done.ok = status.has_value();
    done.text = status ? running.text : to_string(status.error());
    auto& watch = state_->command_watch;
    done.seen = watch.look(*state_, Bound(1s, state_->kills, state_->kills.load()));
    // The flush position after these two is what the record's next promise rests on: one from before would not do.
    bool const exact = command.verb == cluster::Verb::set_names || command.verb == cluster::Verb::promote;
    for (int i = 0; i < 3 && done.ok && exact && !watch.answered() && !running.bound.overtaken(); ++i)
        done.seen = watch.look(*state_, Bound(1s, state_->kills, state_->kills.load()));
    if (done.ok && exact && !watch.answered()) {
        done.ok = false;
        done.text = "done, but the server does not answer since: " + done.seen.problem;
    }
    return done;
}

Status Server::kill() { return state_->kill(); }

std::size_t Server::reap_orphans() { return state_->reap(); }

int Server::postmaster_pidfd() {
    auto const postmaster = find_postmaster(place().data());
    return postmaster ? open_pidfd(*postmaster, place().data()) : -1;
}

std::optional<pid_t> Server::postmaster_pid() {
    auto const postmaster = find_postmaster(place().data());
    return postmaster ? std::optional(postmaster->pid) : std::nullopt;
}

std::optional<ServerProcess> Server::postmaster(std::optional<ServerProcess> const& known) {
    return find_postmaster(place().data(), known);
}

Status Server::admit_members() { return state_->admit(); }

Status Server::reload() {
    if (!find_postmaster(place().data())) return {};  // the next start reads everything
    return state_->reload();
}

Status Server::advance_slots(std::map<NodeId, Lsn> const& flushed) { return state_->advance(flushed); }

std::string Server::fence(Gate const& gate) const {
    auto const postmaster = find_postmaster(place().data());
    auto const now = runtime::boot_now();
    std::lock_guard const lock(state_->mutex);
    bool const refused = Server::State::change_of(state_->settings.extension) == state_->refused_extension;
    return judge_fence(state_->settings.extension, refused ? state_->refusal : std::string(),
                       postmaster ? postmaster->pid : 0, gate.facts(now), now);
}

Result<std::vector<std::string>> Server::pending_restart() {
    Bound const bound(2s);
    KEEL_TRY(auto connection, Connection::open(local_conninfo(place(), "pgkeel"), bound));
    KEEL_TRY(auto const rows, connection.query("SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1", bound));
    std::vector<std::string> out;
    for (auto const& row : rows) out.push_back(row[0].value_or(""));
    return out;
}

}  // namespace keel::postgres
