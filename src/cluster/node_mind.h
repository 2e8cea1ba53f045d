// The inside of cluster::Node: its state, and the parts of the decision, one file each: fence (node.cc), hear
// (mind_hear.cc), follow (mind_follow.cc), elect (mind_elect.cc), lead (mind_lead.cc, mind_sync.cc). Private to this
// folder.
#pragma once

#include "cluster/election.h"
#include "cluster/lease.h"
#include "cluster/mutation.h"
#include "cluster/node.h"
#include "cluster/sync.h"

namespace keel::cluster {

// A standby this close catches up in the time that a change of the sync set or of the leader takes.
inline constexpr std::uint64_t kNearBytes = 16U << 20U;

struct Node::Mind {
    // ---- who we are, and what is durable
    Identity self;
    Clock clock;
    Mutation mutation = Mutation::none;
    Epoch floor;  // durable: no help for an older epoch

    // ---- what we know
    std::optional<Record> record;
    Instant record_since;  // when this epoch and phase were first seen here
    Observation seen;
    bool known_standby = false;  // the server cannot be a primary, nor become one by itself
    bool may_promote = false;    // this life of the server was, or may have been, told to leave recovery
    Instant first_look;
    Instant outdone_since;  // our disk is in trouble, and another could lead; Instant{}: not so
    bool looked = false;    // `seen` is an observation and not a default
    std::map<NodeId, PeerSight> peers;
    Instant started;
    Instant leader_heard;  // who is responsible for `record`: the leader with its lease, the coordinator in any case
    std::set<Epoch> released;

    // ---- what is under way
    std::optional<Command> busy;
    Instant busy_since;
    std::uint64_t next_command = 1;
    bool swapping = false;
    bool must_refresh = true;
    bool refreshing = false;
    Instant refresh_after;
    Instant refreshed;
    std::vector<Effect> out;
    std::uint64_t sequence = 0;
    Instant heartbeat_sent, renew_sent, revoke_sent;

    // ---- as a voter and fenced node
    Promise promise;
    struct Revoked {
        Epoch epoch;
        NodeId coordinator;
        bool firm = true;
    };
    std::optional<Revoked> revoked;
    std::optional<Grant> grant_sent;
    std::optional<CatchUp> catching_up;
    Instant catching_since;

    // ---- as coordinator
    std::map<NodeId, Grant> grants;
    Lsn last_known_flush;
    Instant catch_up_from, catch_up_sent;  // in this election
    Instant suspected_since;

    // ---- as leader
    Lease lease;
    Instant inherited_deadline;
    std::vector<Names> possible_names;
    std::optional<SyncSet> pending_sync;    // asked for, and the record has not moved on since
    std::optional<std::uint64_t> adopting;  // revision at which this agent found a server to lead on
    std::set<NodeId> voters_to_be;
    Lsn settled_flush;
    bool handing_over = false;     // stepping down on purpose
    std::string handover_failed;   // why; empty while it has not
    std::string promotion_failed;  // why; empty while it has not
    Instant armed;                 // the deadline last told to the guardian
    Instant released_sent;
    struct Progress {
        Lsn flush;
        Instant moved;   // when it last advanced or was level with us
        Instant steady;  // streaming since; Instant{}: it is not
    };
    std::map<NodeId, Progress> progress;
    std::map<NodeId, Instant> sound_since;

    // ---- as follower
    bool needs_rewind = false;
    bool needs_clone = false;
    unsigned copy_attempts = 0;
    unsigned start_attempts = 0;
    Instant not_before;  // back-off after a failed command
    Instant unstreamed_since;
    unsigned fresh_starts = 0;  // since it last streamed
    std::string configured;     // what the server's configuration was last generated from

    // ---- what we say
    State state = State::fresh;
    std::string reason;
    bool blocked = false;

    Mind(Identity identity, Clock start);

    // node.cc
    void on_message(NodeId const& from, Message const& message);
    void on_observation(Observation const& observation);
    void on_command_done(CommandDone const& done);
    void on_record(Record const& newer);
    void advance();
    void raise_floor(Epoch epoch);
    void send(NodeId const& to, Message message);
    void broadcast(Message const& message);
    void command(Verb verb, std::string why, Command filled = {});
    void swap(Record next, std::string kind, std::string text);
    void think(State next, std::string why);
    void gossip();
    void refresh();
    bool fence();
    bool failed_back_off(CommandDone const& done);
    Heartbeat heartbeat() const;

    // facts
    Timing time() const;
    bool fresh_peer(NodeId const& id) const;          // heard within four heartbeats
    bool disk_is(NodeId const& id, Disk disk) const;  // by its own word, as far as that is fresh
    bool is_leader() const;                           // by the newest record, and not revoked since
    Instant deadline() const;                         // of our lease; Instant{}: none
    bool lease_holds() const { return clock.now < deadline(); }
    bool serving() const;  // leads, with lease and confirmed server
    bool server_up() const { return seen.server == Server::recovery || seen.server == Server::primary; }
    bool can_swap() const { return !swapping && !refreshing && !must_refresh; }
    bool may_be_primary() const {
        bool const hidden = server_up() || seen.server == Server::starting;
        return seen.server == Server::primary || (hidden && !known_standby) || (busy && busy->verb == Verb::promote);
    }
    bool idle() const { return !busy && clock.now >= not_before; }
    std::string name_of(NodeId const& id) const;
    NodeId const& me() const { return self.id; }
    Member const* member(NodeId const& id) const;

    // mind_follow.cc
    void on_revoke(NodeId const& from, Revoke const& revoke);
    void follow();
    void stay_fenced();
    bool fetch_missing();
    void answer_revocation();
    Grant make_grant() const;
    bool promise_is_over() const;
    bool copy_if_needed();
    bool ran_by_hand() const;
    void stream_from_leader();
    bool starts_afresh();
    bool disk_takes_a_server();
    NodeId copy_source() const;
    void keep_slots();
    void keep_configuration();

    // mind_elect.cc
    void elect();
    bool awaits_target() const;
    void coordinate();
    NodeId const& responsible() const;  // for the newest record: its leader, or who runs the election
    std::optional<NodeId> also_missing_it() const;
    bool suspects_leader(std::string& why) const;
    bool term_is_stuck(std::string& why) const;
    Duration my_turn() const;
    Prospect outlook() const;
    void take_epoch(std::string why);
    void appoint();

    // mind_lead.cc
    void lead();
    void renew();
    bool nothing_stops_its_server() const;
    void arm();
    void disarm();
    void take_office();
    void confirm();
    void give_up_promotion(std::string why, bool sound = false);
    void reign();
    bool hand_over();
    bool make_way();
    bool another_could_lead() const;
    void recover_leadership();
    bool keep_sync();
    SyncSet wanted_sync();
    Names wanted_names(SyncSet const& wanted) const;
    bool gives_up_its_copy(NodeId const& id) const;
    void watch_progress();
    bool keep_voters();
    bool change_voter(NodeId const& id, bool votes);
    bool adopt();
    std::string describe(SyncSet const& set) const;
    bool keep_members();
};

}  // namespace keel::cluster
