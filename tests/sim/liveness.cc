#include "liveness.h"

#include "world.h"

namespace keel::sim {

using cluster::Mode;

bool Liveness::writes_may_wait() const {
    auto const record = world_.store->truth();
    auto const fit = std::ranges::count_if(record->members, [&](auto const& entry) {
        auto const& [id, member] = entry;
        return id != record->leader && member.kind == cluster::Kind::data && !member.tags.nosync &&
               !member.tags.spare && member.tags.delayed_s == 0;
    });
    return record->sync.mode == Mode::strict && static_cast<std::uint32_t>(fit) < record->settings.quorum;
}

std::string Liveness::missing() const {
    auto const record = world_.store->truth();
    if (record->paused) return "the cluster is still paused";
    int const leader = world_.index(record->leader);
    if (leader < 0 || record->phase != cluster::Phase::stable)
        return fmt::format("no leader: epoch {} is {}", record->epoch.value, word(record->phase));
    if (record->handover) return "a switchover is still wanted";
    auto const& pg = world_.host(leader).postgres;
    if (!pg.read_write() || world_.wal[pg.branch].epoch != record->epoch.value) {
        return fmt::format("the leader {} of epoch {} is not read-write in it", record->leader.value,
                           record->epoch.value);
    }
    for (int node = 0; node < world_.size(); ++node) {
        if (node != leader && world_.host(node).postgres.read_write())
            return fmt::format("{} is read-write too", world_.host(node).id().value);
    }
    if (auto text = missing_standbys(leader); !text.empty()) return text;
    return missing_sync(leader);
}

std::string Liveness::missing_standbys(int leader) const {
    auto const record = world_.store->truth();
    auto const& pg = world_.host(leader).postgres;
    for (auto const& [id, member] : record->members) {
        int const node = world_.index(id);
        if (node == leader || member.kind != cluster::Kind::data) continue;
        auto const& standby = world_.host(node).postgres;
        bool const streams =
            standby.proc == Proc::recovery && standby.receiver.connected && standby.receiver.source == leader;
        if (!streams) return fmt::format("{} does not stream from {}", id.value, record->leader.value);
        if (!world_.wal.contains(pg.position(), standby.position()))
            return fmt::format("{} has WAL that {} has not", id.value, record->leader.value);
    }
    return {};
}

std::string Liveness::missing_sync(int leader) const {
    auto const record = world_.store->truth();
    auto const& sync = record->sync;
    NodeId const& id = record->leader;
    std::set<NodeId> eligible;
    for (auto const& [other, member] : record->members) {
        bool const fit = member.kind == cluster::Kind::data && !member.tags.nosync && !member.tags.spare &&
                         member.tags.delayed_s == 0;
        if (fit && other != id) eligible.insert(other);
    }
    if (sync.mode != record->settings.mode) return "the sync set has another mode than the settings";
    auto const& pg = world_.host(leader).postgres;
    if (sync.mode == Mode::async || eligible.empty()) {
        if (sync.members != std::set<NodeId>{id} && sync.mode == Mode::async)
            return "async, but the sync set is not the leader alone";
        if (sync.mode == Mode::async && pg.file_names.count != 0) return "async, but commits wait";
        return {};
    }
    // Strict with too few standbys: writes wait, by design.
    if (sync.mode == Mode::strict && eligible.size() < record->settings.quorum) return {};
    if (sync.members != eligible) return "the sync set is not all fit standbys";
    auto const quorum = std::min<std::uint32_t>(std::max<std::uint32_t>(record->settings.quorum, 1),
                                                static_cast<std::uint32_t>(eligible.size()));
    if (sync.quorum != quorum) return fmt::format("the sync quorum is {}, not {}", sync.quorum, quorum);
    if (pg.file_names.count < sync.quorum || !pg.names_in_force()) return "the names of the sync set are not in force";
    return {};
}

}  // namespace keel::sim
