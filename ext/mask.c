/* Holds cancel and terminate back from a commit that waits for standbys.
 *
 * SyncRepWaitForLSN() answers a cancelled wait with success and a warning, for a commit that no standby has. It looks
 * at QueryCancelPending and ProcDiePending itself, so holding interrupts is no help: the flags must not be set. They
 * are set by the handlers of SIGINT (pg_cancel_backend, and the timeouts, which send it to their own process) and
 * SIGTERM (pg_terminate_backend, DROP DATABASE WITH (FORCE), shutdown). These are wrapped, once per process, by one
 * that only remembers while the mask is on. */
#include "pgkeel.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#define CANCEL 1u
#define TERMINATE 2u

/* One for each process that can have a transaction, in shared memory, so that the facts worker sees who waits. */
struct memory {
    uint32 remembered; /* CANCEL, TERMINATE */
    uint32 again;      /* 1: the SIGINT that comes is the worker's, and means "carry out what you remembered" */
    int32 pid;
};

static struct memory *memories;
static struct memory fallback;
static struct memory *mine = &fallback;
static volatile sig_atomic_t masked;
static bool wrapped;
static struct sigaction old_interrupt, old_terminate;

static bool is_function(const struct sigaction *action) {
    return (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler != SIG_IGN && action->sa_handler != SIG_DFL;
}

/* Safe in a handler: PostgreSQL's own handlers are, and the rest is atomic. */
static void carry_out(uint32 which) {
    uint32 const bits = __atomic_exchange_n(&mine->remembered, 0, __ATOMIC_ACQ_REL) & which;

    if ((bits & CANCEL) != 0) old_interrupt.sa_handler(SIGINT);
    if ((bits & TERMINATE) != 0) old_terminate.sa_handler(SIGTERM);
}

static void remember(int signal_number) {
    int const saved_errno = errno;
    bool const terminate = signal_number == SIGTERM;

    if (!terminate && __atomic_exchange_n(&mine->again, 0, __ATOMIC_ACQ_REL) != 0) {
        carry_out(CANCEL | TERMINATE);
    } else if (masked && KEEL_LOOK(unmask) == 0) {
        __atomic_fetch_or(&mine->remembered, terminate ? TERMINATE : CANCEL, __ATOMIC_ACQ_REL);
    } else {
        (terminate ? old_terminate : old_interrupt).sa_handler(signal_number);
    }
    errno = saved_errno;
}

static void wrap(int signal_number, struct sigaction *old) {
    struct sigaction action;

    if (sigaction(signal_number, NULL, old) != 0 || !is_function(old)) return;
    action = *old;
    action.sa_handler = remember;
    sigaction(signal_number, &action, NULL);
}

static int process_index(void) {
#if PG_VERSION_NUM >= 170000
    return MyProcNumber;
#else
    return MyProc->pgprocno;
#endif
}

void keel_mask(void) {
    if (!wrapped) {
        if (memories != NULL && MyProc != NULL && process_index() < MaxBackends) mine = &memories[process_index()];
        mine->remembered = mine->again = 0; /* of a process that had the place before */
        mine->pid = MyProcPid;
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

bool keel_terminate_remembered(void) { return (__atomic_load_n(&mine->remembered, __ATOMIC_ACQUIRE) & TERMINATE) != 0; }

bool keel_wake_masked(void) {
    bool anyone = false;

    for (int i = 0; memories != NULL && i < MaxBackends; ++i) {
        if (__atomic_load_n(&memories[i].remembered, __ATOMIC_ACQUIRE) == 0) continue;
        anyone = true;
        if (KEEL_LOOK(unmask) == 0) continue;
        /* A process that is through with its commit by now has forgotten, and ignores this signal. */
        __atomic_store_n(&memories[i].again, 1, __ATOMIC_RELEASE);
        kill(memories[i].pid, SIGINT);
    }
    return anyone;
}

static Size memory_size(void) { return mul_size(MaxBackends, sizeof(struct memory)); }

void keel_mask_request_memory(void) { RequestAddinShmemSpace(memory_size()); }

void keel_mask_attach_memory(void) {
    bool found;

    memories = ShmemInitStruct("pgkeel signals held back", memory_size(), &found);
    if (!found) memset(memories, 0, memory_size());
}
