/*
 * Elections over several epochs: WAL with its timelines, the lineage, fences, coverage, positions, the sync set after.
 * Three nodes, all with a server and a vote; W = 1. Time is not here: epoch.pml has it.
 *
 * A WAL is up to LENGTH entries, each of the epoch that wrote it, two bits each. An epoch has one timeline (epoch.pml
 * holds that), so epochs stand for timelines.
 *
 * -DFAULT_...: compare_lsn_only, no_cut (the simulator's), old_sync_set.
 */
#ifndef EPOCHS
#define EPOCHS 3
#define LENGTH 2
#endif
#define NONE 3
#define POP(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1))
#define LEN(w) (((w) & 3) == 0 -> 0 : (((w) & 12) == 0 -> 1 : (((w) & 48) == 0 -> 2 : 3)))
#define FIRST(w, n) ((w) & ((1 << (2 * (n))) - 1))
#define PREFIX(a, b) (FIRST(b, LEN(a)) == (a))

mtype = { stable, revoking, promoting };
mtype:fate = { unplanned, planned, live, burnt };

/* ---- the record */
byte epoch = 1, leader = 0, sync_set = 6, owner = 0;
mtype phase = stable;
mtype:fate fate[EPOCHS + 1] = unplanned;  /* lineage */
byte forked[EPOCHS + 1], parent[EPOCHS + 1], made_for[EPOCHS + 1] = NONE;
byte began[EPOCHS + 1];    /* where the timeline really left its parent: the history file knows */

/* ---- nodes */
byte wal[3], timeline[3] = 1;
bool primary[3];
byte reign[3], names[3];   /* of a primary: its epoch, and who must have a commit (itself: nobody) */
byte upstream[3] = NONE;
byte known[3] = 1;
byte grants;               /* of the present epoch */

byte acknowledged;         /* the longest WAL that a client was told of */
byte x, best, safe, count, n;
bool covered;

/* is_ancestor */
#define LIVE_AFTER(t, e) ((e) > (t) && fate[e] == live)
#define NEXT(t) (LIVE_AFTER(t, 2) -> 2 : (EPOCHS > 2 && LIVE_AFTER(t, EPOCHS) -> EPOCHS : 0))
#define SOUND(i) (fate[timeline[i]] != burnt && (fate[timeline[i]] != planned || made_for[timeline[i]] == (i)) && \
    (fate[timeline[i]] == planned || NEXT(timeline[i]) == 0 || LEN(wal[i]) <= forked[NEXT(timeline[i])]))
/* position_of: never the LSN alone */
#ifdef FAULT_compare_lsn_only
#define POSITION(i) (LEN(wal[i]) + 1)
#else
#define POSITION(i) (timeline[i] * 8 + LEN(wal[i]) + 1)
#endif
#define GRANTED(i) ((grants & (1 << (i))) != 0)
#define MEMBER(i) ((sync_set & (1 << (i))) != 0)
#define COUNTED(i) (GRANTED(i) && SOUND(i))
#define FENCED_NEEDED POP(sync_set) /* |S| - W + 1; of three nodes any majority has it or the owner: see sync.pml */
#define LARGER(a, b) ((a) > (b) -> (a) : (b))
#define OF(c, i) ((c) -> POSITION(i) : 0)
/* promises_are_firm: the old reign must be over, which epoch.pml is about */
#define FREE ((sync_set & (1 << owner)) == 0 || !primary[owner] || reign[owner] == epoch)

inline choose() { /* tally, choose, sync_after */
    count = POP(sync_set & ((COUNTED(0) -> 1 : 0) | (COUNTED(1) -> 2 : 0) | (COUNTED(2) -> 4 : 0)));
    safe = LARGER(OF(COUNTED(0) && MEMBER(0), 0), LARGER(OF(COUNTED(1) && MEMBER(1), 1), OF(COUNTED(2) && MEMBER(2), 2)));
    covered = count >= FENCED_NEEDED;
    if
    :: !covered && COUNTED(owner) -> covered = true; safe = POSITION(owner)
    :: else
    fi;
    best = LARGER(OF(COUNTED(0), 0), LARGER(OF(COUNTED(1), 1), OF(COUNTED(2), 2)));
    if
    :: covered && best > 0 && best >= safe ->
        if
        :: COUNTED(0) && POSITION(0) == best -> leader = 0
        :: COUNTED(1) && POSITION(1) == best -> leader = 1
        :: COUNTED(2) && POSITION(2) == best -> leader = 2
        fi;
#ifndef FAULT_old_sync_set
        sync_set = ((COUNTED(0) && POSITION(0) >= best -> 1 : 0) | (COUNTED(1) && POSITION(1) >= best -> 2 : 0) |
                    (COUNTED(2) && POSITION(2) >= best -> 4 : 0)) & ~(1 << leader);
#else
        sync_set = 7 & ~(1 << leader);
#endif
        if :: sync_set == 0 -> sync_set = 1 << leader :: else fi;
        owner = leader; phase = promoting;
        if :: fate[timeline[leader]] == planned -> forked[timeline[leader]] = began[timeline[leader]] :: else fi;
        parent[epoch] = timeline[leader]; made_for[epoch] = leader; fate[epoch] = planned;
        assert(PREFIX(acknowledged, wal[leader])) /* I4 */
    :: else
    fi;
    count = 0; safe = 0; best = 0; covered = false
}

inline acknowledge(i) {
    assert(PREFIX(acknowledged, wal[i]) || PREFIX(wal[i], acknowledged));
    acknowledged = (LEN(wal[i]) > LEN(acknowledged) -> wal[i] : acknowledged);
    /* I4, for a commit that comes after another leader was chosen */
    assert(phase == revoking || PREFIX(acknowledged, wal[leader]))
}
#define HAS(x, i) ((names[i] & (1 << (x))) != 0 && upstream[x] == (i) && wal[x] == wal[i])

proctype node(byte i) {
end_node:
    do
    /* ---- WAL */
    :: atomic { primary[i] && LEN(wal[i]) < LENGTH -> wal[i] = wal[i] | (reign[i] << (2 * LEN(wal[i]))) }
    :: atomic { primary[i] && wal[i] != acknowledged && LEN(wal[i]) > 0 &&
                ((names[i] & (1 << i)) != 0 || HAS(0, i) || HAS(1, i) || HAS(2, i)) -> acknowledge(i) }
    :: atomic { !primary[i] && upstream[i] != NONE && primary[upstream[i]] && wal[i] != wal[upstream[i]] &&
                PREFIX(wal[i], wal[upstream[i]]) ->
           wal[i] = FIRST(wal[upstream[i]], LEN(wal[i]) + 1);
           timeline[i] = (LEN(wal[i]) > began[reign[upstream[i]]] -> reign[upstream[i]] : timeline[i]) }
    :: atomic { !primary[i] && upstream[i] != NONE && primary[upstream[i]] && wal[i] == wal[upstream[i]] &&
                timeline[i] != timeline[upstream[i]] -> timeline[i] = timeline[upstream[i]] }
    /* copy_if_needed: only one that the record does not count on */
    :: atomic { !primary[i] && known[i] == epoch && phase == stable && upstream[i] == leader && primary[leader] &&
                !MEMBER(i) && !PREFIX(wal[i], wal[leader]) -> wal[i] = wal[leader]; timeline[i] = timeline[leader] }
    /* ---- take_epoch */
    :: atomic { epoch < EPOCHS && !(primary[i] && leader == i && phase != revoking) && known[i] == epoch ->
           epoch++; phase = revoking; leader = NONE; grants = 0 }
    /* ---- stay_fenced, make_grant: cut first (or killed, and back as a standby), then the report */
    :: atomic { phase == revoking && !GRANTED(i) && FREE ->
           known[i] = epoch; primary[i] = false;
#ifndef FAULT_no_cut
           upstream[i] = NONE;
#endif
           grants = grants | (1 << i) }
    /* ---- appoint, with the votes of a majority */
    :: atomic { phase == revoking && GRANTED(i) && POP(grants) >= 2 -> choose() }
    /* ---- take_office */
    :: atomic { phase == promoting && leader == i && !primary[i] && timeline[i] != epoch ->
           primary[i] = true; reign[i] = epoch; names[i] = sync_set; timeline[i] = epoch; upstream[i] = NONE;
           began[epoch] = LEN(wal[i]) }
    /* ---- confirm */
    :: atomic { phase == promoting && leader == i && primary[i] && reign[i] == epoch ->
           x = 2;
           do
           :: x < epoch -> if :: x > parent[epoch] -> fate[x] = burnt :: x == parent[epoch] -> fate[x] = live :: else fi; x++
           :: else -> break
           od;
           x = 0; fate[epoch] = live; forked[epoch] = began[epoch]; phase = stable }
    /* ---- the server dies, or is killed by the fence */
    :: atomic { primary[i] -> primary[i] = false }
    /* ---- stream_from_leader */
    :: atomic { phase == stable && leader != i && !primary[i] && (known[i] != epoch || upstream[i] != leader) ->
           known[i] = epoch; upstream[i] = leader }
    /* ---- keep_sync, with sync.pml's care: both at once */
    :: atomic { phase == stable && leader == i && primary[i] && reign[i] == epoch ->
           n = ((upstream[0] == i && wal[0] == wal[i] -> 1 : 0) | (upstream[1] == i && wal[1] == wal[i] -> 2 : 0) |
                (upstream[2] == i && wal[2] == wal[i] -> 4 : 0)) & ~(1 << i);
           if
           :: n != 0 -> sync_set = n
           :: sync_set = 1 << i
           fi;
           names[i] = sync_set; n = 0 }
    od
}

init {
    atomic {
        fate[1] = live; made_for[1] = 0;
        primary[0] = true; reign[0] = 1; names[0] = 6; upstream[1] = 0; upstream[2] = 0;
        run node(0); run node(1); run node(2)
    }
}
