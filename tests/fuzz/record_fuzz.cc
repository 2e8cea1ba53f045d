// The replicated record: from disk, from peers, from etcd.
#include "cluster/record.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    cluster::Record record;
    record.cluster_id = "c0ffee";
    record.name = "shop";
    record.epoch = Epoch{7};
    record.leader = NodeId{"a"};
    auto& member = record.members[NodeId{"a"}];
    member.name = "a";
    member.peer = "127.0.0.1:7432";
    member.tags.domain = "rack1";
    record.voters = {NodeId{"a"}, NodeId{"b"}};
    record.sync = {cluster::Mode::quorum, {NodeId{"b"}}, 1, NodeId{"a"}};
    record.lineage = {{Timeline{1}, Timeline{0}, Lsn{0}, Epoch{1}, NodeId{"a"}, cluster::Fate::live},
                      {Timeline{2}, Timeline{1}, Lsn{0x3000148}, Epoch{7}, NodeId{"b"}, cluster::Fate::planned}};
    record.handover.emplace().target = NodeId{"b"};
    record.settings.postgres["work_mem"] = "8MB";
    cluster::note(record, NodeId{"a"}, 1700000000000, "leader", "first");
    return {cluster::encode(cluster::Record{}), cluster::encode(record)};
}

// What was read is written back, and reads the same again; the lineage arithmetic bears whatever it says.
void eat(std::string_view bytes) {
    auto const record = cluster::decode_record(bytes);
    if (!record) return;
    auto const text = cluster::encode(*record);
    auto const again = cluster::decode_record(text);
    must(again.has_value() && cluster::encode(*again) == text);
    for (auto const& branch : record->lineage) {
        (void)cluster::is_ancestor(record->lineage, branch.timeline, branch.fork);
        (void)cluster::epoch_of(record->lineage, branch.timeline);
    }
    (void)cluster::live_path(record->lineage);
    (void)cluster::newest_timeline(record->lineage);
}

}  // namespace keel::fuzz
