/* Holds cancel and terminate back from a commit that waits for standbys.
 *
 * SyncRepWaitForLSN() answers a cancelled wait with success and a warning, for a commit that no standby has. It looks
 * at QueryCancelPending and ProcDiePending itself, so holding interrupts is no help: the flags must not be set. They
 * are set by the handlers of SIGINT (pg_cancel_backend, and the timeouts, which send it to their own process) and
 * SIGTERM (pg_terminate_backend, DROP DATABASE WITH (FORCE), shutdown). These are wrapped, once per process, by one
 * that only remembers while the mask is on.
 *
 * From the first one remembered a timer looks every 50 ms whether the agent has unmasked meanwhile: the process sleeps
 * in PostgreSQL's code, and during a shutdown there is nobody else left to wake it. */
#include "pgkeel.h"

#include <signal.h>
#include <time.h>

#include "miscadmin.h"

#define CANCEL 1u
#define TERMINATE 2u
#define LOOK_EVERY_NS (50 * 1000 * 1000)

static uint32 remembered; /* CANCEL, TERMINATE; handlers may interrupt each other, so atomic */
static volatile sig_atomic_t masked;
static bool wrapped;
static struct sigaction old_interrupt, old_terminate;
static timer_t timer;
static bool has_timer;

/* Safe in a handler: PostgreSQL's own handlers are, and the rest is atomic. */
static void carry_out(uint32 which) {
    uint32 const bits = __atomic_exchange_n(&remembered, 0, __ATOMIC_ACQ_REL) & which;

    if ((bits & CANCEL) != 0) old_interrupt.sa_handler(SIGINT);
    if ((bits & TERMINATE) != 0) old_terminate.sa_handler(SIGTERM);
}

/* timer_settime() may be called in a handler (POSIX). */
static void run_timer(bool on) {
    struct itimerspec const every = {.it_value.tv_nsec = on ? LOOK_EVERY_NS : 0, .it_interval.tv_nsec = LOOK_EVERY_NS};

    if (has_timer) (void)timer_settime(timer, 0, &every, NULL);
}

static void remember(int signal_number) {
    int const saved_errno = errno;
    bool const terminate = signal_number == SIGTERM;

    if (masked && KEEL_LOOK(unmask) == 0) {
        __atomic_fetch_or(&remembered, terminate ? TERMINATE : CANCEL, __ATOMIC_ACQ_REL);
        run_timer(true);
    } else {
        (terminate ? old_terminate : old_interrupt).sa_handler(signal_number);
    }
    errno = saved_errno;
}

static void look_again(int signal_number) {
    int const saved_errno = errno;

    (void)signal_number;
    if (masked && KEEL_LOOK(unmask) != 0) carry_out(CANCEL | TERMINATE);
    if (__atomic_load_n(&remembered, __ATOMIC_ACQUIRE) == 0) run_timer(false);
    errno = saved_errno;
}

static void wrap(int signal_number, struct sigaction *old) {
    struct sigaction action;

    if (sigaction(signal_number, NULL, old) != 0 || (old->sa_flags & SA_SIGINFO) != 0) return;
    if (old->sa_handler == SIG_IGN || old->sa_handler == SIG_DFL) return; /* some background workers */
    action = *old;
    action.sa_handler = remember;
    sigaction(signal_number, &action, NULL);
}

/* With a real-time signal that nobody else in this process uses. */
static void make_timer(void) {
    for (int number = SIGRTMIN; number <= SIGRTMAX && !has_timer; ++number) {
        struct sigaction action;
        struct sigevent event;

        if (sigaction(number, NULL, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        memset(&action, 0, sizeof(action));
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART;
        action.sa_handler = look_again;
        sigaction(number, &action, NULL);
        memset(&event, 0, sizeof(event));
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = number;
        has_timer = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
        if (!has_timer) break;
    }
}

void keel_mask(void) {
    if (!wrapped) {
        make_timer();
        wrap(SIGINT, &old_interrupt);
        wrap(SIGTERM, &old_terminate);
        wrapped = true;
    }
    masked = 1;
    CHECK_FOR_INTERRUPTS();
}

void keel_unmask(bool failed) {
    masked = 0;
    carry_out(failed ? TERMINATE : CANCEL | TERMINATE);
}

bool keel_terminate_remembered(void) { return (__atomic_load_n(&remembered, __ATOMIC_ACQUIRE) & TERMINATE) != 0; }
