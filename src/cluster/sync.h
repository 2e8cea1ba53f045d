// Changing the set of standbys that may acknowledge commits, without a moment in which the record promises more than
// the server keeps. One inequality decides the order of record and setting; no case is coded.
#pragma once

#include "cluster/node.h"

namespace keel::cluster {

// How many members of `recorded` are certain to have a commit that was acknowledged under `names`. The leader always
// has it, and counts when it is a member itself.
std::uint32_t coverage(Names const& names, SyncSet const& recorded, NodeId const& leader);
// A setting under which no commit is acknowledged: one standby must answer, of none.
bool is_nobody(Names const& names);
// C: holds for every setting that a walsender may still apply, and for the mixture of those with one count: a walsender
// counts over all standbys whose walsenders hold them for synchronous (SyncRepGetCandidateStandbys). Settings of
// different counts do not meet: the driver goes from one to the other through "nobody" (Verb::set_names).
bool covers(std::vector<Names> const& possible, SyncSet const& recorded, NodeId const& leader);
// C2 is not needed when what the old record promises implies the new one.
bool implies(SyncSet const& before, SyncSet const& after, NodeId const& leader);

// The setting that goes with a record: nothing when only the leader is in the set.
Names names_for(SyncSet const& set, NodeId const& leader);

struct SyncView {
    NodeId leader;
    SyncSet recorded;
    SyncSet wanted;
    Names wanted_names;           // goes with `wanted`: names_for(), or more (strict waits for those who are away, too)
    std::vector<Names> possible;  // settings that may be in force; one when a barrier has passed
    Lsn settled_flush;            // the leader's flush LSN, read after the last barrier
    std::map<NodeId, Lsn> flushed;  // per standby
};

struct SyncStep {
    enum class Kind { rest, wait, set_names, write_record };
    Kind kind = Kind::rest;
    Names names;     // set_names
    SyncSet record;  // write_record
    std::string reason;
};

// The next single step from the recorded to the wanted set, on the cheapest way of steps that each keep C and C2;
// repeat until rest.
SyncStep plan_sync(SyncView const& view);

// How many members must be fenced so that one of them has every acknowledged commit.
std::size_t fenced_needed(SyncSet const& set);

}  // namespace keel::cluster
