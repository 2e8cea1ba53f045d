// What an operator may ask of a cluster, each as an edit of the record. Pure: the web and the command line read the
// record, call one of these, and write it back by compare-and-swap. A refusal leaves the record untouched.
#pragma once

#include "cluster/node.h"

namespace keel::cluster {

// Who asks, when, and through which node: for the history.
struct Caller {
    NodeId node;      // the agent that was asked
    std::string who;  // "an operator on anna", for the sentence
    std::int64_t unix_ms = 0;
};

// What the asked node knows about the others: enough to refuse what cannot work.
struct View {
    std::set<NodeId> alive;      // heard within four heartbeats; the node itself is in it
    std::set<NodeId> streaming;  // standbys that stream from the leader
    bool leader_alive = false;   // the record's leader is heard and reigns
};
View view_of(NodeId const& self, Clock clock, Record const& record, Opinion const& opinion,
             std::map<NodeId, PeerSight> const& peers);

// The member of this name, or of this id, or of an unambiguous beginning of its id. not_found names the members.
Result<NodeId> find_member(Record const& record, std::string const& name);

// ---- leadership -----------------------------------------------------------------------------------------------------
struct SwitchoverRequest {
    std::string to;               // name of a member; empty: the best candidate
    std::int64_t at_unix_ms = 0;  // 0: now
};
BOOST_DESCRIBE_STRUCT(SwitchoverRequest, (), (to, at_unix_ms))
Status request_switchover(Record& record, View const& view, SwitchoverRequest const& request, Caller const& caller);
Status cancel_switchover(Record& record, Caller const& caller);

struct FailoverRequest {
    std::string to;
    bool accept_data_loss = false;
};
BOOST_DESCRIBE_STRUCT(FailoverRequest, (), (to, accept_data_loss))
// For a cluster without a working leader. conflict while the leader lives (that is a switchover).
Status request_failover(Record& record, View const& view, FailoverRequest const& request, Caller const& caller);

Status pause(Record& record, Caller const& caller);
Status resume(Record& record, Caller const& caller);

// ---- settings -------------------------------------------------------------------------------------------------------
// What of `next` contradicts itself or the members, each with its mend; empty when it may be recorded.
std::vector<Error> contradictions(Settings const& next, Record const& record);
// Replaces the settings. `what` says what changed, for the history ("mode: quorum -> strict").
Status change_settings(Record& record, Settings const& next, std::string const& what, Caller const& caller);

// ---- members --------------------------------------------------------------------------------------------------------
// A new member; one with the same id gets the new addresses. conflict: the name or an address belongs to another.
Status add_member(Record& record, NodeId const& id, Member const& member, Caller const& caller);
// Marks it as leaving; the leader takes it out of the sync set, the voters and the members.
Status request_leave(Record& record, View const& view, NodeId const& id, Caller const& caller);
Status change_tags(Record& record, NodeId const& id, Tags const& tags, Caller const& caller);
// The operator has looked at the member and says that it is sound.
Status clear_broken(Record& record, NodeId const& id, Caller const& caller);

// ---- work that one member has to do ---------------------------------------------------------------------------------
// Restart of its PostgreSQL. Refused for the leader (switch over first) unless it is the only data member.
Status request_restart(Record& record, View const& view, NodeId const& id, Caller const& caller);
// Its data directory is thrown away and cloned anew. Refused for the leader.
Status request_reinit(Record& record, View const& view, NodeId const& id, Caller const& caller);
// By the agent that carried the errand out (or could not: `problem`).
void finish_errand(Record& record, NodeId const& id, std::uint64_t number, std::string const& problem,
                   Caller const& caller);

// ---- join tokens: only their SHA-256 is kept ------------------------------------------------------------------------
Status add_token(Record& record, JoinToken const& token, Caller const& caller);
Status remove_token(Record& record, std::string const& id, Caller const& caller);
// Finds the token by the hash of its secret, checks kind and time, and takes one use from it. denied otherwise.
Status consume_token(Record& record, std::string const& sha256, Kind kind, Caller const& caller);
// Drops expired tokens.
void sweep_tokens(Record& record, std::int64_t unix_ms);

// ---- access tokens: likewise ----------------------------------------------------------------------------------------
Status add_access(Record& record, Access const& access, Caller const& caller);
Status remove_access(Record& record, std::string const& name, Caller const& caller);
// Whose secret has this hash; compared in constant time. denied: nobody's, or expired.
Result<Access> find_access(Record const& record, std::string_view sha256, std::int64_t unix_ms);

// ---- proxies on hosts of applications ------------------------------------------------------------------------------
// conflict: the name belongs to another one.
Status add_proxy(Record& record, NodeId const& id, std::string const& name, Caller const& caller);
// By its name. not_found names those that there are.
Status remove_proxy(Record& record, std::string const& name, Caller const& caller);

}  // namespace keel::cluster
