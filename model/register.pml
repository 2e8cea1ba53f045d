/*
 * The register (consensus/register.h): CASPaxos with voters that change. Four acceptors; ballots 1..BALLOTS, each of one
 * proposer (they take turns: odd, even). A value is named by the ballot that first proposed it; 0 is the genesis.
 *
 * Messages need no place of their own: any acceptor may get any question at any time or never, and what it answers
 * counts at that moment. So no message is ever too early or lost in a way that is not tried.
 *
 * -DFAULT_...: promise_forgotten (the simulator's), no_settle, voters_only, promise_not_kept.
 */
#ifndef BALLOTS
#define BALLOTS 4
#endif
#define ACCEPTORS 4
#define POP(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))
#define MAJORITY(of, set) (POP((of) & (set)) > POP(set) / 2)

#define UNSET 255
byte promised[ACCEPTORS], accepted[ACCEPTORS];
byte heard[BALLOTS + 1];          /* who promised this ballot */
byte base[BALLOTS + 1];           /* newest ballot that any of them had accepted */
byte proposed[BALLOTS + 1];       /* the value of this ballot, UNSET before */
byte took[BALLOTS + 1];           /* who accepted it */
byte before[BALLOTS + 1], voters[BALLOTS + 1], parent[BALLOTS + 1];  /* of a value */
bool chosen[BALLOTS + 1];

/* has_quorum: a majority of both sets of the value's electorate */
#ifdef FAULT_voters_only
#define QUORUM(v, who) MAJORITY(who, voters[v])
#else
#define QUORUM(v, who) (MAJORITY(who, before[v]) && MAJORITY(who, voters[v]))
#endif
#define CHANGES(v) (before[v] != voters[v])
/* propose: a child of a change of voters only when that is known to be chosen, in a ballot of the same proposer */
#ifdef FAULT_no_settle
#define SETTLED(b) true
#else
#define SETTLED(b) (!CHANGES(proposed[base[b]]) || (chosen[base[b]] && base[b] % 2 == b % 2))
#endif

/* The claim: what is proposed above a ballot in which v was chosen is v or descends from it. */
inline check() {
    l = 0;
    do
    :: l < BALLOTS ->
        if
        :: chosen[l] ->
            h = l + 1;
            do
            :: h <= BALLOTS ->
                if
                :: proposed[h] != UNSET ->
                    v = proposed[h];
                    do
                    :: v > proposed[l] -> v = parent[v]
                    :: else -> break
                    od;
                    assert(v == proposed[l])
                :: else
                fi;
                h++
            :: else -> break
            od
        :: else
        fi;
        l++
    :: else -> break
    od;
    l = 0; h = 0; v = 0
}

byte l, h, v, a, b;

active proctype world() {
    atomic {
        before[0] = 7; voters[0] = 7; took[0] = 7; chosen[0] = true;
        b = 1;
        do :: b <= BALLOTS -> proposed[b] = UNSET; b++ :: else -> break od;
        b = 0
    }
end_world:
    do
    /* Acceptor::consider(Prepare) */
    :: atomic { select(b : 1 .. BALLOTS); select(a : 0 .. 3);
           if
           :: proposed[b] == UNSET && (heard[b] & (1 << a)) == 0 && promised[a] <= b ->
               promised[a] = b; heard[b] = heard[b] | (1 << a);
               base[b] = (accepted[a] > base[b] -> accepted[a] : base[b])
           :: else
           fi;
           a = 0; b = 0 }
    /* Proposer::prepared, propose */
    :: atomic { select(b : 1 .. BALLOTS);
           if
           :: proposed[b] == UNSET && QUORUM(proposed[base[b]], heard[b]) ->
               if
               :: proposed[b] = proposed[base[b]]
               :: SETTLED(b) ->
                   proposed[b] = b; parent[b] = proposed[base[b]]; before[b] = voters[parent[b]];
                   if
                   :: voters[b] = before[b]
                   :: before[b] != 7 -> voters[b] = 7
                   :: before[b] != 12 -> voters[b] = 12
                   fi
               fi;
               heard[b] = 0;
               check()
           :: else
           fi;
           b = 0 }
    /* Acceptor::consider(Accept), Proposer::accepted */
    :: atomic { select(b : 1 .. BALLOTS); select(a : 0 .. 3);
           if
#ifdef FAULT_promise_not_kept
           :: proposed[b] != UNSET && (took[b] & (1 << a)) == 0 && accepted[a] < b ->
#else
           :: proposed[b] != UNSET && (took[b] & (1 << a)) == 0 && promised[a] <= b ->
#endif
               promised[a] = (promised[a] > b -> promised[a] : b); accepted[a] = b; took[b] = took[b] | (1 << a);
               if
               :: MAJORITY(took[b], before[proposed[b]]) && MAJORITY(took[b], voters[proposed[b]]) ->
                   chosen[b] = true; check()
               :: else
               fi
           :: else
           fi;
           a = 0; b = 0 }
#ifdef FAULT_promise_forgotten
    :: atomic { select(a : 0 .. 3); promised[a] = accepted[a]; a = 0 }
#endif
    od
}
