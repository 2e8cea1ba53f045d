// The model's streaming replication: WAL on its way, to disk, and back as an acknowledgement.
#include <algorithm>

#include "postgres_model.h"
#include "world.h"

namespace keel::sim {

void PostgresModel::pump(int to) {
    Sender& sender = senders[to];
    if (!sender.connected || !up() || paused || flushed <= sender.sent) return;
    if (!world_.network.open(Traffic::wal, self_, to)) return;  // retransmitted when the link heals
    sender.sent = flushed;
    sender.last_arrival = std::max(sender.last_arrival, world_.scheduler.now() + world_.network.stream_delay());
    int const from_branch = branch;
    std::uint64_t const lsn = flushed;
    std::uint64_t const link = sender.link;
    world_.scheduler.at(sender.last_arrival,
                        [this, to, link, from_branch, lsn] { other(to).arrive(link, from_branch, lsn); });
}

void PostgresModel::pump_all() {
    for (int to = 0; to < world_.size(); ++to) pump(to);
}

void PostgresModel::arrive(std::uint64_t link, int from_branch, std::uint64_t lsn) {
    if (!receiver.connected || receiver.link != link || proc != Proc::recovery) return;
    if (paused) {
        held_arrival_ = std::max(held_arrival_, lsn);
        held_branch_ = from_branch;
        return;
    }
    if (lsn <= written) return;
    branch = from_branch;
    written = lsn;
    received = true;
    to_disk();
}

// Group commit: one fsync at a time, which takes along all that was written when it began.
void PostgresModel::to_disk() {
    if (syncing_ || written <= flushed) return;
    syncing_ = true;
    std::uint64_t const mine = life;
    std::uint64_t const lsn = written;
    world_.scheduler.after(fsync_time(), [this, mine, lsn] {
        if (mine != life) return;
        syncing_ = false;
        reach_disk(lsn);
        to_disk();
    });
}

void PostgresModel::reach_disk(std::uint64_t lsn) {
    if (paused || stalled) {
        held_disk_ = std::max(held_disk_, lsn);
        return;
    }
    flushed = std::max(flushed, std::min(lsn, written));
    if (!backends) {
        send_reply();
        pump_all();
        return;
    }
    pump_all();
    while (!in_flight_.empty() && in_flight_.front() <= flushed) {
        std::uint64_t const commit = in_flight_.front();
        in_flight_.pop_front();
        if (!sync_defined || commit <= released)
            world_.acknowledged(self_, {branch, commit}, sync_defined);
        else
            waiting_.push_back(commit);
    }
}

void PostgresModel::send_reply() {
    if (!receiver.connected) return;
    int const source = receiver.source;
    if (!world_.network.open(Traffic::wal, self_, source)) return;
    std::uint64_t const link = receiver.link;
    std::uint64_t const lsn = flushed;
    world_.scheduler.after(world_.network.stream_delay(),
                           [this, source, link, lsn] { other(source).on_reply(self_, link, lsn); });
}

void PostgresModel::on_reply(int from, std::uint64_t link, std::uint64_t lsn) {
    Sender& sender = senders[from];
    if (!sender.connected || sender.link != link) return;
    if (paused) {
        held_reply_[from] = std::max(held_reply_[from], lsn);
        return;
    }
    sender.flush = std::max(sender.flush, lsn);
    release_by(from);
}

// SyncRepReleaseWaiters: a walsender counts every walsender that, in its own view of the names, is a synchronous
// standby.
void PostgresModel::release_by(int from) {
    NameMask const& view = senders[from].view;
    if (view.count == 0 || (view.mask >> from & 1U) == 0 || !backends) return;
    std::uint64_t flush[kMaxNodes];
    std::uint32_t found = 0;
    for (int x = 0; x < world_.size(); ++x) {
        Sender const& sender = senders[x];
        if (sender.connected && sender.flush != 0 && sender.view.count > 0 && (sender.view.mask >> x & 1U) != 0) {
            flush[found++] = sender.flush;
        }
    }
    if (found < view.count) return;
    std::sort(flush, flush + found, std::greater<>{});
    release_up_to(flush[view.count - 1]);
}

void PostgresModel::release_up_to(std::uint64_t lsn) {
    released = std::max(released, lsn);
    while (!waiting_.empty() && waiting_.front() <= lsn) {
        std::uint64_t const commit = waiting_.front();
        waiting_.pop_front();
        world_.acknowledged(self_, {branch, commit}, true);
    }
}

}  // namespace keel::sim
