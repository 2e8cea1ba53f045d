#include "web/metrics.h"

#include <algorithm>

#include "web/metrics_text.h"

namespace keel::web {

namespace {

using cluster::Server;
using cluster::Sight;
void write_node(Text& out, Sight const& sight) {
    bool const leads =
        sight.record && sight.record->leader == sight.self && sight.opinion.lease_deadline > sight.clock.now;
    out.gauge("pgkeel_leader", "1 on the node that leads with the lease.", flag(leads));
    out.family("pgkeel_state", "gauge", "1 for the state that this node is in, 0 for the others.");
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<cluster::State>>(
        [&](auto state) { out.sample(flag(state.value == sight.opinion.state), {{"state", state.name}}); });
    out.gauge("pgkeel_floor_epoch", "Epoch below which this node helps nobody.", sight.opinion.floor.value);
    out.gauge("pgkeel_blocked", "1 when nobody can be promoted without losing commits.", flag(sight.opinion.blocked));
    out.gauge("pgkeel_fence_degraded", "1 while the PostgreSQL extension is not loaded.",
              flag(!sight.fence.starts_with("full") && !sight.fence.starts_with("none")));
    if (!sight.guardian.empty())
        out.gauge("pgkeel_guardian_on_duty", "1 while the guardian would kill PostgreSQL if the agent hung.",
                  flag(sight.guardian.starts_with("on duty")));
    out.gauge("pgkeel_store_up", "1 while the store of the record answers.", flag(sight.store_trouble.empty()));
    double const left = leads ? to_seconds(sight.opinion.lease_deadline - sight.clock.now) : 0;
    out.gauge("pgkeel_lease_remaining_seconds", "What is left of the lease; 0 without one.", left);
}

void write_postgres(Text& out, Sight const& sight) {
    auto const& seen = sight.seen;
    bool const up = seen.server == Server::primary || seen.server == Server::recovery;
    out.gauge("pgkeel_postgres_up", "1 while PostgreSQL accepts connections.", flag(up));
    out.gauge("pgkeel_postgres_in_recovery", "1 while it is a standby.", flag(seen.server == Server::recovery));
    out.gauge("pgkeel_postgres_streaming", "1 while its WAL receiver is connected.", flag(seen.streaming));
    out.gauge("pgkeel_postgres_timeline", "Timeline of the last WAL on disk.", seen.timeline.value);
    out.gauge("pgkeel_postgres_flush_lsn_bytes", "End of the WAL on disk.", seen.flush.value);
    out.gauge("pgkeel_postgres_replay_lsn_bytes", "End of the WAL replayed.", seen.replay.value);
    out.gauge("pgkeel_postgres_pending_restart", "Parameters that wait for a restart.", sight.pending_restart.size());
    if (seen.replay_delay >= Duration{})
        out.gauge("pgkeel_postgres_replay_delay_seconds", "Age of the last replayed commit.",
                  to_seconds(seen.replay_delay));
}

void write_record(Text& out, Sight const& sight) {
    if (!sight.record) return;
    auto const& record = *sight.record;
    out.gauge("pgkeel_epoch", "Number of the present reign.", record.epoch.value);
    out.gauge("pgkeel_revision", "Revision of the cluster's record that this node knows.", record.revision);
    out.gauge("pgkeel_paused", "1 while automatic elections are off.", flag(record.paused));
    out.gauge("pgkeel_members", "Members of the cluster.", record.members.size());
    out.gauge("pgkeel_voters", "Members that vote.", record.voters.size());
    std::size_t const in_set = record.sync.members.size() - record.sync.members.count(record.sync.owner);
    out.gauge("pgkeel_sync_set_size", "Standbys that may acknowledge commits.", in_set);
    out.gauge("pgkeel_sync_quorum", "How many of them must have a commit.", in_set == 0 ? 0U : record.sync.quorum);
    out.family("pgkeel_mode", "gauge", "1 for the mode in force.");
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<cluster::Mode>>(
        [&](auto mode) { out.sample(flag(mode.value == record.sync.mode), {{"mode", mode.name}}); });
    out.family("pgkeel_peer_heard_age_seconds", "gauge", "Time since the peer's last heartbeat.");
    for (auto const& [id, peer] : sight.peers) {
        if (record.members.contains(id))
            out.sample(to_seconds(sight.clock.now - peer.heard), {{"peer", member_name(sight, id)}});
    }
}

}  // namespace

std::string render_metrics(cluster::Sight const& sight, Counters const& counters, std::string const& version,
                           alert::Listing const* alerts) {
    Text out;
    out.gauge("pgkeel_up", "1: the agent answers.", 1);
    out.family("pgkeel_info", "gauge", "Who this is.");
    out.sample(
        1,
        {{"version", version}, {"node", sight.name}, {"cluster", sight.record ? sight.record->name : std::string()}});
    write_node(out, sight);
    write_postgres(out, sight);
    write_record(out, sight);
    write_senders(out, sight);
    write_vitals(out, sight);
    write_cluster(out, sight);
    write_backups(out, sight);
    if (alerts != nullptr) write_alerts(out, *alerts);
    out.counter("pgkeel_elections_total", "Epochs that this node saw begin.", counters.elections);
    out.counter("pgkeel_promotions_total", "Promotions of this node.", counters.promotions);
    out.counter("pgkeel_fenced_total", "Times that the fence killed this node's server.", counters.fenced);
    out.counter("pgkeel_record_writes_total", "Writes of the record by this node.", counters.record_writes);
    out.counter("pgkeel_record_conflicts_total", "Writes of the record that somebody else overtook.",
                counters.record_conflicts);
    out.gauge("pgkeel_start_time_seconds", "When the agent started, since 1970.",
              static_cast<double>(counters.started_unix_ms) / 1000);
    if (!counters.failover_seconds.empty()) {
        out.family("pgkeel_failover_phase_seconds", "gauge",
                   "Phases of the last failover that this node took part in.");
        for (auto const& [phase, seconds] : counters.failover_seconds) out.sample(seconds, {{"phase", phase}});
    }
    return out.take();
}

}  // namespace keel::web
