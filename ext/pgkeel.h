/* What the files of the extension know of each other. Includes postgres.h, which must come before every other header.
 */
#ifndef PGKEEL_H
#define PGKEEL_H

#include "postgres.h"

#include "pgkeel_gate.h"

/* ---- pgkeel.c: the settings */
extern char *keel_gate_file;
extern char *keel_floor_exempt_roles;
extern char *keel_login_exempt_roles;
extern int keel_login_wait_ms;
extern bool keel_floor_exempt;
extern bool keel_report;

/* ---- gate.c: the words shared with the agent */

/* One word as it is now. */
#define KEEL_LOOK(word) __atomic_load_n(&keel_gate()->word, __ATOMIC_ACQUIRE)
#define KEEL_TELL(word, value) __atomic_store_n(&keel_gate()->word, (value), __ATOMIC_RELEASE)

/* In the postmaster, before any child exists. Never fails: a server that cannot see its words is fenced. */
extern void keel_gate_map(void);
/* Clears what an earlier life of the server counted, and says in the log if this one is fenced for good. */
extern void keel_gate_begin(void);
/* Never NULL: words of its own, with deadline 0, stand in for a file that cannot be used. */
extern struct pgkeel_gate *keel_gate(void);
/* Why the file cannot be used, as a sentence; NULL when it can. */
extern char const *keel_gate_problem(void);
/* What to do about the problem. */
extern char const *keel_gate_mend(void);
extern bool keel_gate_open(void);
/* What keeps the gate shut, as a sentence, palloc'd. */
extern char *keel_gate_why_shut(void);
extern int64 keel_now_us(void);

/* ---- commit.c: refuses, raises the floor, holds answers */
extern void keel_commit_install(void);

/* ---- mask.c: holds cancel and terminate back while a commit waits for standbys */
/* From here on cancel and terminate are only remembered; one that came before is carried out now (may not return). */
extern void keel_mask(void);
/* Carries out what was remembered. `failed`: the transaction aborted, so there is nothing left to cancel. */
extern void keel_unmask(bool failed);
extern bool keel_terminate_remembered(void);

/* ---- login.c */
extern void keel_login_install(void);
/* `list` is a setting like "a, b"; checked by keel_check_roles when it was set. */
extern bool keel_role_in_list(char const *role, char const *list);

/* ---- report.c: what a proxy wants to know */
extern void keel_report_install(void);
/* Tells the client the transaction's xid, once; `now`: it has left this server when the function returns. */
extern void keel_report_xid(bool now);
/* After a commit: allocates nothing and raises nothing. */
extern void keel_report_commit(void);
extern char const *keel_show_xid(void);
extern char const *keel_show_commit_lsn(void);

/* ---- facts.c and probe.c: the background workers */
extern void keel_workers_register(void);
extern PGDLLEXPORT void keel_facts_main(Datum argument);
extern PGDLLEXPORT void keel_probe_main(Datum argument);

#endif
