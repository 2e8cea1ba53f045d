/*
 * Reigns: the record by compare-and-swap, epochs, votes, promises and leases with time, the guardian, planned timelines.
 * Firm promises (async, or the leader alone in the sync set): nothing but time keeps two primaries apart. Nodes 0 and 1
 * have a PostgreSQL, node 2 is a witness; all three vote.
 *
 * Time is counted in ticks. A voter promises LEASE of them, the leader counts one less: the margin for the rates of the
 * clocks and for the kill. A question and its answer take no time here: the leader counts from the moment it asked, so
 * a slow one is worth less to it and no less to the voter. Nobody is forced to ask, so they may be lost.
 *
 * -DFAULT_...: wall_clock_lease, no_guardian, soft_promises, unplanned_timeline, reuse_timelines (the simulator's),
 * lease_forgotten, floor_forgotten, release_early, no_margin.
 */
#ifndef EPOCHS
#define EPOCHS 3
#define DEATHS 1  /* of agents, all together */
#endif
#ifndef LEASE
#define LEASE 3
#endif
#ifdef FAULT_no_margin
#define COUNTED LEASE
#else
#define COUNTED (LEASE - 1)
#endif
#define NONE 3

mtype = { stable, revoking, promoting };
mtype:server = { standby, leaving, primary };  /* F5: a dead one counts as a standby, it comes back as one */

/* ---- the record, in the store */
byte epoch = 1;
mtype phase = stable;
byte leader_of[EPOCHS + 1];
byte coordinator = NONE;
byte newest_timeline = 1, live_timeline = 1, planned;

/* ---- the coordinator's ballot of the present epoch */
byte votes, fenced;

/* ---- nodes: what is durable, what is known, what is promised */
byte floor[3] = 1;
bool up[3] = true;            /* the agent */
byte known_epoch[3] = 1;
mtype known_phase[3] = stable;
byte promise_epoch[3], promise_left[3];
byte silence[3];              /* a restarted voter cannot remember: Promise::over, past_forgotten */
byte helped[3];

/* ---- leaders. [leader * 3 + voter] */
byte until[6];                /* Lease::granted: what is left */
mtype:server server[2] = standby;
byte reigns_in[2];            /* epoch that the server was promoted for */
byte guard[2];                /* the guardian's deadline: what is left; 0: reached, or disarmed */
byte timeline[2] = 1;         /* of the WAL */
bool released[EPOCHS + 1];

/* ---- for the invariants */
byte opened_by[EPOCHS + 1] = NONE;
byte newest_opened = 1;
byte made[EPOCHS + 3];        /* who made this timeline, + 1 */

byte deaths = DEATHS;

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
/* Lease::deadline: the second of three */
#define LEFT(n) MAX(MIN(until[(n) * 3], until[(n) * 3 + 1]), \
                    MIN(MAX(until[(n) * 3], until[(n) * 3 + 1]), until[(n) * 3 + 2]))
/* Mind::deadline: the own one, or what a former life of the agent left with the guardian */
#define HOLDS(n) (LEFT(n) > 0 || guard[n] > 0)
#define MAJORITY(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) >= 2)
#define MAY_BE_PRIMARY(n) (server[n] == primary || server[n] == leaving)
#define LEADS(n) (known_epoch[n] > 0 && known_phase[n] != revoking && leader_of[known_epoch[n]] == (n) && \
                  floor[n] <= known_epoch[n])
#define RENEWS(n) (up[n] && LEADS(n) && (known_phase[n] == promoting || server[n] == primary))
#define MAY_ASK(n, v) (RENEWS(n) && up[v] && floor[v] <= known_epoch[n] && until[(n) * 3 + (v)] < COUNTED)
#define NEWEST(n) (up[n] && known_epoch[n] == epoch && known_phase[n] == phase)

/* Promise::over */
#ifdef FAULT_lease_forgotten
#define PAST_FORGOTTEN(n) true
#else
#define PAST_FORGOTTEN(n) (silence[n] == 0)
#endif
#ifdef FAULT_soft_promises
#define PROMISE_IS_OVER(n) true
#else
#define PROMISE_IS_OVER(n) (PAST_FORGOTTEN(n) && (promise_epoch[n] >= epoch || promise_left[n] == 0))
#endif
#ifdef FAULT_no_guardian
#define MUST_DIE(n) (MAY_BE_PRIMARY(n) && guard[n] == 0 && up[n])
#else
#define MUST_DIE(n) (MAY_BE_PRIMARY(n) && guard[n] == 0)
#endif
#ifdef FAULT_release_early
#define GONE(n) true
#else
#define GONE(n) (!MAY_BE_PRIMARY(n))
#endif
#ifdef FAULT_reuse_timelines
#define PLANNED (live_timeline + 1)
#else
#define PLANNED (newest_timeline + 1)
#endif
#ifdef FAULT_unplanned_timeline
#define COMES_OUT_ON(n) (timeline[n] + 1)
#else
#define COMES_OUT_ON(n) planned
#endif

inline forget_lease(n) {
    until[n * 3] = 0; until[n * 3 + 1] = 0; until[n * 3 + 2] = 0
}
/* arm: goes to the guardian in the same step */
inline arm(n) { if :: MAY_BE_PRIMARY(n) -> guard[n] = MAX(guard[n], LEFT(n)) :: else fi }
inline renew(n, v) {
    floor[v] = known_epoch[n];
    promise_epoch[v] = MAX(promise_epoch[v], known_epoch[n]); promise_left[v] = LEASE;
    until[n * 3 + v] = COUNTED; /* Lease::granted */
    arm(n)
}

/* What every node does, with a server or without. */
inline voter(v) {
    /* on_record */
    if
    :: known_epoch[v] != epoch && v < 2 -> forget_lease(v)
    :: else
    fi;
    known_epoch[v] = epoch; known_phase[v] = phase;
    floor[v] = MAX(floor[v], epoch)
}

proctype node(byte v) {
    byte l;
end_node:
    do
    :: atomic { up[v] && (known_epoch[v] != epoch || known_phase[v] != phase) -> voter(v) }
    /* on_message(Release): of the epoch before, or of this one */
    :: atomic { up[v] && released[epoch] && (promise_left[v] > 0 || silence[v] > 0) ->
           if :: epoch >= helped[v] -> silence[v] = 0 :: else fi;
           if :: epoch >= promise_epoch[v] -> promise_left[v] = 0 :: else fi }
    :: atomic { up[v] && released[epoch - 1] && (promise_left[v] > 0 || silence[v] > 0) ->
           if :: epoch - 1 >= helped[v] -> silence[v] = 0 :: else fi;
           if :: epoch - 1 >= promise_epoch[v] -> promise_left[v] = 0 :: else fi }
    /* make_grant, promise_is_over. A data node is fenced first: its server is down or cut off, the guardian disarmed. */
    :: atomic { NEWEST(v) && phase == revoking && floor[v] == epoch && (fenced & (1 << v)) == 0 &&
                (v == 2 || !MAY_BE_PRIMARY(v)) ->
           fenced = fenced | (1 << v); if :: v < 2 -> guard[v] = 0 :: else fi }
    :: atomic { NEWEST(v) && phase == revoking && (fenced & (1 << v)) != 0 && (votes & (1 << v)) == 0 &&
                PROMISE_IS_OVER(v) -> votes = votes | (1 << v) }
    /* take_epoch: whoever suspects, for whatever reason; not a leader whose server reigns */
    :: atomic { NEWEST(v) && epoch < EPOCHS && !(v < 2 && LEADS(v) && (phase == promoting || MAY_BE_PRIMARY(v))) ->
           epoch++; phase = revoking; coordinator = v; votes = 0; fenced = 0; voter(v) }
    /* appoint */
    :: atomic { NEWEST(v) && phase == revoking && coordinator == v && MAJORITY(votes) && (fenced & 3) != 0 ->
           if :: (fenced & 1) != 0 -> l = 0 :: (fenced & 2) != 0 -> l = 1 fi;
           phase = promoting; leader_of[epoch] = l; l = 0;
           planned = PLANNED; newest_timeline = MAX(newest_timeline, planned); known_phase[v] = phase }
    /* the agent dies; its promises and what it knew are gone, the floor is on disk */
    :: atomic { up[v] && deaths > 0 -> deaths--; up[v] = false;
           promise_epoch[v] = 0; promise_left[v] = 0; known_epoch[v] = 0; known_phase[v] = stable;
           if :: v < 2 -> forget_lease(v) :: else fi }
    :: atomic { !up[v] -> up[v] = true;
#ifdef FAULT_floor_forgotten
           floor[v] = 0;
#endif
           silence[v] = LEASE; helped[v] = floor[v] }
#ifdef FAULT_wall_clock_lease
    :: atomic { promise_left[v] > 0 -> promise_left[v] = 0 }
#endif
    od
}

proctype postgres(byte n) {
end_postgres:
    do
    /* renew, on_message(Renew), on_message(Promised) */
    :: atomic { MAY_ASK(n, 0) -> renew(n, 0) }
    :: atomic { MAY_ASK(n, 1) -> renew(n, 1) }
    :: atomic { MAY_ASK(n, 2) -> renew(n, 2) }
    /* take_office: the lease first, then the guardian, then the promotion, which may end at any later moment */
    :: atomic { up[n] && LEADS(n) && known_phase[n] == promoting && server[n] == standby && HOLDS(n) &&
                reigns_in[n] != known_epoch[n] ->
           server[n] = leaving; reigns_in[n] = known_epoch[n]; guard[n] = MAX(guard[n], LEFT(n)) }
    :: atomic { server[n] == leaving ->
           server[n] = primary;
           timeline[n] = COMES_OUT_ON(n);
           /* I3 */
           assert(made[timeline[n]] == 0 || made[timeline[n]] == n + 1);
           made[timeline[n]] = n + 1;
           /* I2: one primary per epoch */
           assert(opened_by[reigns_in[n]] == NONE || opened_by[reigns_in[n]] == n);
           opened_by[reigns_in[n]] = n; newest_opened = MAX(newest_opened, reigns_in[n]) }
    /* confirm */
    :: atomic { NEWEST(n) && LEADS(n) && phase == promoting && server[n] == primary && reigns_in[n] == epoch ->
           phase = stable; known_phase[n] = stable; live_timeline = timeline[n] }
    /* give_up_promotion: the half-made timeline stays on record */
    :: atomic { NEWEST(n) && LEADS(n) && phase == promoting && epoch < EPOCHS ->
           server[n] = standby; epoch++; phase = revoking; coordinator = n; votes = 0; fenced = 0; voter(n) }
    /* fence: at the deadline, or by a newer record or promise */
    :: atomic { up[n] && MAY_BE_PRIMARY(n) && (!HOLDS(n) || (known_epoch[n] > 0 && !LEADS(n))) -> server[n] = standby }
    /* guardian */
    :: atomic { MUST_DIE(n) -> server[n] = standby }
    /* PostgreSQL dies; F5: it comes back as a standby only */
    :: atomic { MAY_BE_PRIMARY(n) -> server[n] = standby }
    /* disarm */
    :: atomic { up[n] && !MAY_BE_PRIMARY(n) && guard[n] > 0 -> guard[n] = 0 }
    /* recover_leadership: Release */
    :: atomic { up[n] && LEADS(n) && known_phase[n] == stable && GONE(n) && !released[known_epoch[n]] ->
           released[known_epoch[n]] = true }
    /* stream_from_leader: a standby takes the timeline of the leader whose reign is stable */
    :: atomic { NEWEST(n) && phase == stable && leader_of[epoch] != n && server[n] == standby &&
                timeline[n] != live_timeline -> timeline[n] = live_timeline }
    /* I2: a commit is acknowledged, which changes nothing but is none of an older epoch */
    :: atomic { server[n] == primary && reigns_in[n] < newest_opened -> assert(false) }
    od
}

#define DOWN(t) t = (t == 0 -> 0 : t - 1)

proctype time() {
end_time:
    do
    :: atomic { !MUST_DIE(0) && !MUST_DIE(1) &&
           /* nothing to count, nothing to wait for */
           (guard[0] + guard[1] + promise_left[0] + promise_left[1] + promise_left[2] + silence[0] + silence[1] +
            silence[2] > 0) ->
           DOWN(promise_left[0]); DOWN(promise_left[1]); DOWN(promise_left[2]);
           DOWN(silence[0]); DOWN(silence[1]); DOWN(silence[2]); DOWN(guard[0]); DOWN(guard[1]);
           DOWN(until[0]); DOWN(until[1]); DOWN(until[2]); DOWN(until[3]); DOWN(until[4]); DOWN(until[5]) }
    od
}

init {
    atomic {
        leader_of[1] = 0; reigns_in[0] = 1; opened_by[1] = 0; made[1] = 1;
        server[0] = primary; server[1] = standby;
        /* just renewed by all */
        until[0] = COUNTED; until[1] = COUNTED; until[2] = COUNTED; guard[0] = COUNTED;
        promise_epoch[0] = 1; promise_epoch[1] = 1; promise_epoch[2] = 1;
        promise_left[0] = LEASE; promise_left[1] = LEASE; promise_left[2] = LEASE;
        run node(0); run node(1); run node(2); run postgres(0); run postgres(1); run time()
    }
}
