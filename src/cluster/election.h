// Who may be promoted: pure functions over the grants of fenced nodes. A candidate is safe when it has every commit
// that was acknowledged, which the recorded sync set decides, never a guess about who is alive.
#pragma once

#include "cluster/node.h"

namespace keel::cluster {

// (epoch of the last WAL, LSN): the order of histories. LSNs of different epochs are never compared alone.
struct Position {
    Epoch epoch;
    Lsn lsn;
    auto operator<=>(Position const&) const = default;
};
Position position_of(Grant const& grant, Record const& record);

struct Ballot {
    NodeId coordinator;
    std::map<NodeId, Grant> grants;  // of this epoch only
    Lsn last_known_flush;            // of the old leader, from its heartbeats; for the limit on async lag
    Mutation mutation = Mutation::none;
};

struct Tally {
    bool majority = false;     // enough voters are free of the old promise
    bool covered = false;      // some fenced node here has every acknowledged commit
    Position safe;             // covered: a candidate at or beyond this has all of them
    std::set<NodeId> missing;  // sync members without a fenced report
};
Tally tally(Record const& record, Ballot const& ballot);

struct Choice {
    NodeId winner;  // empty: nobody
    std::string reason;
    bool loses_commits = false;  // forced by an operator over missing coverage
};
// The most advanced safe candidate; among equals the operator's target, then the sound before the broken, priority,
// lowest id.
Choice choose(Record const& record, Ballot const& ballot);

// A candidate that should win but lacks WAL which another fenced standby has: because it is preferred (operator's
// target, soundness, priority), or because the other may not be promoted. Empty when there is none.
struct CatchUpPlan {
    NodeId candidate;
    CatchUp order;
    bool needed = false;  // nobody else could win; else the wait for it must be bounded
};
std::optional<CatchUpPlan> plan_catch_up(Record const& record, Ballot const& ballot);

// The sync set to record together with a winner: those fenced members that hold all of the winner's WAL; the winner
// alone when there is none.
SyncSet sync_after(Record const& record, Ballot const& ballot, NodeId const& winner);
// synchronous_standby_names to be in force before the winner leaves recovery.
Names names_at_promotion(Record const& record, NodeId const& leader);

// A voluntary or forced precheck on live facts, before an epoch is spent: would an election succeed?
struct Prospect {
    bool good = false;
    std::string reason;
};
// `alive`: members heard of lately, this node included; `promotable`: those of them whose server is up in recovery or
// can be started.
Prospect prospect(Record const& record, std::set<NodeId> const& alive, std::set<NodeId> const& promotable);

bool sync_eligible(Member const& member);
bool may_be_promoted(Member const& member);
// Promises must run out first: in async mode, and while only the old leader has every commit, fencing standbys does not
// stop it from acknowledging.
bool promises_are_firm(Record const& record);

}  // namespace keel::cluster
