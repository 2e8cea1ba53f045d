/* The library's entry: settings, and the order in which the parts are put in place. */
#include "pgkeel.h"

#include <limits.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#ifdef EXEC_BACKEND
#error "The words are mapped by the postmaster and inherited by fork."
#endif

PG_MODULE_MAGIC;

char *keel_gate_file;
char *keel_floor_exempt_roles;
char *keel_login_exempt_roles;
int keel_login_wait_ms;
bool keel_floor_exempt;
bool keel_report;

static char *told_xid, *told_commit_lsn; /* never read: the show functions answer */
static shmem_startup_hook_type next_startup;

extern PGDLLEXPORT void _PG_init(void);

static bool check_roles(char **value, void **extra, GucSource source) {
    char *copy = pstrdup(*value);
    List *names = NIL;
    bool const good = SplitIdentifierString(copy, ',', &names);

    (void)extra, (void)source;
    if (!good) GUC_check_errdetail("A list of role names is expected, as in: reports, \"Batch\"");
    list_free(names);
    pfree(copy);
    return good;
}

static void define_settings(void) {
    int const told = GUC_REPORT | GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE;

    DefineCustomStringVariable("pgkeel.gate_file", "The file of words that the agent and this server share.",
                               "Without it no write can be committed.", &keel_gate_file, "", PGC_POSTMASTER,
                               GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
    DefineCustomStringVariable("pgkeel.floor_exempt_roles",
                               "Roles whose synchronous_commit is not raised to the cluster's floor.", NULL,
                               &keel_floor_exempt_roles, "", PGC_SIGHUP, GUC_LIST_INPUT, check_roles, NULL, NULL);
    DefineCustomBoolVariable("pgkeel.floor_exempt", "This session's synchronous_commit is not raised to the floor.",
                             "For the agent, whose own commits prove something and hold nothing.", &keel_floor_exempt,
                             false, PGC_SUSET, 0, NULL, NULL, NULL);
    DefineCustomStringVariable(
        "pgkeel.login_exempt_roles", "Roles that may log in over the local socket while clients may not.", NULL,
        &keel_login_exempt_roles, "postgres", PGC_SIGHUP, GUC_LIST_INPUT, check_roles, NULL, NULL);
    DefineCustomIntVariable("pgkeel.login_wait", "How long a login waits for the primary to take clients.", NULL,
                            &keel_login_wait_ms, 10000, 0, 600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomBoolVariable("pgkeel.report", "Sends each transaction's xid and the end of its commit to the client.",
                             "Fixed for the connection: a proxy must know that no xid was kept from it.", &keel_report,
                             false, PGC_BACKEND, 0, NULL, NULL, NULL);
    DefineCustomStringVariable("pgkeel.xid", "The xid of this session's last transaction that wrote.", NULL, &told_xid,
                               "", PGC_INTERNAL, told, NULL, NULL, keel_show_xid);
    DefineCustomStringVariable("pgkeel.commit_lsn", "Where this session's last commit ended in the WAL.", NULL,
                               &told_commit_lsn, "", PGC_INTERNAL, told, NULL, NULL, keel_show_commit_lsn);
    MarkGUCPrefixReserved("pgkeel");
}

/* Also after a crash of one backend, when the server starts over within its postmaster. */
static void on_startup(void) {
    if (next_startup != NULL) next_startup();
    if (!IsUnderPostmaster) keel_gate_begin();
}

void _PG_init(void) {
    /* Loaded by CREATE EXTENSION or LOAD only: pgkeel.fence() then says what is missing, and nothing else happens. */
    if (!process_shared_preload_libraries_in_progress) return;
    define_settings();
    keel_gate_map();
    keel_commit_install();
    keel_login_install();
    keel_report_install();
    next_startup = shmem_startup_hook;
    shmem_startup_hook = on_startup;
    if (keel_gate_problem() == NULL) keel_workers_register();
}
