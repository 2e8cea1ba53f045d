#include "invariants.h"

#include <bit>

#include "cluster/node_table.h"
#include "world.h"

namespace keel::sim {

using cluster::Mode;
using cluster::Record;

namespace {
// What async mode and a leader without standbys may overlap: rates of clocks, and the time of a kill on a machine that
// wakes up behind its deadline. Else a kill is over within the margin of the lease.
constexpr Time kClockBound = 30 * kMs;

std::uint32_t mask_of(World const& world, std::set<NodeId> const& ids) {
    std::uint32_t mask = 0;
    for (auto const& id : ids) {
        if (int const node = world.index(id); node >= 0) mask |= 1U << static_cast<unsigned>(node);
    }
    return mask;
}
std::string text_of(NameMask names) { return fmt::format("ANY {} ({:#b})", names.count, names.mask); }
}  // namespace

// ---- I1: for every setting that a walsender may act on: coverage of the recorded set >= W
// --------------------------------

void Invariants::on_names(int node) {
    auto const record = world_.store->truth();
    if (world_.index(record->leader) == node) check_coverage();
}

void Invariants::check_coverage() {
    auto const record = world_.store->truth();
    int const leader = world_.index(record->leader);
    if (leader < 0) return;
    auto const& pg = world_.host(leader).postgres;
    if (!pg.read_write() || world_.wal[pg.branch].epoch != record->epoch.value) return;
    std::uint32_t const members = mask_of(world_, record->sync.members);
    std::uint32_t const own = members >> static_cast<unsigned>(leader) & 1U;
    auto const require = [&](NameMask names, char const* what) {
        if (names == kNobody) return;
        auto const outside = static_cast<std::uint32_t>(std::popcount(names.mask & ~members));
        std::uint32_t const covered = (names.count > outside ? names.count - outside : 0) + own;
        if (covered >= record->sync.quorum) return;
        world_.fail(
            "I1 C",
            fmt::format("{} at {} while the record says {} of {:#b} (epoch {}): {} certain holders, {} promised",
                        what + (" " + text_of(names)), record->leader.value, record->sync.quorum, members,
                        record->epoch.value, covered, record->sync.quorum));
    };
    if (!pg.sync_defined) require({}, "no waiting (checkpointer's view)");
    if (pg.proc == Proc::primary) require(pg.postmaster_view, "a new walsender's view");
    std::uint32_t candidates = 0;
    for (int x = 0; x < world_.size(); ++x) {
        auto const& sender = pg.senders[x];
        if (sender.connected && sender.view.count > 0)
            candidates |= sender.view.mask & (1U << static_cast<unsigned>(x));
    }
    for (int x = 0; x < world_.size(); ++x) {
        auto const& sender = pg.senders[x];
        if (!sender.connected || sender.view.count == 0) continue;
        require(sender.view, "a walsender's view");
        // Mid-reload it counts every walsender that counts itself.
        if ((sender.view.mask >> x & 1U) != 0)
            require({sender.view.count, candidates}, "a walsender's view over mixed candidates");
    }
}

// ---- I1, second half: what was acknowledged is where the record says
// ------------------------------------------------------

void Invariants::check_holders(char const* moment) {
    auto const record = world_.store->truth();
    for (Position const& commit : guaranteed_) {
        std::uint32_t holders = 0;
        std::string where;
        for (auto const& id : record->sync.members) {
            int const node = world_.index(id);
            if (node < 0) continue;
            auto const& pg = world_.host(node).postgres;
            if (pg.present && !pg.marker && world_.wal.contains(pg.position(), commit)) {
                ++holders;
                where += id.value + " ";
            }
        }
        if (holders >= record->sync.quorum) continue;
        world_.fail(
            "I1 C2",
            fmt::format("{}: commit {:#x} on timeline {} is on {} members of the sync set ({}), the record promises {}",
                        moment, commit.lsn, world_.wal[commit.branch].timeline, holders, where, record->sync.quorum));
        return;
    }
}

void Invariants::guarantee(Position commit) {
    for (auto& known : guaranteed_) {
        if (known.branch == commit.branch) {
            known.lsn = std::max(known.lsn, commit.lsn);
            return;
        }
    }
    // A commit on a branch implies all that were before its fork.
    std::erase_if(guaranteed_, [&](Position const& old) { return world_.wal.contains(commit, old); });
    guaranteed_.push_back(commit);
}

void Invariants::on_directory(int node) {
    (void)node;
    check_holders("a directory was rewound or cloned");
}

// ---- acknowledgements
// ------------------------------------------------------------------------------------------------------

void Invariants::on_acknowledged(int node, Position commit, bool waited) {
    check_one_writer(node, commit, waited);
    auto const record = world_.store->truth();
    bool const reigns = world_.index(record->leader) == node && world_.wal[commit.branch].epoch == record->epoch.value;
    bool const between = record->leader.value.empty() && world_.wal[commit.branch].epoch >= newest_open_;
    if (reigns || between) {
        guarantee(commit);
        if (reigns) check_holders("a commit was acknowledged");
        return;
    }
    check_late_commit(node, commit);
}

// I2: one server per epoch; an older epoch is silent once a newer one opened, or says only what the newer one has.
void Invariants::check_one_writer(int node, Position commit, bool waited) {
    std::uint64_t const epoch = world_.wal[commit.branch].epoch;
    if (auto const who = opened_.find(epoch); who != opened_.end() && who->second != node) {
        world_.fail("I2", fmt::format("n{} and n{} both acknowledge commits in epoch {}", node, who->second, epoch));
        return;
    }
    if (epoch >= newest_open_) return;
    if (world_.wal.contains({newest_open_branch_, UINT64_MAX}, commit)) return;
    // A machine that stood still is killed as soon as it runs again.
    Time const late = world_.scheduler.now() - std::max(newest_open_since_, world_.host(node).resumed_at());
    if (!waited && late <= kClockBound + world_.host(node).blind_total()) {
        ++world_.counts.late_async;
        return;
    }
    world_.fail("I2", fmt::format("n{} acknowledged {:#x} of epoch {} ({} waiting for standbys) {} ms after epoch {} "
                                  "opened, which has it not",
                                  node, commit.lsn, epoch, waited ? "after" : "without", late / kMs, newest_open_));
}

// I4 for an acknowledgement that comes after another leader was chosen.
void Invariants::check_late_commit(int node, Position commit) {
    auto const record = world_.store->truth();
    int const leader = world_.index(record->leader);
    if (leader < 0) return;
    auto const& pg = world_.host(leader).postgres;
    if (world_.wal.contains({pg.branch, pg.written}, commit)) {
        guarantee(commit);
        return;
    }
    auto const reign = reigns_.find(world_.wal[commit.branch].epoch);
    if (reign != reigns_.end() && reign->second == Mode::async) {
        ++world_.counts.lost_async;
        return;
    }
    if (world_.host(node).blind_total() > 0) {
        // A leader that alone holds its commits relies on its clock; a hypervisor's pause is documented as the
        // residual.
        ++world_.counts.lost_async;
        return;
    }
    world_.fail("I4",
                fmt::format("n{} acknowledged {:#x} of epoch {} although {} was chosen for epoch {} without it", node,
                            commit.lsn, world_.wal[commit.branch].epoch, record->leader.value, record->epoch.value));
}

// ---- the record
// --------------------------------------------------------------------------------------------------------------

void Invariants::on_record(int author, Record const& before, Record const& after) {
    if (after.epoch != before.epoch) reigns_[before.epoch.value] = before.sync.mode;
    check_epochs(author, before, after);
    if (after.leader != before.leader || after.epoch != before.epoch)
        check_leader_has_everything(author, before, after);
    if (!(after.sync == before.sync)) check_holders("the sync set was recorded");
    check_coverage();
}

// I4: every acknowledged commit is in the WAL of every later leader.
void Invariants::check_leader_has_everything(int author, Record const& before, Record const& after) {
    int const leader = world_.index(after.leader);
    if (leader < 0) return;
    if (after.leader != before.leader) {
        int const former = before.lineage.empty() ? -1 : world_.index(before.sync.owner);
        if (former != leader) ++world_.counts.failovers;
    }
    auto const& pg = world_.host(leader).postgres;
    bool const may_lose = before.sync.mode == Mode::async || (before.handover && before.handover->accept_data_loss);
    std::erase_if(guaranteed_, [&](Position const& commit) {
        if (world_.wal.contains({pg.branch, pg.written}, commit)) return false;
        if (!may_lose) {
            world_.fail("I4",
                        fmt::format("n{} made {} leader of epoch {}, whose WAL ends at {:#x} of timeline {} and lacks "
                                    "the acknowledged {:#x} of timeline {}",
                                    author, after.leader.value, after.epoch.value, pg.written,
                                    world_.wal[pg.branch].timeline, commit.lsn, world_.wal[commit.branch].timeline));
            return false;
        }
        ++world_.counts.lost_async;
        return true;
    });
}

// I7: epochs go up one by one. I8: the sync set is written under its own epoch, by its leader or coordinator.
void Invariants::check_epochs(int author, Record const& before, Record const& after) {
    if (after.epoch != before.epoch && after.epoch.value != before.epoch.value + 1) {
        world_.fail("I7", fmt::format("the record's epoch went from {} to {}", before.epoch.value, after.epoch.value));
    }
    if (after.epoch == before.epoch && after.leader != before.leader && before.phase == cluster::Phase::stable) {
        world_.fail("I7", fmt::format("epoch {} changed its leader from {} to {}", after.epoch.value,
                                      before.leader.value, after.leader.value));
    }
    if (after.sync == before.sync) return;
    bool const by_right =
        author >= 0 && (world_.index(after.leader) == author || world_.index(after.coordinator) == author);
    if (!by_right) {
        world_.fail(
            "I8",
            fmt::format("the sync set of epoch {} was written by {}, neither its leader {} nor its coordinator {}",
                        after.epoch.value, author, after.leader.value, after.coordinator.value));
    }
}

// ---- promotions, starts, releases, states
// -------------------------------------------------------------------------------------

void Invariants::on_promoted(int node, int branch) {
    auto const& mine = world_.wal[branch];
    for (int other = 0; other < world_.wal.size(); ++other) {
        if (other != branch && world_.wal[other].timeline == mine.timeline) {
            world_.fail("I3",
                        fmt::format("n{} and n{} both made timeline {}", world_.wal[other].node, node, mine.timeline));
        }
    }
    auto const [who, first] = opened_.emplace(mine.epoch, node);
    if (!first) world_.fail("I2", fmt::format("n{} opened epoch {} after n{} did", node, mine.epoch, who->second));
    if (mine.epoch > newest_open_) {
        newest_open_ = mine.epoch;
        newest_open_since_ = world_.scheduler.now();
        newest_open_branch_ = branch;
    }
    check_coverage();
}

void Invariants::on_start(int node) {
    if (world_.host(node).postgres.marker)
        world_.fail("I5", fmt::format("n{} was told to start a directory with a marker", node));
}

void Invariants::on_release(int node) {
    if (world_.host(node).postgres.read_write())
        world_.fail("F2", fmt::format("n{} released its promises while backends live", node));
}

void Invariants::on_state(int node, cluster::State from, cluster::State to) {
    if (!cluster::may_follow(from, to)) {
        world_.fail("I6",
                    fmt::format("n{} went from {} to {}, which the table does not know", node, word(from), word(to)));
    }
}

}  // namespace keel::sim
