// The cluster's replicated state: one small record, changed by compare-and-swap only. Hot facts (LSNs, liveness) are
// not here; they ride on heartbeats (messages.h).
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace keel::cluster {

// What an acknowledged commit survives. async: nothing is promised for the last moments. quorum: the loss of any W
// nodes, degrading to the leader alone (which then nobody may replace) when no standby is left. strict: as quorum, but
// writes wait rather than degrade.
enum class Mode { async, quorum, strict };
BOOST_DESCRIBE_ENUM(Mode, async, quorum, strict)

// data: has a PostgreSQL. witness: votes only. proxy: an application's host, which is never a member (ProxyHost).
enum class Kind { data, witness, proxy };
BOOST_DESCRIBE_ENUM(Kind, data, witness, proxy)

// stable: the leader of this epoch reigns. revoking: the coordinator collects grants. promoting: the chosen leader
// takes the lease and leaves recovery.
enum class Phase { stable, revoking, promoting };
BOOST_DESCRIBE_ENUM(Phase, stable, revoking, promoting)

struct Tags {
    bool nofailover = false;     // never promoted
    bool nosync = false;         // never in the sync set
    bool noloadbalance = false;  // gets no reads from a balancer
    bool spare = false;          // waits to take the place of a lost member
    bool analytics = false;      // for reports only: as noloadbalance, on an endpoint of its own
    std::string clonefrom;       // name of the member to clone from, when it is alive
    int priority = 0;            // higher wins among equally advanced candidates
    std::string domain;          // failure domain (rack, zone)
    int delayed_s = 0;           // recovery_min_apply_delay; a delayed member is neither promoted nor in the sync set
};
BOOST_DESCRIBE_STRUCT(Tags, (),
                      (nofailover, nosync, noloadbalance, spare, analytics, clonefrom, priority, domain, delayed_s))

struct Member {
    std::string name;  // unique in the cluster, for people
    Kind kind = Kind::data;
    std::string peer;      // host:port of the peer channel (mutual TLS)
    std::string api;       // host:port of the HTTP API
    std::string postgres;  // host:port of PostgreSQL; empty for a witness
    Tags tags;
    std::string broken;    // why this member must not be promoted until a probe passes; empty when sound
    bool leaving = false;  // asked to leave: the leader takes it out of the sync set, the voters, and then the members
};
BOOST_DESCRIBE_STRUCT(Member, (), (name, kind, peer, api, postgres, tags, broken, leaving))

// The standbys that may acknowledge commits, and how many must. {leader} with quorum 1 means: nobody but the leader is
// known to hold every acknowledged commit. Any |members| - quorum + 1 fenced members hold all of them.
struct SyncSet {
    Mode mode = Mode::async;
    std::set<NodeId> members;
    std::uint32_t quorum = 1;
    NodeId owner;  // the leader whose reign it covers: that node's own WAL has every acknowledged commit
    bool operator==(SyncSet const&) const = default;
};
BOOST_DESCRIBE_STRUCT(SyncSet, (), (mode, members, quorum, owner))

// planned: recorded before the promotion starts, so that no other promotion may take the same number. live: the
// promotion was confirmed. burnt: another node was chosen before it was confirmed; nothing on this timeline counts.
enum class Fate { planned, live, burnt };
BOOST_DESCRIBE_ENUM(Fate, planned, live, burnt)

struct Branch {
    Timeline timeline;
    Timeline parent;
    Lsn fork;  // first byte that is not the parent's
    Epoch epoch;
    NodeId node;
    Fate fate = Fate::live;
    // The next xid when the promotion came out of recovery, before anybody could write: what the WAL decided is below
    // it. 0: not known.
    std::uint64_t first_xid = 0;
};
BOOST_DESCRIBE_STRUCT(Branch, (), (timeline, parent, fork, epoch, node, fate, first_xid))

// A change of leader that somebody asked for.
struct Handover {
    NodeId target;                  // empty: the best candidate
    std::int64_t at_unix_ms = 0;    // 0: now
    bool accept_data_loss = false;  // forced failover: the coverage rule is waived, the loss is recorded
    std::string asked_by;
};
BOOST_DESCRIBE_STRUCT(Handover, (), (target, at_unix_ms, accept_data_loss, asked_by))

struct HistoryEvent {
    std::uint64_t number = 0;
    std::int64_t unix_ms = 0;
    Epoch epoch;
    NodeId node;  // who wrote it
    // leader, revoke, appoint, agent, sync, member, voter, mode, pause, setting, access, proxy, loss, stop, backup
    std::string kind;
    std::string text;  // one sentence: what and why
};
BOOST_DESCRIBE_STRUCT(HistoryEvent, (), (number, unix_ms, epoch, node, kind, text))

// Lease and heartbeat: lan 1.5 s / 150 ms, standard 2.5 s / 250 ms, wan 8 s / 800 ms.
enum class Profile { lan, standard, wan };
BOOST_DESCRIBE_ENUM(Profile, lan, standard, wan)

// Cluster-wide settings, changed by `pgkeel config set`.
struct Settings {
    Mode mode = Mode::quorum;
    std::uint32_t quorum = 1;  // W: standbys that must have a commit
    Profile profile = Profile::lan;
    std::uint64_t failover_lag_bytes_max = 16U << 20U;  // async: a candidate further behind is not promoted
    int spare_grace_s = 60;                             // a lost member is replaced by a spare after this
    int promote_timeout_ms = 5000;
    int evict_after_ms = 2000;                // a sync member without flush progress leaves the set
    int disk_stall_ms = 2000;                 // a write to the WAL disk that takes longer hangs
    std::uint64_t disk_ballast = 64U << 20U;  // set aside on each WAL disk, given back when it is full
    // Where a repository is configured: times of cron, or off; an expiry also "after full".
    std::string backup_full = "0 1 * * *";
    std::string backup_incremental = "30 * * * *";
    std::string backup_expire = "after full";
    std::string backup_prove = "0 4 * * 0";
    std::string backup_copy = "*/5 * * * *";  // into other repositories, where there are any
    std::string backup_dump = "off";          // dumps of databases, for pg_restore
    std::string backup_dump_databases;        // by commas; empty: all
    std::uint32_t backup_keep_dump_days = 30;
    std::string backup_time_zone = "UTC";  // of those times
    std::uint32_t backup_keep_full = 7;
    std::uint32_t backup_keep_days = 14;
    std::map<std::string, std::string> postgres;  // postgresql.conf parameters for every node
};
BOOST_DESCRIBE_STRUCT(Settings, (),
                      (mode, quorum, profile, failover_lag_bytes_max, spare_grace_s, promote_timeout_ms, evict_after_ms,
                       disk_stall_ms, disk_ballast, backup_full, backup_incremental, backup_expire, backup_prove,
                       backup_copy, backup_dump, backup_dump_databases, backup_keep_dump_days, backup_time_zone,
                       backup_keep_full, backup_keep_days, postgres))

// Lets a new node in. The secret itself is known to whoever was shown it, and to nobody else.
struct JoinToken {
    std::string id;      // to name it: the first digits of the hash
    std::string sha256;  // of the secret, lower-case hex
    Kind kind = Kind::data;
    std::int64_t expires_unix_ms = 0;
    std::uint32_t uses_left = 1;
    std::string made_by;
};
BOOST_DESCRIBE_STRUCT(JoinToken, (), (id, sha256, kind, expires_unix_ms, uses_left, made_by))

// What somebody who asks through the API may do; each includes the ones before it.
enum class Role { read, operate, admin };
BOOST_DESCRIBE_ENUM(Role, read, operate, admin)

// Lets a person or a program that is not on a node ask through the API. The secret is kept as that of a join token.
struct Access {
    std::string name;
    std::string sha256;  // of the secret, lower-case hex
    Role role = Role::read;
    std::int64_t expires_unix_ms = 0;  // 0: never
    std::string made_by;
};
BOOST_DESCRIBE_STRUCT(Access, (), (name, sha256, role, expires_unix_ms, made_by))

// An application's host with a proxy of its own. Its certificate lets it hear where work may go and who may log in: no
// more than that.
struct ProxyHost {
    std::string name;  // unique among these, for people
    std::int64_t since_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(ProxyHost, (), (name, since_unix_ms))

// Work that an operator asked of one member; its agent does it and takes it off the record.
enum class Work { restart, reinit };
BOOST_DESCRIBE_ENUM(Work, restart, reinit)
struct Errand {
    std::uint64_t number = 0;  // of the history event that asked for it; new ones are higher
    Work work = Work::restart;
    std::int64_t asked_unix_ms = 0;
    std::string asked_by;
};
BOOST_DESCRIBE_STRUCT(Errand, (), (number, work, asked_unix_ms, asked_by))

// Work on the backups that comes by schedule, once per cluster: jobs.h.
struct JobEnd {
    std::int64_t begun_unix_ms = 0, ended_unix_ms = 0;
    NodeId node;
    std::string text;                       // one sentence
    std::map<std::string, double> figures;  // such as seconds of a restore
};
BOOST_DESCRIBE_STRUCT(JobEnd, (), (begun_unix_ms, ended_unix_ms, node, text, figures))
struct JobRun {
    NodeId node;  // whose work it is
    std::int64_t begun_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(JobRun, (), (node, begun_unix_ms))
struct Job {
    std::string schedule;  // as it was when `since` was set: nothing before that is missed
    std::int64_t since_unix_ms = 0;
    std::int64_t asked_unix_ms = 0;   // somebody wants it now, whatever the schedule says; 0: nobody
    std::optional<JobRun> run;        // under way
    std::optional<JobEnd> good, bad;  // the last of each
    std::uint32_t failures = 0;       // since the last good one
};
BOOST_DESCRIBE_STRUCT(Job, (), (schedule, since_unix_ms, asked_unix_ms, run, good, bad, failures))

struct Record {
    int format = 1;
    std::string cluster_id;
    std::string name;
    std::string system_id;  // PostgreSQL's system identifier
    std::uint64_t revision = 0;
    Epoch epoch;
    Phase phase = Phase::stable;
    NodeId leader;       // empty while revoking
    NodeId coordinator;  // who runs the election of this epoch
    bool paused = false;
    std::map<NodeId, Member> members;
    std::set<NodeId> voters;
    SyncSet sync;
    std::vector<Branch> lineage;
    Settings settings;
    Profile longest_profile = Profile::lan;  // of all that were ever set: a restarted voter may have promised that long
    std::optional<Handover> handover;
    std::vector<JoinToken> tokens;
    std::vector<Access> access;
    std::map<NodeId, ProxyHost> proxies;
    std::map<NodeId, Errand> errands;
    std::map<std::string, Job> jobs;  // by kind
    std::vector<HistoryEvent> history;
};
BOOST_DESCRIBE_STRUCT(Record, (),
                      (format, cluster_id, name, system_id, revision, epoch, phase, leader, coordinator, paused,
                       members, voters, sync, lineage, settings, longest_profile, handover, tokens, access, proxies,
                       errands, jobs, history))

std::string encode(Record const& record);
Result<Record> decode_record(std::string_view text);

// Appends an event and drops the oldest beyond 100.
void note(Record& record, NodeId const& author, std::int64_t unix_ms, std::string kind, std::string text);

struct Timing {
    Duration lease;
    Duration heartbeat;
};
Timing timing(Profile profile);
// The longest lease that a voter may have promised in a life it cannot remember.
Duration longest_lease(Record const& record);

// ---- lineage: which timelines count -------------------------------------------------------------------------------
// The live branches from the root to the newest, oldest first.
std::vector<Branch> live_path(std::vector<Branch> const& lineage);
// Epoch in which this timeline was begun; empty when the cluster never recorded it.
std::optional<Epoch> epoch_of(std::vector<Branch> const& lineage, Timeline timeline);
// True when WAL up to `lsn` on `timeline` is a prefix of the cluster's history, so that the node can follow without a
// rewind. A burnt timeline never is; a planned one may still become it, so it counts in an election (`planned_too`).
bool is_ancestor(std::vector<Branch> const& lineage, Timeline timeline, Lsn lsn, bool planned_too = false);
// The newest branch was reached, at `fork`: it and its forebears are the history, the others are not.
void confirm_newest(std::vector<Branch>& lineage, Lsn fork);
Timeline newest_timeline(std::vector<Branch> const& lineage);  // burnt and planned ones count

inline std::size_t majority(std::size_t voters) { return voters / 2 + 1; }

}  // namespace keel::cluster
