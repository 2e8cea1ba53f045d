/* For a proxy between client and server: the transaction's xid before its outcome can be in doubt, and where its commit
 * ended. As ParameterStatus messages of our own: PostgreSQL sends changed settings only with ReadyForQuery. */
#include "pgkeel.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "executor/executor.h"
#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"

static ExecutorEnd_hook_type next_end;
static uint64 reported_xid;

static bool wanted(void) {
    return keel_report && MyProcPort != NULL && whereToSendOutput == DestRemote && !am_walsender;
}

/* ParameterStatus: both strings with their final zero. No memory is asked for. */
static void send_value(char const *name, char const *value) {
    char body[96];
    size_t const name_size = strlen(name) + 1, value_size = strlen(value) + 1;

    if (name_size + value_size > sizeof(body)) return;
    memcpy(body, name, name_size);
    memcpy(body + name_size, value, value_size);
    (void)pq_putmessage('S', body, name_size + value_size);
}

void keel_report_xid(bool now) {
    uint64 xid;

    if (!wanted()) return;
    xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
    if (xid == 0) return;
    if (xid != reported_xid) {
        reported_xid = xid;
        send_value("pgkeel.xid", keel_show_xid());
    }
    /* This also empties the buffer, so that keel_report_commit() has room and never waits for the client. */
    if (now && pq_is_send_pending()) (void)pq_flush();
}

void keel_report_commit(void) {
    if (wanted()) send_value("pgkeel.commit_lsn", keel_show_commit_lsn());
}

char const *keel_show_xid(void) {
    static char text[24];
    uint64 const now = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
    uint64 const xid = now != 0 ? now : reported_xid;

    if (xid == 0) return "";
    snprintf(text, sizeof(text), UINT64_FORMAT, xid);
    return text;
}

char const *keel_show_commit_lsn(void) {
    static char text[24];

    if (XLogRecPtrIsInvalid(XactLastCommitEnd)) return "";
    snprintf(text, sizeof(text), "%X/%X", LSN_FORMAT_ARGS(XactLastCommitEnd));
    return text;
}

/* The statement that got the xid tells it, with its own answer: the COMMIT that follows costs no packet more. */
static void on_end(QueryDesc *query) {
    if (next_end != NULL) {
        next_end(query);
    } else {
        standard_ExecutorEnd(query);
    }
    keel_report_xid(false);
}

void keel_report_install(void) {
    next_end = ExecutorEnd_hook;
    ExecutorEnd_hook = on_end;
}
