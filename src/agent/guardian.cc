#include "agent/guardian.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "agent/deadline_file.h"
#include "agent/privileges.h"
#include "postgres/process.h"
#include "postgres/server.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;

volatile sig_atomic_t asked_to_end = 0;

// A server that is not armed yet is armed at least this long before its deadline.
constexpr Duration kLookAgain = 250ms;

// Whatever is refused to an ordinary user is done without.
void prefer_this_process() {
    rlimit const unlimited{RLIM_INFINITY, RLIM_INFINITY};
    // Under a limit, locking what is yet to come would make it fail.
    int const future = ::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 ? MCL_FUTURE : 0;
    if (::mlockall(MCL_CURRENT | future | MCL_ONFAULT) != 0) ::munlockall();
    sched_param const priority{.sched_priority = 10};
    if (::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0) ::setpriority(PRIO_PROCESS, 0, -20);
}

void catch_signals() {
    struct sigaction end{};
    end.sa_handler = [](int) { asked_to_end = 1; };
    ::sigaction(SIGTERM, &end, nullptr);
    ::sigaction(SIGINT, &end, nullptr);
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
}

void sleep(Duration span) {
    timespec const wait{span.count() / 1'000'000, (span.count() % 1'000'000) * 1000};
    ::clock_nanosleep(CLOCK_BOOTTIME, 0, &wait, nullptr);  // a signal ends it early
}

// True when a server runs that the words mean: a standby started since is another process and is left alone.
bool meant_server_runs(DeadlineView const& view, std::string const& data) {
    auto const processes = postgres::server_processes(data);
    if (processes.empty()) return false;
    auto const postmaster = postgres::find_postmaster(data);
    bool const another = postmaster && view.postmaster != 0 &&
                         (postmaster->pid != view.postmaster || postmaster->start_ticks != view.postmaster_start);
    return !another;
}

struct Watch {
    DeadlineFile words;
    postgres::Server server;
    pid_t parent;
    bool killed = false;

    void strike(DeadlineView const& view) {
        log::error("guardian",
                   "the deadline passed {} ms ago and the agent (last sign {} ms ago) did not renew it: PostgreSQL is "
                   "killed",
                   to_ms(runtime::boot_now() - view.deadline), to_ms(runtime::boot_now() - view.heartbeat));
        auto const status = server.kill();
        killed = status.has_value();
        if (!status) log::error("guardian", "{}", to_string(status.error()));
    }

    // How long there is nothing to do; negative: the guardian's work is over.
    Duration look(std::uint64_t first_incarnation) {
        auto const view = words.view();
        auto const now = runtime::boot_now();
        bool const orphaned = ::getppid() != parent;
        if (orphaned && view.incarnation != first_incarnation) return Duration{-1};  // another tree took over
        if ((asked_to_end != 0 || orphaned) && !view.armed) return Duration{-1};
        if (!view.armed) return kLookAgain;
        if (now < view.deadline) return std::clamp<Duration>(view.deadline - now, 1ms, kLookAgain);
        if (meant_server_runs(view, server.place().data()))
            strike(view);
        else if (asked_to_end != 0 || orphaned)
            return Duration{-1};
        return 10ms;
    }
};

}  // namespace

int run_guardian(config::NodeConfig const& config) {
    pid_t const parent = ::getppid();
    catch_signals();
    prefer_this_process();
    if (auto const status = become_user(config.user); !status) {
        log::error("guardian", "{}", to_string(status.error()));
        return 1;
    }
    auto words = DeadlineFile::open(config.directory);
    if (!words) {
        log::error("guardian", "{}", to_string(words.error()));
        return 1;
    }
    postgres::Place place;
    place.directory = config.directory;
    auto const incarnation = words->view().incarnation;
    Watch watch{std::move(*words), postgres::Server(std::move(place)), parent};
    // The agent that starts beside us has an incarnation of its own.
    std::uint64_t known = incarnation;
    for (;;) {
        if (::getppid() == parent) known = watch.words.view().incarnation;
        auto const idle = watch.look(known);
        if (idle < Duration::zero()) return 0;
        sleep(idle);
    }
}

}  // namespace keel::agent
