// Starting, stopping and killing the postmaster.
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "postgres/gate.h"
#include "postgres/job.h"
#include "postgres/names.h"
#include "postgres/server_state.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {

constexpr std::uint64_t kLogMax = 32U << 20U;

std::string log_path(Place const& place) { return place.log() + "/postgresql.log"; }

std::uint64_t size_of(std::string const& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// The last FATAL, PANIC or ERROR that was logged behind `from`, with its hints; else the last line.
std::string last_complaint(std::string const& path, std::uint64_t from) {
    std::ifstream in(path);
    in.seekg(static_cast<std::streamoff>(from));
    std::string line;
    std::string found;
    std::string last;
    while (std::getline(in, line)) {
        auto const fatal = std::min({line.find("FATAL:"), line.find("PANIC:"), line.find("postgres: could not")});
        if (fatal != std::string::npos)
            found = line.substr(fatal);
        else if (auto const hint = std::min(line.find("HINT:"), line.find("DETAIL:"));
                 hint != std::string::npos && !found.empty()) {
            found += "; " + line.substr(hint);
        }
        // "could not create any TCP/IP sockets" says less than the line before it.
        if (line.contains("could not bind")) last = line.substr(line.find("could not bind"));
    }
    if (!last.empty()) return found.empty() ? last : last + "; " + found;
    return found.empty() ? "it said nothing" : found;
}

// Status word of postmaster.pid's line 8 (miscadmin.h, PM_STATUS_*).
bool says_ready(std::string const& data) {
    auto const text = runtime::read_file(data + "/postmaster.pid", 4096);
    return text && text->contains("\nready");
}

// PostgreSQL refuses to start when the pid in a stale lock file belongs to any other process of the same user, such as
// ours after a reboot. That no server process is left here is known better from /proc.
void drop_stale_locks(Place const& place) {
    if (!server_processes(place.data()).empty()) return;
    ::unlink((place.data() + "/postmaster.pid").c_str());
    auto const socket = fmt::format("{}/.s.PGSQL.{}", place.run(), place.port);
    ::unlink((socket + ".lock").c_str());
    ::unlink(socket.c_str());
}

void kill_all(std::vector<ServerProcess> const& processes, std::string const& data) {
    for (auto const& one : processes) send_signal(one, data, SIGKILL);
    // Orphans become ours when we are the subreaper.
    for (auto const& one : processes) ::waitpid(one.pid, nullptr, WNOHANG);
}

}  // namespace

std::size_t Server::State::reap() {
    std::size_t killed = 0;
    for (int round = 0; round < 500; ++round) {
        auto const all = server_processes(place.data());
        auto const lost = orphans(all);
        // A child that was forked in the postmaster's last moment has no title yet. A postmaster that somebody is just
        // starting by hand looks the same for some milliseconds more, and is left alone.
        bool fresh = false;
        auto const owner = find_postmaster(place.data());
        for (auto const& one : all) fresh = fresh || ((!owner || owner->pid != one.pid) && !is_child(one));
        if (lost.empty() && (!fresh || round >= 20)) break;
        if (round == 0 || !lost.empty()) killed = std::max(killed, lost.size());
        kill_all(lost, place.data());
        ::usleep(1000);
    }
    return killed;
}

Status Server::State::kill() {
    kills.fetch_add(1);
    return kill_now();
}

Status Server::State::kill_now() {
    std::lock_guard const lock(launching);
    auto const& data = place.data();
    auto const left = end_server(data, {.postmaster = find_postmaster(data).value_or(ServerProcess{})});
    reap_child();
    if (left == 0) return {};
    std::string pids;
    for (auto const& one : server_processes(data)) pids += " " + std::to_string(one.pid);
    return fail(Code::timeout, "server processes survive SIGKILL, blocked in the kernel:" + pids,
                "check the disk under " + data);
}

Result<ServerProcess> Server::State::postmaster() {
    if (auto const found = find_postmaster(place.data())) return *found;
    return fail(Code::unavailable, "PostgreSQL is not running in " + place.data());
}

Status Server::State::start(Running& run) {
    KEEL_TRY(Wanted target, towards(run));
    if (find_postmaster(place.data())) {
        auto const seen = command_watch.look(*this, run.bound.at_most(2s));
        if (seen.server == cluster::Server::primary)
            return fail(Code::conflict, "the server already runs, as a primary");
        if (seen.server == cluster::Server::recovery) return follow(run);
    }
    run.text = "started as a standby";
    return start_standby(target, run.bound);
}

Status Server::State::start_standby(Wanted const& target, Bound const& bound) {
    auto const data = place.data();
    if (auto const marker = read_marker(place); !marker.empty()) {
        return fail(Code::corrupt, data + " must not be started: " + marker, "clone this node again");
    }
    if (::geteuid() == 0)
        return fail(Code::denied, "PostgreSQL must not run as root", "run pgkeel as the user postgres");
    reap();
    for (auto const& directory : {place.run(), place.log()}) {
        if (!runtime::exists(directory)) KEEL_CHECK(runtime::ensure_directory(directory, 0755));
    }
    if (size_of(log_path(place)) > kLogMax) ::rename(log_path(place).c_str(), (log_path(place) + ".1").c_str());
    auto const log_from = size_of(log_path(place));
    let_signals_through(false);
    Settings const configured = current_settings();
    {
        std::lock_guard const launch_lock(launching);
        if (bound.overtaken()) return fail(bound.why("starting PostgreSQL"));
        if (!find_postmaster(data)) {
            drop_stale_locks(place);
            drop_dangling_claims(data);
            KEEL_TRY(auto const warnings, write_configuration(place, data, configured, target));
            for (auto const& warning : warnings) runtime::log::warning("postgres", "{}", warning);
            KEEL_CHECK(write_standby_signal(data));
            KEEL_TRY(pid_t const pid, launch({place.binary("postgres"), "-D", data}, log_path(place)));
            std::lock_guard const lock(mutex);
            child = pid;
            wanted = target;
            names_certain = false;
        }
    }
    std::string last = "no answer yet";
    for (;;) {
        reap_child();
        bool const ours_ended = [&] {
            std::lock_guard const lock(mutex);
            return child == 0;
        }();
        if (ours_ended && !find_postmaster(data)) {
            Error const error{Code::unavailable,
                              "PostgreSQL did not start: " + last_complaint(log_path(place), log_from),
                              "see " + log_path(place)};
            // A missing or unfit library must cost the fence inside the server, not the server.
            if (extension_refused(error)) return start_standby(target, bound);
            return fail(error);
        }
        if (says_ready(data)) {
            auto const opened = Connection::open(local_conninfo(place, "pgkeel start"), bound.at_most(1s));
            if (opened) return {};
            last = opened.error().text;
        }
        if (!bound.pause(3ms)) return fail(bound.why("starting PostgreSQL (" + last + ")"));
    }
}

Status Server::State::stop(Running& run) {
    if (!find_postmaster(place.data())) {
        reap();
        run.text = "was already stopped";
        return {};
    }
    {
        // Most of the work of the shutdown's own checkpoint, done while clients are still served.
        Bound const bound = run.bound.at_most(10s);
        auto connection = Connection::open(local_conninfo(place, "pgkeel stop"), bound.at_most(1s));
        if (connection) static_cast<void>(connection->query("CHECKPOINT", bound));
    }
    if (run.bound.overtaken()) return fail(run.bound.why("stopping PostgreSQL"));
    return shut_down(run.bound);
}

// The library's place and time of change: another one is tried again.
std::string Server::State::change_of(std::string const& library) {
    struct stat file{};
    if (::stat(library.c_str(), &file) != 0) return library + " (missing)";
    return fmt::format("{} {} {}", library, file.st_ino, file.st_mtim.tv_sec);
}

bool Server::State::extension_refused(Error const& error) {
    std::lock_guard const lock(mutex);
    if (settings.extension.empty() || !error.text.contains(settings.extension)) return false;
    auto const change = change_of(settings.extension);
    if (change == refused_extension) return false;
    refused_extension = change;
    refusal = error.text;
    runtime::log::error("postgres", "{}: it is started without the fence inside", error.text);
    return true;
}

void Server::State::let_signals_through(bool through) {
    if (current_settings().extension.empty()) return;
    if (auto gate = Gate::open(place.directory))
        gate->let_signals_through(through);
    else
        runtime::log::warning("postgres", "{}", to_string(gate.error()));
}

Status Server::State::shut_down(Bound const& bound) {
    auto const data = place.data();
    // Else a commit that waits for a standby would hold the shutdown up.
    let_signals_through(true);
    for (auto const [number, span] : {std::pair{SIGINT, Duration(5s)}, {SIGQUIT, 1s}}) {
        auto const postmaster = find_postmaster(data);
        if (postmaster) send_signal(*postmaster, data, number);
        Bound const step = bound.at_most(span);
        while (!server_processes(data).empty() && step.pause(3ms)) {
        }
        reap_child();
        if (server_processes(data).empty()) return {};
        if (bound.overtaken()) return fail(bound.why("stopping PostgreSQL"));
    }
    return kill_now();
}

}  // namespace keel::postgres
