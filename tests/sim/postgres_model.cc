#include "postgres_model.h"

#include <algorithm>

#include "world.h"

namespace keel::sim {

namespace {
constexpr Time kLinkTimeout = 5 * kSecond;  // wal_sender_timeout, wal_receiver_timeout
constexpr Time kRetry = 100 * kMs;          // wal_retrieve_retry_interval
constexpr std::uint64_t kEndOfRecoveryRecord = 104;
}  // namespace

// ---- life -----------------------------------------------------------------------------------------------------------

void PostgresModel::begin_start() {
    ++life;
    proc = Proc::starting;
    backends = false;
    settled = received = clean = false;
    postmaster_view = file_names;
    sync_defined = file_names.count > 0;
    released = 0;
    syncing_ = false;
}

void PostgresModel::recover_later(Time span) {
    std::uint64_t const mine = life;
    world_.scheduler.after(span, [this, mine] {
        if (mine != life) return;
        if (paused || stalled)
            recover_later(10 * kMs);
        else
            finish_start();
    });
}

void PostgresModel::finish_start() {
    proc = Proc::recovery;
    flushed = written;  // what recovery read, the start has synced
    // Of a timeline without a byte on disk it knows nothing any more.
    while (world_.wal[branch].parent >= 0 && written <= world_.wal[branch].fork) branch = world_.wal[branch].parent;
    std::uint64_t const mine = life;
    if (replay_delay == 0) {
        settled = true;
    } else {
        world_.scheduler.after(replay_delay, [this, mine] {
            if (mine == life) settled = true;
        });
    }
    if (upstream >= 0) schedule_retry(world_.rng.between(1, 10) * kMs);
}

void PostgresModel::open_read_write(int new_branch) {
    disconnect_receiver();
    upstream = -1;
    branch = new_branch;
    written = world_.wal[new_branch].fork + kEndOfRecoveryRecord;
    flushed = written;
    proc = Proc::primary;
    backends = true;
    settled = true;
    released = 0;
    in_flight_.clear();
    waiting_.clear();
    pump_all();
}

void PostgresModel::postmaster_dies(Time orphans_live) {
    if (proc == Proc::down) return;
    if (!backends || orphans_live <= 0) {
        kill_all();
        return;
    }
    // Walsenders and waiting backends notice at once and exit without an answer; busy backends do not.
    proc = Proc::down;
    waiting_.clear();
    drop_links();
    std::uint64_t const mine = life;
    world_.scheduler.after(orphans_live, [this, mine] {
        if (mine == life && proc == Proc::down) die();
    });
}

void PostgresModel::die() {
    if (!stalled || !running()) return kill_all();
    pause();
    dying = true;
}

void PostgresModel::stall() { stalled = true; }

void PostgresModel::unstall() {
    if (!std::exchange(stalled, false)) return;
    if (dying) return kill_all();
    if (paused) return;
    if (std::uint64_t const lsn = std::exchange(held_disk_, 0); lsn != 0) reach_disk(lsn);
}

void PostgresModel::kill_all() {
    ++life;
    syncing_ = false;
    bool const was_writing = backends;
    proc = Proc::down;
    backends = false;
    settled = false;
    paused = dying = false;
    stuck_since = -1;
    held_arrival_ = 0;
    held_disk_ = 0;
    in_flight_.clear();
    waiting_.clear();
    drop_links();
    if (was_writing && written > flushed) {
        // What was still in WAL buffers is gone; what was written without fsync is in the kernel's cache.
        written = flushed + world_.rng.below(written - flushed + 1);
    }
}

void PostgresModel::power_off() {
    kill_all();
    written = flushed;
}

void PostgresModel::shut_down() {
    if (proc != Proc::primary || shutting_down()) return;
    backends = false;
    in_flight_.clear();
    waiting_.clear();
    written += kEndOfRecoveryRecord;  // the shutdown checkpoint
    flushed = written;
    pump_all();
    end_when_drained();
}

void PostgresModel::end_when_drained() {
    bool const drained =
        std::ranges::all_of(senders, [&](Sender const& s) { return !s.connected || s.flush >= flushed; });
    if (drained && !paused && !stalled) {
        kill_all();
        clean = true;
        return;
    }
    world_.scheduler.after(3 * kMs, [this, mine = life] {
        if (mine == life) end_when_drained();
    });
}

void PostgresModel::pause() {
    if (proc == Proc::down && !backends) return;
    paused = true;
    stuck_since = world_.scheduler.now();
    std::uint64_t const mine = life;
    Time const since = stuck_since;
    world_.scheduler.after(kLinkTimeout + world_.rng.between(0, 500) * kMs, [this, mine, since] {
        if (mine != life || !paused || stuck_since != since) return;
        drop_remote_ends();
    });
}

void PostgresModel::resume() {
    if (!paused || dying) return;
    paused = false;
    stuck_since = -1;
    if (std::uint64_t const lsn = stalled ? 0 : std::exchange(held_disk_, 0); lsn != 0) reach_disk(lsn);
    if (std::uint64_t const lsn = std::exchange(held_arrival_, 0); lsn != 0 && receiver.connected) {
        arrive(receiver.link, held_branch_, lsn);
    }
    for (int from = 0; from < kMaxNodes; ++from) {
        if (std::uint64_t const lsn = std::exchange(held_reply_[from], 0); lsn != 0)
            on_reply(from, senders[from].link, lsn);
    }
    if (!receiver.connected && upstream >= 0 && up()) schedule_retry(1 * kMs);
    pump_all();
}

// ---- links ----------------------------------------------------------------------------------------------------------

PostgresModel& PostgresModel::other(int node) { return world_.host(node).postgres; }

void PostgresModel::disconnect_sender(int to) {
    Sender& sender = senders[to];
    if (!sender.connected) return;
    sender.connected = false;
    sender.flush = 0;
    held_reply_[to] = 0;
    world_.names_changed(self_);
    // The other end sees the socket close, or its time-out.
    std::uint64_t const link = sender.link;
    bool const open = world_.network.open(Traffic::wal, self_, to) && world_.host(self_).powered();
    world_.scheduler.after(open ? world_.network.stream_delay() : kLinkTimeout, [this, to, link] {
        auto& peer = other(to);
        if (peer.receiver.connected && peer.receiver.link == link) peer.disconnect_receiver();
    });
}

void PostgresModel::disconnect_receiver() {
    if (!receiver.connected) return;
    receiver.connected = false;
    held_arrival_ = 0;
    int const source = receiver.source;
    std::uint64_t const link = receiver.link;
    bool const open = world_.network.open(Traffic::wal, self_, source) && world_.host(self_).powered();
    world_.scheduler.after(open ? world_.network.stream_delay() : kLinkTimeout, [this, source, link] {
        auto& peer = other(source);
        if (peer.senders[self_].connected && peer.senders[self_].link == link) peer.disconnect_sender(self_);
    });
    if (up() && upstream >= 0) schedule_retry(kRetry);
}

void PostgresModel::drop_links() {
    disconnect_receiver();
    for (int to = 0; to < kMaxNodes; ++to) disconnect_sender(to);
}

// A stopped process keeps its sockets; the others give up on it.
void PostgresModel::drop_remote_ends() {
    if (receiver.connected) {
        auto& source = other(receiver.source);
        if (source.senders[self_].link == receiver.link) source.disconnect_sender(self_);
    }
    for (int to = 0; to < kMaxNodes; ++to) {
        if (senders[to].connected && other(to).receiver.link == senders[to].link) other(to).disconnect_receiver();
    }
}

void PostgresModel::follow(int source) {
    if (upstream == source && receiver.connected) return;
    upstream = source;
    if (receiver.connected && receiver.source != source) disconnect_receiver();
    if (source >= 0 && up()) schedule_retry(world_.rng.between(1, 5) * kMs);
}

void PostgresModel::cut_receiver() {
    upstream = -1;
    disconnect_receiver();
    if (up() && !backends) flushed = written;  // the receiver flushes what it wrote before it exits
}

void PostgresModel::schedule_retry(Time delay) {
    if (retrying_) return;
    retrying_ = true;
    world_.scheduler.after(delay, [this] {
        retrying_ = false;
        try_connect();
    });
}

void PostgresModel::try_connect() {
    if (proc != Proc::recovery || upstream < 0 || paused || receiver.connected) return;
    auto& source = other(upstream);
    bool const reachable =
        world_.network.open(Traffic::wal, self_, upstream) && world_.network.open(Traffic::wal, upstream, self_);
    // One slot, one walsender: a half-open predecessor has to go first.
    bool const free = source.up() && !source.paused && !source.senders[self_].connected;
    if (!reachable || !free || !world_.wal.contains(source.position(), {branch, written})) {
        schedule_retry(kRetry);
        return;
    }
    std::uint64_t const link = world_.next_link();
    receiver = {true, upstream, link};
    Sender& sender = source.senders[self_];
    sender = {};
    sender.connected = true;
    sender.link = link;
    sender.sent = written;
    sender.view = source.postmaster_view;
    world_.names_changed(upstream);
    send_reply();
    source.pump(self_);
}

void PostgresModel::link_cut(int node) {
    auto const give_up = [this, node](std::uint64_t link, bool sending) {
        world_.scheduler.after(kLinkTimeout + world_.rng.between(0, 500) * kMs, [this, node, link, sending] {
            bool const open =
                world_.network.open(Traffic::wal, self_, node) && world_.network.open(Traffic::wal, node, self_);
            if (open) return;
            if (sending && senders[node].connected && senders[node].link == link) disconnect_sender(node);
            if (!sending && receiver.connected && receiver.link == link) disconnect_receiver();
        });
    };
    if (senders[node].connected) give_up(senders[node].link, true);
    if (receiver.connected && receiver.source == node) give_up(receiver.link, false);
}

void PostgresModel::link_healed(int node) {
    if (senders[node].connected) pump(node);
    if (receiver.connected && receiver.source == node) send_reply();
}

// ---- commits and settings
// -----------------------------------------------------------------------------------------------

void PostgresModel::write_commit() {
    if (!backends || paused) return;
    written += 64 + world_.rng.below(256);
    in_flight_.push_back(written);
    to_disk();
}

Time PostgresModel::fsync_time() {
    Time const base = world_.rng.between(100, 900);
    return static_cast<Time>(static_cast<double>(base) * fsync_factor);
}

void PostgresModel::set_sync_defined(bool defined) {
    if (defined == sync_defined) return;
    sync_defined = defined;
    world_.names_changed(self_);
    if (!defined) {
        // The checkpointer wakes everybody who waits.
        while (!waiting_.empty()) {
            std::uint64_t const commit = waiting_.front();
            waiting_.pop_front();
            world_.acknowledged(self_, {branch, commit}, false);
        }
    }
}

Time PostgresModel::reload_delay() {
    Rng& rng = world_.rng;
    if (rng.chance(0.05)) return rng.between(50, 800) * kMs;
    return rng.between(0, 8) * kMs;
}

// Each process reads the file when it gets round to it: it sees what is there by then.
void PostgresModel::reload_names(NameMask names) {
    file_names = names;
    std::uint64_t const mine = life;
    world_.scheduler.after(world_.rng.between(500, 3000), [this, mine] {
        if (mine != life) return;
        postmaster_view = file_names;
        world_.names_changed(self_);
        reload_process(-1, mine);
        for (int to = 0; to < world_.size(); ++to) {
            if (senders[to].connected) reload_process(to, mine);
        }
    });
}

void PostgresModel::reload_process(int sender, std::uint64_t mine) {
    world_.scheduler.after(reload_delay(), [this, sender, mine] {
        if (mine != life) return;
        if (paused) {
            reload_process(sender, mine);
            return;
        }
        if (sender < 0) {
            set_sync_defined(postmaster_view.count > 0);
            return;
        }
        senders[sender].view = postmaster_view;
        world_.names_changed(self_);
        release_by(sender);
    });
}

bool PostgresModel::names_in_force() const {
    if (postmaster_view != file_names || sync_defined != (file_names.count > 0)) return false;
    return std::ranges::all_of(senders, [&](Sender const& s) { return !s.connected || s.view == file_names; });
}

}  // namespace keel::sim
