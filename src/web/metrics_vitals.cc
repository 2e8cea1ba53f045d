// Metrics: the standbys' lag, the server's vitals, the cluster, the alerts.
#include <algorithm>

#include "web/metrics_text.h"

namespace keel::web {

namespace {

using cluster::Sender;
using cluster::Server;
using cluster::Sight;

struct Stage {
    char const* name;
    Lsn at;
    Duration lag;  // as the server says; below 0: it does not
};

std::vector<Stage> stages_of(Sender const& sender) {
    return {{"write", sender.write, sender.write_lag},
            {"flush", sender.flush, sender.flush_lag},
            {"replay", sender.replay, sender.replay_lag}};
}

// A stage that has all there is lags by nothing, whatever the server measured when it last had something to do.
std::optional<double> lag_of(Stage const& stage, Lsn end) {
    if (stage.at >= end) return 0.0;
    if (stage.lag < Duration{}) return std::nullopt;
    return to_seconds(stage.lag);
}

template <class Value>
void slot_family(Text& out, cluster::Vitals const& vitals, char const* name, char const* help, Value value) {
    out.family(name, "gauge", help);
    for (auto const& slot : vitals.slots) out.sample(value(slot), {{"slot_name", slot.name}, {"slot_type", slot.type}});
}

// postgres_exporter renamed pg_replication_slot_* to pg_replication_slots_*: dashboards of both kinds find theirs.
void write_slots(Text& out, cluster::Vitals const& vitals, Lsn end) {
    auto const active = [](cluster::SlotVitals const& slot) { return flag(slot.active); };
    auto const position = [end](cluster::SlotVitals const&) { return end.value; };
    slot_family(out, vitals, "pg_replication_slots_slot_is_active", "1 while somebody uses the slot.", active);
    slot_family(out, vitals, "pg_replication_slot_slot_is_active",
                "1 while somebody uses the slot (name up to postgres_exporter 0.19).", active);
    slot_family(out, vitals, "pg_replication_slots_slot_current_wal_lsn", "End of this server's WAL.", position);
    slot_family(out, vitals, "pg_replication_slot_slot_current_wal_lsn",
                "End of this server's WAL (name up to postgres_exporter 0.19).", position);
    out.family("pg_replication_slots_active", "gauge", "1 while somebody uses the slot.");
    for (auto const& slot : vitals.slots) out.sample(flag(slot.active), {{"slot_name", slot.name}, {"database", ""}});
    out.family("pg_replication_slots_pg_wal_lsn_diff", "gauge", "WAL that the slot's user has not taken, in bytes.");
    for (auto const& slot : vitals.slots) out.sample(slot.retained_bytes, {{"slot_name", slot.name}, {"database", ""}});
    out.family("pgkeel_slot_retained_bytes", "gauge", "WAL that cannot be removed because of the slot.");
    for (auto const& slot : vitals.slots)
        out.sample(slot.retained_bytes, {{"slot", slot.name}, {"member", slot.member}});
}

}  // namespace

std::string member_name(Sight const& sight, NodeId const& id) {
    auto const found = sight.record->members.find(id);
    return found == sight.record->members.end() ? id.value : found->second.name;
}

void write_senders(Text& out, Sight const& sight) {
    if (sight.seen.server != Server::primary || sight.seen.senders.empty() || !sight.record) return;
    auto const& senders = sight.seen.senders;
    Lsn const end = sight.seen.flush;
    auto const each = [&](auto use) {
        for (auto const& sender : senders) use(sender, member_name(sight, sender.node));
    };
    auto const behind = [&](Lsn at) { return end > at ? end.value - at.value : std::uint64_t{0}; };
    out.family("pgkeel_standby_streaming", "gauge", "1 while the standby streams.");
    each([&](auto const& s, auto const& name) { out.sample(flag(s.streaming), {{"standby", name}}); });
    out.family("pgkeel_standby_caught_up", "gauge", "1 while the standby has replayed all that there is.");
    each([&](auto const& s, auto const& name) { out.sample(flag(s.replay >= end), {{"standby", name}}); });
    out.family("pgkeel_standby_lag_bytes", "gauge", "WAL that the standby lacks, by stage.");
    each([&](auto const& s, auto const& name) {
        out.sample(behind(s.sent), {{"standby", name}, {"stage", "sent"}});
        for (auto const& stage : stages_of(s)) out.sample(behind(stage.at), {{"standby", name}, {"stage", stage.name}});
    });
    out.family("pgkeel_standby_lag_seconds", "gauge",
               "Time by which the standby is behind, by stage; 0: it has all. No sample: it is behind, and the server "
               "has not measured by how much.");
    each([&](auto const& s, auto const& name) {
        for (auto const& stage : stages_of(s)) {
            if (auto const lag = lag_of(stage, end)) out.sample(*lag, {{"standby", name}, {"stage", stage.name}});
        }
    });
    out.family("pgkeel_standby_delay_seconds", "gauge",
               "The same, taken apart: network (until the standby has written it), flush, apply.");
    each([&](auto const& s, auto const& name) {
        auto const stages = stages_of(s);
        double before = 0;
        char const* const parts[] = {"network", "flush", "apply"};
        for (std::size_t i = 0; i < stages.size(); ++i) {
            auto const lag = lag_of(stages[i], end);
            if (!lag) return;
            out.sample(std::max(0.0, *lag - before), {{"standby", name}, {"part", parts[i]}});
            before = std::max(before, *lag);
        }
    });
    out.family("pg_stat_replication_pg_wal_lsn_diff", "gauge", "WAL that the standby has not replayed, in bytes.");
    each([&](auto const& s, auto const&) {
        out.sample(behind(s.replay),
                   {{"application_name", s.node.value}, {"state", s.streaming ? "streaming" : "catchup"}});
    });
    out.family("pg_stat_replication_pg_current_wal_lsn_bytes", "gauge", "End of this server's WAL.");
    each([&](auto const& s, auto const&) {
        out.sample(end.value, {{"application_name", s.node.value}, {"state", s.streaming ? "streaming" : "catchup"}});
    });
}

void write_vitals(Text& out, Sight const& sight) {
    auto const& seen = sight.seen;
    bool const up = seen.server == Server::primary || seen.server == Server::recovery;
    out.gauge("pg_up", "1 while PostgreSQL answers.", flag(up));
    if (up) {
        bool const caught_up = seen.server == Server::primary || (seen.streaming && seen.replay == seen.flush);
        out.gauge("pg_replication_is_replica", "1 while the server is a standby.",
                  flag(seen.server == Server::recovery));
        if (caught_up || seen.replay_delay >= Duration{})
            out.gauge("pg_replication_lag_seconds",
                      "Age of the last replayed commit; 0 on a primary and on a standby that has replayed all it has.",
                      caught_up ? 0.0 : to_seconds(seen.replay_delay));
    }
    if (!sight.vitals) return;
    auto const& vitals = *sight.vitals;
    out.gauge("pgkeel_vitals_age_seconds", "How old these are: connections, transactions, slots, disk.",
              static_cast<double>(std::max<std::int64_t>(0, sight.clock.unix_ms - vitals.unix_ms)) / 1000);
    out.gauge("pgkeel_postgres_connections", "Clients' connections.", vitals.connections);
    out.gauge("pgkeel_postgres_connections_max", "How many ordinary clients may have.", vitals.connections_max);
    out.gauge("pgkeel_postgres_transaction_id_age", "Age of the oldest transaction id; writes stop at 2^31.",
              vitals.transaction_id_age);
    out.gauge("pgkeel_postgres_longest_transaction_seconds", "Age of the clients' oldest open transaction; 0: none.",
              vitals.longest_transaction_seconds);
    out.gauge("pgkeel_postgres_prepared_transactions", "Prepared transactions that wait for their end.",
              vitals.prepared);
    out.gauge("pgkeel_postgres_oldest_prepared_seconds", "Age of the oldest of them; 0: none.",
              vitals.oldest_prepared_seconds);
    out.gauge("pgkeel_wal_disk_free_bytes", "Room on the file system of the WAL.", vitals.disk_free_bytes);
    out.gauge("pgkeel_wal_disk_size_bytes", "Its size.", vitals.disk_total_bytes);
    write_slots(out, vitals, seen.flush);
}

void write_cluster(Text& out, Sight const& sight) {
    if (!sight.record) return;
    auto const status = cluster::status_of(sight);
    out.gauge("pgkeel_leader_alive", "1 while a leader reigns, as seen from here.", flag(status.leader_alive));
    out.gauge("pgkeel_voters_alive", "Members that vote and are heard.", status.voters_alive);
    out.gauge("pgkeel_sync_quorum_wanted", "How many standbys must have a commit, by the settings.",
              status.mode == cluster::Mode::async ? 0U : status.quorum);
    out.family("pgkeel_member_healthy", "gauge", "1 while the member answers and does what it should.");
    for (auto const& member : status.members) out.sample(flag(member.healthy), {{"member", member.name}});
    if (sight.certificate_until_unix_ms != 0)
        out.gauge("pgkeel_certificate_remaining_seconds", "For how long this node's certificate is good.",
                  static_cast<double>(sight.certificate_until_unix_ms - sight.clock.unix_ms) / 1000);
}

void write_alerts(Text& out, alert::Listing const& alerts) {
    out.gauge("pgkeel_alert_speaker", "1 on the node that delivers alerts.", flag(alerts.speaker == alerts.told_by));
    out.family("pgkeel_alerts", "gauge", "Alerts in force, by severity and phase.");
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<alert::Severity>>([&](auto severity) {
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<alert::Phase>>([&](auto phase) {
            if (phase.value == alert::Phase::resolved) return;
            auto const count = std::ranges::count_if(alerts.alerts, [&](alert::Alert const& one) {
                return one.severity == severity.value && one.phase == phase.value;
            });
            out.sample(count, {{"severity", severity.name}, {"phase", phase.name}});
        });
    });
    out.family("pgkeel_alert_notices_waiting", "gauge", "Notices that the channel has not taken yet.");
    for (auto const& one : alerts.channels) out.sample(one.waiting, {{"channel", one.name}});
    out.family("pgkeel_alert_channel_failing", "gauge", "1 while the channel does not take what it is given.");
    for (auto const& one : alerts.channels) out.sample(flag(!one.problem.empty()), {{"channel", one.name}});
    out.counter("pgkeel_alert_notices_dropped_total", "Notices of this cluster that were given up.", alerts.dropped);
}

}  // namespace keel::web
