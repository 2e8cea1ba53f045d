/*
 * One reign: the recorded sync set (S, W) and synchronous_standby_names change under way, agents die in the middle,
 * and at any moment another node may take the next epoch. One leader, three standbys, one commit whose fate is
 * followed. (One is enough: WAL is a sequence, so what holds of the newest acknowledged commit holds of all before it.)
 *
 * Every wish of the leader is modelled at once: any step that the rules allow may be taken, not only those on
 * plan_sync's cheapest way to some goal.
 *
 * -DFAULT_...: skip_barrier, sync_order_reversed, skip_catch_up, no_cut, no_coverage (the simulator's), no_mixture,
 * never_through_nobody, adopt_keeps_write, adopt_believes_file.
 */

#ifndef CHANGES  /* tools/model sets all of these */
#define CHANGES 2   /* settings and records that the leader begins to write */
#define DEATHS 1    /* of the agent */
#define ELECTION 0  /* may the next epoch begin? */
#define WAL 1       /* is there a commit? Without one C alone is checked. */
#define STANDBYS 3
#endif
#define EVERY ((1 << STANDBYS) - 1)

/* Sets are bit masks: standbys 1, 2, 4; the leader 8. "ANY count (mask)" is count * 8 + mask; 0: no waiting.
   A record is W * 16 + S. */
#define LEADER 8
#define POP(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))
#define COUNT(n) ((n) >> 3)
#define MASK(n) ((n) & 7)
#define W(r) ((r) >> 4)
#define S(r) ((r) & 15)
#define MINUS(a, b) ((a) > (b) -> (a) - (b) : 0)

/* sync.cc: coverage, covers, implies, caught_up, names_for, fenced_needed */
#define COVERAGE(count, mask, s) (MINUS(count, POP((mask) & 7 & ~(s))) + (((s) & LEADER) != 0 -> 1 : 0))
#define COVERS(names, r) (COVERAGE(COUNT(names), MASK(names), S(r)) >= W(r))
#define NOBODY 8 /* releases nothing, so it takes nothing away */
/* possible_names: 1 if "no waiting" may be in force, and per count the union of the members (covers: settings of one
   count may meet, those of different counts do not). */
#define SETTING(n) ((n) == 0 -> 1 : MASK(n) << (COUNT(n) * 3 - 2))
#define MEMBERS(p, count) (((p) >> ((count) * 3 - 2)) & 7)
#define KEEPS(p, count, r) (MEMBERS(p, count) == 0 || COVERAGE(count, MEMBERS(p, count), S(r)) >= W(r))
#define ALL_COVER(p, r) ((((p) & 1) == 0 || COVERS(0, r)) && KEEPS(p, 1, r) && KEEPS(p, 2, r) && KEEPS(p, 3, r))
#define GAINED(r, t) ((S(t) & LEADER) != 0 && (S(r) & LEADER) == 0 -> 1 : 0)
#define IMPLIES(r, t) (MINUS(W(r), POP(S(r) & ~S(t) & 15)) + GAINED(r, t) >= W(t))
#define CAUGHT_UP(t) (!settled || POP(S(t) & (has | LEADER)) >= W(t))
#define NAMES_FOR(r) ((S(r) & LEADER) != 0 -> 0 : W(r) * 8 + S(r))
#ifdef FAULT_no_coverage
#define FENCED_NEEDED(r) 1
#else
#define FENCED_NEEDED(r) (POP(S(r)) > W(r) -> POP(S(r)) - W(r) + 1 : 1)
#endif

/* ---- truth */
byte record;         /* what the store holds */
byte flight;         /* a write of the record that may still come to be; 0: none */
byte file;           /* synchronous_standby_names as last written */
byte view[3];        /* what each walsender goes by */
bool waits;          /* the checkpointer's sync_standbys_defined: do backends wait at all */
byte reloads;        /* who has been signalled and has not read the file yet: walsenders 1, 2, 4; checkpointer 8 */
bool written;        /* the commit is in the primary's WAL */
byte has;            /* standbys that have it on disk */
bool acknowledged;

/* ---- the leader's agent */
mtype = { idle, to_nobody, written_nobody, wait_nobody, to_target, written_target, wait_target, writing, dead };
mtype agent = idle;
short possible;      /* possible_names, as SETTING says */
byte target;         /* of the set_names command under way */
bool certain = true;  /* names_certain: no walsender applies anything but the file */
bool settled;        /* settled_flush has the commit: it was there when the last barrier passed */

/* ---- the election of the next epoch */
bool revoked;        /* the record is in the next epoch; its sync set stays as it was */
byte cut;            /* standbys whose WAL receiver is gone for good, or said to be (F0) */
bool appointed, lost;

byte changes = CHANGES, deaths = DEATHS;

byte n, r;

/* SyncRepGetSyncRecPtr, as postgres/barrier.cc tells it: a walsender that is a member in its own view releases commits,
   counting to its own number, over all who are members in theirs. */
#define COUNTS_ITSELF(x) ((MASK(view[x]) & (1 << (x))) != 0)
#define CANDIDATES ((COUNTS_ITSELF(0) -> 1 : 0) | (COUNTS_ITSELF(1) -> 2 : 0) | (COUNTS_ITSELF(2) -> 4 : 0))
#define RELEASES(x) (COUNTS_ITSELF(x) && POP(CANDIDATES & has) >= COUNT(view[x]))
#define HOLDS(x) (!COUNTS_ITSELF(x) || COVERAGE(COUNT(view[x]), CANDIDATES, S(record)) >= W(record))

inline check() {
    /* I1 C */
    assert(waits || COVERAGE(0, 0, S(record)) >= W(record));
    assert(HOLDS(0) && HOLDS(1) && HOLDS(2));
    /* I1 C2 */
    assert(!acknowledged || POP(S(record) & (has | LEADER)) >= W(record));
    /* I4 */
    assert(!(acknowledged && appointed && lost));
    /* The leader is never left without a safe step: plan_sync goes on only from settings that cover the record. */
    assert(agent != idle || ALL_COVER(possible, record));
}

#define REAL_NAMES(n) ((MASK(n) & ~EVERY) == 0 && ((n) == 0 || (COUNT(n) >= 1 && POP(MASK(n)) >= COUNT(n))))
/* plan_sync never passes a record with the leader in S and W > 1: its cheapest way has none. */
#define REAL_RECORD(r) ((S(r) & 7 & ~EVERY) == 0 && POP(S(r)) >= W(r) && ((S(r) & LEADER) == 0 || W(r) == 1))

/* A word on each rule that a fault takes away. */
#if defined(FAULT_sync_order_reversed)
#define MAY_SET(n) true
#elif defined(FAULT_no_mixture)
#define MAY_SET(n) COVERS(n, record)
#else
#define MAY_SET(n) ALL_COVER(possible | SETTING(n), record)
#endif
#if defined(FAULT_sync_order_reversed)
#define MAY_WRITE(r) true
#else
#define MAY_WRITE(r) (ALL_COVER(possible, r) && (IMPLIES(record, r) || CAUGHT_UP(r)))
#endif
#ifdef FAULT_skip_barrier
#define ALL_RELOADED true
#else
#define ALL_RELOADED (reloads == 0)
#endif
#ifdef FAULT_no_cut
#define TAKES_WAL(x) ((has & (1 << (x))) == 0)
#else
#define TAKES_WAL(x) (((has | cut) & (1 << (x))) == 0)
#endif
#ifdef FAULT_skip_catch_up
#define SETTLE skip
#else
#define SETTLE settled = written
#endif
/* Server::State::set_names: the way leads through "nobody" unless counts are equal and the old setting is certain. */
#ifdef FAULT_never_through_nobody
#define THROUGH_NOBODY(n) false
#else
#define THROUGH_NOBODY(n) (COUNT(n) > 0 && (!certain || COUNT(file) == 0 || COUNT(file) != COUNT(n)))
#endif

/* Standbys are alike: only sets that begin with the first one are worth a start. */
#define IN_ORDER(r) ((S(r) & 7) == 0 || (S(r) & 7) == 1 || (S(r) & 7) == 3 || (S(r) & 7) == 7)

active proctype reign() {
    atomic {
        select(r : 17 .. 47);
        if
        :: REAL_RECORD(r) && IN_ORDER(r) -> record = r
        :: else -> goto over
        fi;
        select(n : 0 .. 23);
        if
        :: REAL_NAMES(n) && COVERS(n, r) -> file = n; possible = SETTING(n); waits = (n != 0); view[0] = n; view[1] = n; view[2] = n
        :: else -> goto over
        fi;
        n = 0; r = 0
    }
end_reign:
    do
    /* ---- WAL */
    :: WAL && !written -> written = true
    :: written && TAKES_WAL(0) -> has = has | 1
    :: written && TAKES_WAL(1) -> has = has | 2
    :: STANDBYS > 2 && written && TAKES_WAL(2) -> has = has | 4
    :: atomic { written && !acknowledged && (!waits || RELEASES(0) || RELEASES(1) || RELEASES(2)) ->
           acknowledged = true; check() }

    /* ---- keep_sync, set_names: moves_from wants C to hold for all that may be in force meanwhile */
    :: atomic { agent == idle && changes > 0 -> select(n : 0 .. 23);
           if
           :: SETTING(n) != possible && REAL_NAMES(n) && MAY_SET(n) ->
               changes--; target = n; possible = possible | SETTING(n);
               if :: THROUGH_NOBODY(n) -> agent = to_nobody :: else -> agent = to_target fi;
               certain = false
           :: else
           fi;
           n = 0 }
    :: atomic { agent == to_nobody -> file = NOBODY; agent = written_nobody }
    :: atomic { agent == written_nobody -> reloads = LEADER + EVERY; agent = wait_nobody }
    :: atomic { agent == wait_nobody && ALL_RELOADED -> agent = to_target }
    :: atomic { agent == to_target -> file = target; agent = written_target }
    :: atomic { agent == written_target -> reloads = LEADER + EVERY; agent = wait_target }
    /* on_command_done: the barrier has passed */
    :: atomic { agent == wait_target && ALL_RELOADED ->
           SETTLE; possible = SETTING(target); target = 0; certain = true; agent = idle; check() }
    /* or was given up: the old and the new setting count as possible */
    :: atomic { agent == wait_target || agent == wait_nobody -> target = 0; agent = idle; check() }
    :: atomic { (reloads & 1) != 0 -> reloads = reloads & ~1; view[0] = file; check() }
    :: atomic { (reloads & 2) != 0 -> reloads = reloads & ~2; view[1] = file; check() }
    :: atomic { (reloads & 4) != 0 -> reloads = reloads & ~4; view[2] = file; check() }
    :: atomic { (reloads & 8) != 0 -> reloads = reloads & ~8; waits = (file != 0); check() }

    /* ---- keep_sync, write_record */
    :: atomic { agent == idle && !revoked && changes > 0 -> select(r : 17 .. 47);
           if
           :: r != record && REAL_RECORD(r) && MAY_WRITE(r) -> changes--; flight = r; agent = writing
           :: else
           fi;
           r = 0 }
    :: atomic { flight != 0 && !revoked -> record = flight; flight = 0;
           if :: agent == writing -> agent = idle :: else fi; check() }
    /* somebody else's change of the record takes its place: pending_sync is dropped (on_record) */
    :: atomic { flight != 0 -> flight = 0; if :: agent == writing -> agent = idle :: else fi }

    /* ---- the agent dies, with all that it remembers; its server goes on */
    :: atomic { agent != dead && deaths > 0 -> deaths--; agent = dead; possible = 0; target = 0; settled = false; certain = false }
    /* adopt: a newer revision shows that no write of the former life can come any more */
    :: atomic { agent == dead && !revoked ->
#ifndef FAULT_adopt_keeps_write
           flight = 0;
#endif
#ifdef FAULT_adopt_believes_file
           possible = SETTING(file);
#else
           possible = SETTING(NAMES_FOR(record)) | SETTING(file);
#endif
#ifdef FAULT_adopt_certain
           certain = true;
#endif
           settled = written; agent = idle; check() }

    /* ---- the next epoch: take_epoch, stay_fenced, tally and choose */
    :: atomic { ELECTION && !revoked -> revoked = true; flight = 0; if :: agent == writing -> agent = idle :: else fi }
    :: revoked && !appointed && (S(record) & ~cut & 1) != 0 -> cut = cut | 1
    :: revoked && !appointed && (S(record) & ~cut & 2) != 0 -> cut = cut | 2
    :: revoked && !appointed && (S(record) & ~cut & 4) != 0 -> cut = cut | 4
    :: atomic { revoked && !appointed && POP(cut & S(record)) >= FENCED_NEEDED(record) ->
           appointed = true; lost = ((cut & has) == 0); check() }
    od;
over: skip
}
