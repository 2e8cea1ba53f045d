/* The worker that tells the agent what the server is doing, every 100 ms, without SQL; also on a hot standby. */
#include "pgkeel.h"

#include <dlfcn.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/walreceiver.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define FACTS_EVERY_MS 100

static uint32 read_senders(struct pgkeel_gate_sender *senders) {
    uint32 used = 0;

    for (int i = 0; i < max_wal_senders && used < PGKEEL_GATE_SENDERS_MAX; ++i) {
        WalSnd *from = &WalSndCtl->walsnds[i];
        struct pgkeel_gate_sender *to = &senders[used];

        memset(to, 0, sizeof(*to));
        SpinLockAcquire(&from->mutex);
        to->pid = (uint32)from->pid;
        to->state = (uint32)from->state;
        to->sync_priority = (uint32)from->sync_standby_priority;
        to->sent = from->sentPtr;
        to->write = from->write;
        to->flush = from->flush;
        to->replay = from->apply;
        SpinLockRelease(&from->mutex);
        if (to->pid != 0) ++used;
    }
    return used;
}

/* application_name is in the table of sessions only. */
static void read_names(struct pgkeel_gate_sender *senders, uint32 used) {
    int count;

    if (used == 0) return;
    count = pgstat_fetch_stat_numbackends();
    for (int i = 1; i <= count; ++i) {
#if PG_VERSION_NUM >= 160000
        LocalPgBackendStatus *session = pgstat_get_local_beentry_by_index(i);
#else
        LocalPgBackendStatus *session = pgstat_fetch_stat_local_beentry(i);
#endif
        for (uint32 s = 0; session != NULL && s < used; ++s) {
            if ((uint32)session->backendStatus.st_procpid == senders[s].pid &&
                session->backendStatus.st_appname != NULL) {
                snprintf(senders[s].name, sizeof(senders[s].name), "%s", session->backendStatus.st_appname);
            }
        }
    }
    pgstat_clear_backend_activity_snapshot();
}

static void write_facts(void) {
    struct pgkeel_gate *gate = keel_gate();
    struct pgkeel_gate_sender senders[PGKEEL_GATE_SENDERS_MAX];
    bool const in_recovery = RecoveryInProgress();
    XLogRecPtr const replay = GetXLogReplayRecPtr(NULL);
    XLogRecPtr const flush = in_recovery ? Max(GetWalRcvFlushRecPtr(NULL, NULL), replay) : GetFlushRecPtr(NULL);
    uint32 const used = read_senders(senders);
    uint64 const sequence = KEEL_LOOK(sequence) | 1;

    read_names(senders, used);
    __atomic_store_n(&gate->sequence, sequence, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    KEEL_TELL(library_version, PGKEEL_LIBRARY_VERSION);
    KEEL_TELL(server_version, PG_VERSION_NUM);
    KEEL_TELL(postmaster, (int64)PostmasterPid);
    KEEL_TELL(in_recovery, in_recovery ? 1 : 0);
    KEEL_TELL(flush, flush);
    KEEL_TELL(replay, replay);
    KEEL_TELL(senders_used, used);
    memcpy(gate->senders, senders, used * sizeof(senders[0]));
    KEEL_TELL(server_us, keel_now_us());
    __atomic_store_n(&gate->sequence, sequence + 1, __ATOMIC_RELEASE);
}

void keel_facts_main(Datum argument) {
    (void)argument;
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    while (!ShutdownRequestPending) {
        write_facts();
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, FACTS_EVERY_MS, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    proc_exit(1); /* not 0: it is started again, should somebody have terminated it alone */
}

static void register_worker(char const *library, char const *what, char const *function) {
    BackgroundWorker worker;

    memset(&worker, 0, sizeof(worker));
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    worker.bgw_restart_time = 1;
    snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "%s", library);
    snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "%s", function);
    snprintf(worker.bgw_name, BGW_MAXLEN, "pgkeel %s", what);
    snprintf(worker.bgw_type, BGW_MAXLEN, "pgkeel %s", what);
    RegisterBackgroundWorker(&worker);
}

/* The library may be anywhere: the workers load it from where it was loaded. */
void keel_workers_register(void) {
    Dl_info self;
    BackgroundWorker worker;

    if (dladdr((void *)keel_facts_main, &self) == 0 || strlen(self.dli_fname) >= sizeof(worker.bgw_library_name)) {
        ereport(LOG, (errmsg("pgkeel: no facts for the agent: the library's path is longer than %zu characters",
                             sizeof(worker.bgw_library_name) - 1),
                      errhint("Install it with \"make install\".")));
        return;
    }
    register_worker(self.dli_fname, "facts", "keel_facts_main");
    register_worker(self.dli_fname, "probe", "keel_probe_main");
}
