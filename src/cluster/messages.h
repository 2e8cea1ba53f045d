// What nodes tell each other about leadership. Everything here may be lost, repeated, delayed and reordered.
#pragma once

#include <variant>

#include "cluster/record.h"

namespace keel::cluster {

enum class State {
    fresh,  // no data directory yet
    cloning,
    standby,
    catchup,  // fenced, fetches what it lacks from a fenced node that has more
    fenced,   // promised a newer epoch: WAL receiver cut
    promoting,
    gated,  // read-write, not yet confirmed in the record
    primary,
    restarting,  // the leader's server died; recovering as a standby
    stepping_down,
    expired,   // lease lost: the server is being killed
    diverged,  // has WAL that the cluster's history has not
    rewinding,
    maintenance,
    broken,
    witness,
};
BOOST_DESCRIBE_ENUM(State, fresh, cloning, standby, catchup, fenced, promoting, gated, primary, restarting,
                    stepping_down, expired, diverged, rewinding, maintenance, broken, witness)

// Can a node's WAL disk take commits?
enum class Disk {
    sound,
    tight,    // nearly full: a primary had better move while there is time
    useless,  // a write hangs, fails, or finds no room
};
BOOST_DESCRIBE_ENUM(Disk, sound, tight, useless)

struct Heartbeat {
    static constexpr char const* kType = "heartbeat";
    std::uint64_t sequence = 0;
    std::uint64_t incarnation = 0;  // drawn at each start of the agent
    std::uint64_t revision = 0;     // newest record this node knows
    Epoch floor;                    // it will not help an older epoch
    Epoch leads;                    // the epoch in which it is leader with a lease; 0 otherwise
    State state = State::fresh;
    bool running = false;  // PostgreSQL accepts connections
    bool in_recovery = true;
    bool streaming = false;  // its WAL receiver is connected
    Timeline timeline;
    Lsn flush;  // WAL on disk: max(received, replayed) on a standby
    Lsn replay;
    Duration leader_silence{-1};  // since it last heard the leader of its newest record; -1: never
    Duration replay_delay{-1};    // age of the last replayed commit; -1: unknown
    Disk disk = Disk::sound;
    std::string problem;  // what keeps it from working, for people; empty when fine
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (),
                      (sequence, incarnation, revision, floor, leads, state, running, in_recovery, streaming, timeline,
                       flush, replay, leader_silence, replay_delay, disk, problem))

// Leader to voters, every heartbeat: extend my lease.
struct Renew {
    static constexpr char const* kType = "renew";
    Epoch epoch;
    Duration sent{};   // the leader's own clock, echoed
    Duration lease{};  // for how long the promise is asked, echoed
};
BOOST_DESCRIBE_STRUCT(Renew, (), (epoch, sent, lease))

// Voter to leader: I help no newer epoch until `lease` from now on my clock. Not granted: `floor` says why.
struct Promised {
    static constexpr char const* kType = "promised";
    Epoch epoch;
    Duration sent{};
    Duration lease{};
    bool granted = false;
    Epoch floor;
};
BOOST_DESCRIBE_STRUCT(Promised, (), (epoch, sent, lease, granted, floor))

// Coordinator to everybody: epoch `epoch` was written; fence yourself off the older one and report.
struct Revoke {
    static constexpr char const* kType = "revoke";
    Epoch epoch;
    bool firm = true;  // promises to the old leader must run out first (async, or nobody else holds all commits)
};
BOOST_DESCRIBE_STRUCT(Revoke, (), (epoch, firm))

// A fenced node's answer. `vote`: its promise to the old leader is over. `fenced`: its server takes no WAL from the
// old primary, and timeline and flush are what it has on disk.
struct Grant {
    static constexpr char const* kType = "grant";
    Epoch epoch;
    bool vote = false;
    bool fenced = false;
    bool in_recovery = false;  // up as a standby, so it can be promoted at once
    bool whole = false;        // `flush` is certainly the end of its WAL
    Timeline timeline;
    Lsn fork;  // where `timeline` left its parent; 0 for the first
    Lsn flush;
    Lsn replay;
    Disk disk = Disk::sound;
    bool operator==(Grant const&) const = default;
};
BOOST_DESCRIBE_STRUCT(Grant, (), (epoch, vote, fenced, in_recovery, whole, timeline, fork, flush, replay, disk))

// Leader to everybody: my server is down and every backend is gone; promises to me are void.
struct Release {
    static constexpr char const* kType = "release";
    Epoch epoch;
};
BOOST_DESCRIBE_STRUCT(Release, (), (epoch))

// Coordinator to a fenced candidate: fetch the WAL up to `lsn` from `source`, a fenced standby that has it, and report
// again.
struct CatchUp {
    static constexpr char const* kType = "catch_up";
    Epoch epoch;
    NodeId source;
    Lsn lsn;
};
BOOST_DESCRIBE_STRUCT(CatchUp, (), (epoch, source, lsn))

using Message = std::variant<Heartbeat, Renew, Promised, Revoke, Grant, Release, CatchUp>;

std::string encode(Message const& message);
Result<Message> decode_message(std::string_view text);

}  // namespace keel::cluster
