// What people and programs are told about a cluster: one report, made by a pure function of what one agent knows, and
// its renderings as text.
#pragma once

#include "cluster/jobs.h"
#include "cluster/vitals.h"

namespace keel::cluster {

// Everything that one agent knows at one moment.
struct Sight {
    NodeId self;
    std::string name;  // of the node, also before there is a record
    Clock clock;
    std::optional<Record> record;
    Opinion opinion;
    std::map<NodeId, PeerSight> peers;
    Observation seen;
    std::string fence;                           // of the local server: full, or degraded and why; empty: not known
    std::string guardian;                        // of this node: on duty, or silent and why that matters; empty: none
    std::string store_trouble;                   // why the store does not answer; empty when it does
    std::string activity;                        // long work with its progress: "clone from bela: 1.2 of 3.0 GB"
    std::vector<std::string> pending_restart;    // parameters of the local server that wait for a restart
    std::int64_t certificate_until_unix_ms = 0;  // of the node; 0: not known
    std::optional<Vitals> vitals;                // of the local server; none: not seen yet, or it is down
    std::optional<BackupStatus> backup;          // none: no repository is configured
};

struct MemberStatus {
    NodeId id;
    std::string name;
    Kind kind = Kind::data;
    std::string role;  // leader, sync standby, standby, witness, spare, none
    State state = State::fresh;
    bool known = false;  // heard of since this agent started; else state and positions are not known
    bool healthy = false;
    std::int64_t heard_ms_ago = -1;  // -1: never; 0: this node
    Timeline timeline;
    Lsn flush;
    Lsn replay;
    std::optional<std::uint64_t> lag_bytes;  // WAL that the leader has and this member has not on disk
    std::optional<double> lag_seconds;       // age of the last replayed commit while it lags
    bool streaming = false;
    bool voter = false;
    bool in_sync_set = false;
    std::string upstream;  // name of whom it streams from; empty: nobody, or not known
    Tags tags;
    std::string peer, api, postgres;
    std::string problem;
    std::string errand;  // restart or reinit asked for and not done yet
    bool leaving = false;
};
BOOST_DESCRIBE_STRUCT(MemberStatus, (),
                      (id, name, kind, role, state, known, healthy, heard_ms_ago, timeline, flush, replay, lag_bytes,
                       lag_seconds, streaming, voter, in_sync_set, upstream, tags, peer, api, postgres, problem, errand,
                       leaving))

struct ClusterStatus {
    std::string cluster;
    std::string cluster_id;
    NodeId self;          // who tells this
    std::string told_by;  // its name
    std::int64_t unix_ms = 0;
    bool member = false;  // false: this agent knows no record, or is not in it
    std::string verdict;  // one sentence: are we fine?
    std::string health;   // ok, degraded, down
    std::uint64_t revision = 0;
    Epoch epoch;
    Phase phase = Phase::stable;
    std::string leader;  // name; empty while none reigns
    bool leader_alive = false;
    Mode mode = Mode::quorum;
    std::uint32_t quorum = 1;  // asked for by the settings
    SyncSet sync;              // in force
    std::vector<std::string> sync_names;
    std::string profile;
    bool paused = false;
    bool blocked = false;
    std::string reason;                    // what this node does now, and why
    std::string fence;                     // full, or "degraded (extension not loaded: ...)"
    std::string guardian;                  // on duty, or "silent ..."; empty: this node has no PostgreSQL
    std::optional<std::int64_t> lease_ms;  // what is left of it; only the leader knows
    std::size_t voters = 0;
    std::size_t voters_alive = 0;
    std::string handover;  // a switchover that is planned or under way
    std::string store_trouble;
    std::string activity;
    std::vector<std::string> pending_restart;
    std::optional<std::int64_t> certificate_days;  // that the certificate of the node that tells this is still good
    std::optional<BackupStatus> backup;            // as this node sees it; none: it has no repository
    std::vector<MemberStatus> members;             // leader first, then by name
    std::vector<HistoryEvent> events;              // the last five, oldest first
};
BOOST_DESCRIBE_STRUCT(ClusterStatus, (),
                      (cluster, cluster_id, self, told_by, unix_ms, member, verdict, health, revision, epoch, phase,
                       leader, leader_alive, mode, quorum, sync, sync_names, profile, paused, blocked, reason, fence,
                       guardian, lease_ms, voters, voters_alive, handover, store_trouble, activity, pending_restart,
                       certificate_days, backup, members, events))

ClusterStatus status_of(Sight const& sight);

// What the node knows of the others, and of its own server, to judge what an operator asks (operations.h).
struct View;
View view_of(Sight const& sight, Record const& record);

// One true sentence about the last decision, and what it rests on.
struct Explanation {
    std::string sentence;
    std::vector<std::string> evidence;
};
BOOST_DESCRIBE_STRUCT(Explanation, (), (sentence, evidence))
Explanation explain(Sight const& sight);

// ---- text for terminals (rendered by the command line from the JSON, so a remote agent may be newer or older) -------
struct Style {
    bool colour = false;
    std::size_t columns = 100;
};
std::string render_status(ClusterStatus const& status, Style style = {});
// The tree of who streams from whom.
std::string render_topology(ClusterStatus const& status, Style style = {});
std::string render_history(std::vector<HistoryEvent> const& events, std::map<NodeId, std::string> const& names);
std::string render_explanation(Explanation const& explanation);

// "2026-11-21 07:40:12.345Z".
std::string utc_text(std::int64_t unix_ms);
// "12 B", "1.2 MB", "3.0 GB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace keel::cluster
