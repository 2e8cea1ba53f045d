/* The door for clients: on a primary it opens when the agent says so.
 *
 * After a crash and restart a primary shows commits that were never acknowledged and that no standby may have. Nobody
 * should see them before enough standbys do; the agent sets `logins` then. */
#include "pgkeel.h"

#include "access/xlog.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "replication/walsender.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

static ClientAuthentication_hook_type next_authentication;

bool keel_role_in_list(char const *role, char const *list) {
    char *copy = pstrdup(list);
    List *names = NIL;
    ListCell *cell;
    bool found = false;

    if (SplitIdentifierString(copy, ',', &names)) {
        foreach (cell, names) found = found || strcmp(lfirst(cell), role) == 0;
    }
    list_free(names);
    pfree(copy);
    return found;
}

/* Standbys, the agents of this cluster by their roles, and the agent here, which comes over the local socket as the
 * role that pg_hba.conf lets only it be. There is no catalog to ask for anything else yet. */
static bool exempt(Port *port) {
    if (am_walsender || strncmp(port->user_name, "pgkeel_", 7) == 0) return true;
    return port->raddr.addr.ss_family == AF_UNIX && keel_role_in_list(port->user_name, keel_login_exempt_roles);
}

/* Recovery may end, or begin to end, while somebody waits: all is looked at each time. */
static bool may_enter(void) { return RecoveryInProgress() || (KEEL_LOOK(logins) == 1 && keel_gate_open()); }

static _Noreturn void turn_away(void) {
    /* 57P03: libpq and others then try the next host of their list. */
    ereport(
        FATAL,
        (errcode(ERRCODE_CANNOT_CONNECT_NOW), errmsg("pgkeel: this server takes no clients now"),
         errdetail("%s", keel_gate_open() ? "Its standbys do not have all of its commits yet." : keel_gate_why_shut()),
         errhint("%s", keel_gate_problem() != NULL
                           ? keel_gate_mend()
                           : "Connect to the cluster's primary, which \"pgkeel status\" names, or try again.")));
}

static void on_authentication(Port *port, int status) {
    /* authentication_timeout would end it in words that help nobody. */
    int const wait_ms = Min(keel_login_wait_ms, AuthenticationTimeout * 1000 - 500);
    int64 const end = keel_now_us() + (int64)wait_ms * 1000;

    if (next_authentication != NULL) next_authentication(port, status);
    if (status != STATUS_OK || exempt(port)) return;
    while (!may_enter()) {
        if (keel_now_us() >= end) turn_away();
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}

void keel_login_install(void) {
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = on_authentication;
}
