#include "agent/guardian.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/deadline_file.h"
#include "agent/guard.h"
#include "agent/privileges.h"
#include "postgres/place.h"
#include "postgres/process.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;

volatile sig_atomic_t asked_to_end = 0;

// Pages that cannot be locked are used so often that the kernel does not take them for idle.
constexpr int kRehearseEvery = 20;

struct Gained {
    bool real_time = false;
    bool in_memory = false;
};

// Whatever is refused to an ordinary user is done without, and said in status.
Gained prefer_this_process() {
    Gained out;
    rlimit const unlimited{RLIM_INFINITY, RLIM_INFINITY};
    // Under a limit, locking what is yet to come would make it fail.
    int const future = ::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 ? MCL_FUTURE : 0;
    out.in_memory = ::mlockall(MCL_CURRENT | future | MCL_ONFAULT) == 0;
    if (!out.in_memory) ::munlockall();
    sched_param const priority{.sched_priority = 10};
    out.real_time = ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) == 0;
    if (!out.real_time) ::setpriority(PRIO_PROCESS, 0, -20);
    // The last that the kernel may take for its memory.
    if (int const score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); score >= 0) {
        (void)!::write(score, "-1000", 5);
        ::close(score);
    }
    return out;
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

// Up to the end of a kill it takes no memory, holds no lock, and touches no disk but for the name of a postmaster,
// which it needs only when the one that it knows is gone.
struct Watch {
    DeadlineFile words;
    std::string data;
    pid_t parent;
    Gained gained;
    int looks = 0;

    Servers look_for_servers(DeadlineView const& view) const {
        struct Found {
            pid_t pid;
            std::uint64_t start;
            bool any = false;
            bool meant = false;
        } found{view.postmaster, view.postmaster_start};
        auto const note = [](void* context, postgres::ServerProcess const& one) {
            auto& into = *static_cast<Found*>(context);
            into.any = true;
            into.meant = into.meant || (one.pid == into.pid && one.start_ticks == into.start);
        };
        postgres::each_server_process(data, note, &found);
        auto const owner = found.any && !found.meant ? postgres::find_postmaster(data) : std::nullopt;
        return judge_servers(view, found.any, found.meant, owner);
    }

    void strike(DeadlineView const& view) {
        auto const begun = runtime::boot_now();
        postgres::EndServer how;
        how.postmaster = {.pid = view.postmaster, .start_ticks = view.postmaster_start};
        how.limit = 2s;
        how.context = &words;
        how.each_round = [](void* context) { static_cast<DeadlineFile*>(context)->beat(); };
        auto const left = postgres::end_server(data, how);
        auto const ended = runtime::boot_now();
        // Only now: a log may lie on a disk that stalls.
        log::error("guardian",
                   "the agent (last sign {} ms before) did not renew the deadline: PostgreSQL was killed, begun {:.1f} "
                   "ms after the deadline, {} after {:.1f} ms",
                   to_ms(begun - view.heartbeat), to_seconds(begun - view.deadline) * 1000,
                   left == 0 ? std::string("all gone") : std::to_string(left) + " processes blocked in the kernel",
                   to_seconds(ended - view.deadline) * 1000);
    }

    GuardStep look() {
        bool const orphaned = ::getppid() != parent;
        auto view = words.view();
        // An agent that finds words of an earlier boot clears them, and this with them.
        if (!orphaned && view.guardian != ::getpid()) words.go_on_duty(::getpid(), gained.real_time, gained.in_memory);
        Surroundings around{runtime::boot_now(), Servers::unknown, asked_to_end != 0, orphaned,
                            view.guardian != ::getpid()};
        if (!around.relieved || !orphaned) words.beat();
        if (!gained.in_memory && ++looks % kRehearseEvery == 0) postgres::rehearse_end(data);
        auto decision = decide(view, around);
        if (decision.act != Act::look) return decision;
        around.servers = look_for_servers(view);
        decision = decide(view, around);
        if (decision.act == Act::strike) strike(view);
        return decision;
    }
};

}  // namespace

int run_guardian(config::NodeConfig const& config) {
    pid_t const parent = ::getppid();
    catch_signals();
    auto const gained = prefer_this_process();
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
    Watch watch{std::move(*words), place.data(), parent, gained};
    postgres::rehearse_end(watch.data);
    for (;;) {
        auto const next = watch.look();
        if (next.act == Act::end) return 0;
        if (next.span > Duration{0}) sleep(next.span);
    }
}

}  // namespace keel::agent
