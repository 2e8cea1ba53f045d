// A model of one node's PostgreSQL: its log on disk, its processes, streaming replication and synchronous commit, with
// the gaps between them that real servers have (walsenders reload one by one, backends outlive their postmaster, fsync
// stalls).
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "rng.h"
#include "wal.h"

namespace keel::sim {

class World;
inline constexpr int kMaxNodes = 8;

// synchronous_standby_names "ANY count (mask)" over node numbers; count 0 = off.
struct NameMask {
    std::uint32_t count = 0;
    std::uint32_t mask = 0;
    bool operator==(NameMask const&) const = default;
};
inline constexpr NameMask kNobody{1, 0};  // no commit is acknowledged

enum class Proc { down, starting, recovery, primary };

class PostgresModel {
  public:
    PostgresModel(World& world, int self) : world_(world), self_(self) {}

    // ---- disk
    bool present = false;  // a data directory exists
    bool marker = false;   // of an unfinished rewind or clone
    int branch = 0;
    std::uint64_t written = 0;
    std::uint64_t flushed = 0;
    NameMask file_names;  // postgresql.auto.conf
    int upstream = -1;    // primary_conninfo
    std::uint32_t slots = 0;
    Position position() const { return {branch, flushed}; }

    // ---- processes
    Proc proc = Proc::down;
    bool backends = false;   // read-write backends live, perhaps without a postmaster
    bool paused = false;     // SIGSTOP to all
    bool dying = false;      // killed, but it waits for the disk: it does nothing more, and is there
    bool settled = false;    // all local WAL is replayed
    bool received = false;   // WAL came in during this life
    bool clean = true;       // the last stop was a planned one
    Time stuck_since = -1;   // since when a probe gets no answer
    std::uint64_t life = 0;  // of the processes; events of an older life are void
    bool up() const { return proc == Proc::recovery || proc == Proc::primary; }
    bool running() const { return proc != Proc::down || backends; }
    // Could it acknowledge a commit now?
    bool read_write() const { return backends; }
    bool shutting_down() const { return proc == Proc::primary && !backends; }

    struct Sender {
        bool connected = false;
        std::uint64_t link = 0;
        std::uint64_t sent = 0;
        std::uint64_t flush = 0;
        Time last_arrival = 0;
        NameMask view;
    };
    struct Receiver {
        bool connected = false;
        int source = -1;
        std::uint64_t link = 0;
    };
    Sender senders[kMaxNodes];
    Receiver receiver;
    NameMask postmaster_view;
    bool sync_defined = false;  // the checkpointer's view
    std::uint64_t released = 0;

    // ---- what the faults turn
    double fsync_factor = 1.0;
    Time promote_extra = 0;        // a stalled disk while it promotes
    bool receiver_sticks = false;  // a cut takes effect only when the receiver is killed
    Time replay_delay = 0;
    bool stalled = false;  // no write to the disk comes back

    // ---- life
    void begin_start();             // processes exist, no connections yet
    void recover_later(Time span);  // then consistent: accepts connections, in recovery
    void open_read_write(int new_branch);
    void postmaster_dies(Time orphans_live);
    void shut_down();  // planned: clients are gone, walsenders still send; from here on the server goes its way
    void die();        // SIGKILL: gone at once, or as soon as the disk answers
    void kill_all();   // every process is gone
    void stall();
    void unstall();
    void power_off();  // and what was not flushed is lost
    void pause();
    void resume();

    // ---- replication
    void follow(int source);
    void cut_receiver();
    void pump(int to);
    void link_cut(int node);
    void link_healed(int node);

    // ---- commits
    // A client's transaction; acknowledged later, or never.
    void write_commit();
    // Writes the setting's file and tells the postmaster; the processes follow one by one.
    void reload_names(NameMask names);
    // The barrier: nobody can act on an older setting any more.
    bool names_in_force() const;

  private:
    void finish_start();
    void end_when_drained();
    PostgresModel& other(int node);
    void try_connect();
    void schedule_retry(Time delay);
    void disconnect_sender(int to);
    void disconnect_receiver();
    void drop_links();
    void drop_remote_ends();
    void pump_all();
    void arrive(std::uint64_t link, int from_branch, std::uint64_t lsn);
    void to_disk();
    void reach_disk(std::uint64_t lsn);
    void send_reply();
    void on_reply(int from, std::uint64_t link, std::uint64_t lsn);
    void release_by(int from);
    void release_up_to(std::uint64_t lsn);
    void set_sync_defined(bool defined);
    void reload_process(int sender, std::uint64_t mine);
    Time fsync_time();
    Time reload_delay();

    World& world_;
    int self_;
    std::deque<std::uint64_t> in_flight_;  // commits that wait for the local disk
    std::deque<std::uint64_t> waiting_;    // and those that wait for standbys
    bool retrying_ = false;
    bool syncing_ = false;
    // Kept back while the processes are stopped.
    std::uint64_t held_disk_ = 0;
    std::uint64_t held_arrival_ = 0;
    int held_branch_ = -1;
    std::uint64_t held_reply_[kMaxNodes]{};
};

}  // namespace keel::sim
