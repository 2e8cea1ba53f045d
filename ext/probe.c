/* The worker that measures the WAL disk: a small write and fsync, once a second, in a process of its own, so that a
 * disk that hangs holds up nothing but this. */
#include "pgkeel.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#define PROBE_EVERY_MS 1000
/* In pg_wal, which may be a disk of its own. pg_rewind and base backups leave out names that begin like this. */
#define PROBE_FILE XLOGDIR "/pgsql_tmp_pgkeel_probe"

/* One block over and over, as WAL is written: after the first time no metadata changes. */
static bool write_block(int fd) {
    char block[512];

    memset(block, 'p', sizeof(block));
    return pwrite(fd, block, sizeof(block), 0) == (ssize_t)sizeof(block) && fdatasync(fd) == 0;
}

static bool probe(int *fd) {
    if (*fd < 0) *fd = open(PROBE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) return false;
    if (write_block(*fd)) return true;
    close(*fd);
    *fd = -1;
    return false;
}

void keel_probe_main(Datum argument) {
    int fd = -1;
    bool complained = false;

    (void)argument;
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    while (!ShutdownRequestPending) {
        int64 const begun = keel_now_us();
        bool worked;

        KEEL_TELL(fsync_begun_us, begun);
        worked = probe(&fd);
        if (!worked && !complained) {
            ereport(LOG, (errcode_for_file_access(),
                          errmsg("pgkeel: the WAL disk cannot be probed by \"%s\": %m", PROBE_FILE)));
        }
        complained = !worked;
        KEEL_TELL(fsync_us, worked ? keel_now_us() - begun : -1);
        KEEL_TELL(fsync_begun_us, 0);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PROBE_EVERY_MS, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    proc_exit(1);
}
