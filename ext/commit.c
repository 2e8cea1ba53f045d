/* The commits: refuses them while the gate is shut, raises their durability to the floor, and never lets an answer out
 * that might be false.
 *
 * A transaction with an xid passes begin_writing() before its commit record, and end_writing() after its outcome:
 *   PRE_COMMIT, PRE_PREPARE   the last points where an error still aborts it
 *   COMMIT PREPARED           comes by none of these: begin_writing() in ProcessUtility; what ends it is the end of the
 *                             transaction around it, which has no xid of its own
 * One write is not seen: NOTIFY alone gets its xid after PRE_COMMIT. It stores nothing. */
#include "pgkeel.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "storage/latch.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#if PG_VERSION_NUM >= 160000
#include "utils/guc_hooks.h"
#endif
#include "utils/wait_event.h"

static ProcessUtility_hook_type next_utility;

static bool writing;
static bool raised;
static int asked_for; /* synchronous_commit as the session has it, while it is raised */

/* SQLSTATE 25006, read_only_sql_transaction. What has to be told is "nothing was stored, this server takes no writes,
 * go to the one that does", and that is what clients know from a primary that became a standby. 57P01 and the like
 * would say that the connection is lost: then a client must take the outcome of its COMMIT for unknown, and it is not.
 * Class 40 would be tried again, here. */
static _Noreturn void refuse(void) {
    __atomic_fetch_add(&keel_gate()->refused, 1, __ATOMIC_RELAXED);
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                    errmsg("pgkeel: this server may not accept writes now, nothing was stored"),
                    errdetail("%s", keel_gate_why_shut()),
                    errhint("%s", keel_gate_problem() != NULL
                                      ? keel_gate_mend()
                                      : "Connect to the cluster's primary, which \"pgkeel status\" names, and run the "
                                        "transaction again there.")));
}

static bool floor_exempt(void) {
    char const *role;

    if (keel_floor_exempt) return true;
    if (keel_floor_exempt_roles[0] == '\0') return false;
    role = GetUserNameFromId(GetSessionUserId(), true);
    return role != NULL && keel_role_in_list(role, keel_floor_exempt_roles);
}

static void set_level(int level) {
    synchronous_commit = level;
    assign_synchronous_commit(level, NULL); /* what SyncRepWaitForLSN() goes by */
}

static void raise_floor(int floor) {
    if (raised || synchronous_commit >= floor || floor_exempt()) return;
    asked_for = synchronous_commit;
    raised = true;
    set_level(Min(floor, SYNCHRONOUS_COMMIT_REMOTE_APPLY));
}

static void begin_writing(void) {
    int const floor = (int)KEEL_LOOK(floor);

    writing = true;
    raise_floor(floor);
    keel_report_xid(true);
    if (floor >= SYNCHRONOUS_COMMIT_REMOTE_WRITE && SyncRepRequested() && !keel_floor_exempt) keel_mask();
    /* Last, so that as little time as possible passes until the commit record. */
    if (!keel_gate_open()) refuse();
}

/* After the commit record nothing may fail, and no answer may go out while somebody else may be the primary: waits
 * until the lease is renewed. Else the server is killed (SIGQUIT passes), and the client knows that it does not know.
 */
static void hold_answer(void) {
    bool woken = false;

    if (KEEL_LOOK(recheck) == 0 || keel_gate_open()) return;
    __atomic_fetch_add(&keel_gate()->held, 1, __ATOMIC_RELAXED);
    while (!keel_gate_open()) {
        int happened;

        if (KEEL_LOOK(unmask) != 0 && (ProcDiePending || keel_terminate_remembered())) {
            whereToSendOutput = DestNone; /* the session ends without an answer */
            break;
        }
        happened = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH, 10, PG_WAIT_EXTENSION);
        if ((happened & WL_POSTMASTER_DEATH) != 0) {
            whereToSendOutput = DestNone;
            ProcDiePending = InterruptPending = true;
            break;
        }
        if ((happened & WL_LATCH_SET) != 0) {
            ResetLatch(MyLatch);
            woken = true;
        }
    }
    __atomic_fetch_sub(&keel_gate()->held, 1, __ATOMIC_RELAXED);
    if (woken) SetLatch(MyLatch); /* it was set for somebody else */
}

static void end_writing(bool failed) {
    writing = false;
    if (raised) {
        raised = false;
        set_level(asked_for);
    }
    keel_unmask(failed);
}

static void on_transaction(XactEvent event, void *unused) {
    (void)unused;
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            /* A subtransaction with an xid has given one to its top. Every kind of process: what autovacuum and other
             * workers write is refused too, as an error in their log. */
            if (TransactionIdIsValid(GetTopTransactionIdIfAny())) begin_writing();
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_PREPARE:
            if (!writing) break;
            hold_answer();
            if (event == XACT_EVENT_COMMIT) keel_report_commit();
            end_writing(false);
            break;
        case XACT_EVENT_ABORT:
            if (writing) end_writing(true);
            break;
        default:
            break; /* parallel workers write nothing */
    }
}

/* Those that change files before their commit: refused at its end, DROP DATABASE would have left a name without files.
 */
static bool acts_at_once(Node *statement) {
    switch (nodeTag(statement)) {
        case T_CreatedbStmt:
        case T_DropdbStmt:
        case T_AlterDatabaseStmt:
        case T_CreateTableSpaceStmt:
        case T_DropTableSpaceStmt:
            return true;
        default:
            return false;
    }
}

/* ROLLBACK PREPARED too: it is a decision that somebody relies on. */
static bool decides_prepared(Node *statement) {
    TransactionStmtKind kind;

    if (!IsA(statement, TransactionStmt)) return false;
    kind = ((TransactionStmt *)statement)->kind;
    return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

static void on_utility(PlannedStmt *planned, char const *query, bool read_only_tree, ProcessUtilityContext context,
                       ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
                       QueryCompletion *completion) {
    /* On a standby PostgreSQL itself refuses all of these, and says so better. */
    if (decides_prepared(planned->utilityStmt) && !RecoveryInProgress()) {
        begin_writing();
    } else if (acts_at_once(planned->utilityStmt) && !keel_gate_open() && !RecoveryInProgress()) {
        refuse();
    }
    (next_utility != NULL ? next_utility : standard_ProcessUtility)(planned, query, read_only_tree, context, parameters,
                                                                    environment, receiver, completion);
    keel_report_xid(false);
}

void keel_commit_install(void) {
    RegisterXactCallback(on_transaction, NULL);
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
}
