#include "alert/conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "alert/found.h"
#include "cluster/operations.h"

namespace keel::alert {

namespace {

using cluster::ClusterStatus;
using cluster::Sight;

std::string bytes_text(double bytes) { return cluster::bytes_text(static_cast<std::uint64_t>(bytes)); }

void judge_disk(Found& found, Sight const& sight) {
    if (!sight.seen.disk_text.empty()) {
        if (found.settings().rule("disk").on)
            found.push("disk", sight.name, sight.name, Severity::critical,
                       fmt::format("{}: {}", sight.name, sight.seen.disk_text));
        return;
    }
    if (!sight.vitals || sight.vitals->disk_total_bytes == 0) return;
    auto const total = static_cast<double>(sight.vitals->disk_total_bytes);
    auto const free = static_cast<double>(sight.vitals->disk_free_bytes);
    double const used = 100.0 * (1.0 - free / total);
    found.measure(
        "disk", used, sight.name, sight.name,
        fmt::format("the disk of {}'s WAL is {:.0f} % full, {} are left", sight.name, used, bytes_text(free)));
}

void judge_vitals(Found& found, Sight const& sight) {
    if (!sight.vitals) return;
    auto const& vitals = *sight.vitals;
    auto const& name = sight.name;
    if (vitals.connections_max > 0) {
        double const used = 100.0 * vitals.connections / vitals.connections_max;
        found.measure(
            "connections", used, name, name,
            fmt::format("{} of {} connections of {} are taken", vitals.connections, vitals.connections_max, name));
    }
    for (auto const& slot : vitals.slots)
        found.measure("slot_retains", static_cast<double>(slot.retained_bytes), slot.name, slot.member,
                      fmt::format("slot {}{} on {} keeps {} of WAL{}", slot.name,
                                  slot.member.empty() ? "" : " (" + slot.member + ")", name,
                                  cluster::bytes_text(slot.retained_bytes), slot.active ? "" : "; nobody uses it"));
    // Age and transactions are the same on every copy; the primary can do something about them.
    if (sight.seen.server != cluster::Server::primary) return;
    found.measure("wraparound", static_cast<double>(vitals.transaction_id_age), "", "",
                  fmt::format("the oldest transaction id is {} transactions old; at 2147 million writes stop. Look for "
                              "what keeps VACUUM from freezing: old transactions, prepared ones, slots",
                              vitals.transaction_id_age));
    found.measure("transaction", vitals.longest_transaction_seconds, "", "",
                  fmt::format("a transaction has been open for {}: {}", span_text(vitals.longest_transaction_seconds),
                              vitals.longest_transaction));
    found.measure("prepared", vitals.oldest_prepared_seconds, "", "",
                  fmt::format("prepared transaction {} waits for {} (COMMIT PREPARED or ROLLBACK PREPARED ends it)",
                              vitals.oldest_prepared, span_text(vitals.oldest_prepared_seconds)));
}

void judge_certificate(Found& found, ClusterStatus const& status) {
    if (!status.certificate_days) return;
    auto const& rule = found.settings().rule("certificate");
    auto const days = static_cast<double>(*status.certificate_days);
    if (!rule.on || days >= rule.limit) return;
    found.push("certificate", status.told_by, status.told_by, days < rule.critical ? Severity::critical : rule.severity,
               fmt::format("the certificate of {} is good for {} more days and has not renewed itself: pgkeel doctor",
                           status.told_by, *status.certificate_days));
}

void judge_members(Found& found, ClusterStatus const& status) {
    for (auto const& member : status.members) {
        if (member.leaving || member.name == status.told_by) continue;
        bool const silent = !member.known || member.problem.starts_with("silent");
        if (silent)
            found.add("member_down", member.name, member.name, fmt::format("{}: {}", member.name, member.problem));
        else if (!member.healthy && member.kind == cluster::Kind::data)
            found.add("server", member.name, member.name,
                      fmt::format("{}: {}", member.name,
                                  member.problem.empty()
                                      ? std::string("is ") + boost::describe::enum_to_string(member.state, "?")
                                      : member.problem));
    }
}

void judge_lag(Found& found, ClusterStatus const& status) {
    for (auto const& member : status.members) {
        if (member.kind == cluster::Kind::witness || member.name == status.leader || member.leaving) continue;
        auto const late = static_cast<double>(member.tags.delayed_s);
        if (member.lag_bytes)
            found.measure("lag_bytes", static_cast<double>(*member.lag_bytes), member.name, member.name,
                          fmt::format("{} lacks {} of WAL", member.name, cluster::bytes_text(*member.lag_bytes)));
        if (member.lag_seconds)
            found.measure("lag_seconds", *member.lag_seconds - late, member.name, member.name,
                          fmt::format("{} replays {} late", member.name, span_text(*member.lag_seconds)));
    }
}

bool asked_for(cluster::Record const& record, std::uint64_t epoch, std::int64_t planned_for_ms, std::string& why) {
    bool asked = false;    // for a switchover
    bool stopped = false;  // or somebody made it happen at once
    for (auto const& event : record.history) {
        if (event.kind == "leader" && event.epoch.value < epoch) asked = stopped = false;
        if (event.kind == "switchover") asked = event.text.find("taken back") == std::string::npos;
        if (event.kind == "handover") asked = false;  // refused
        if (event.kind == "failover" || event.kind == "stop") stopped = true;
        if (event.epoch.value != epoch) continue;
        if (event.kind == "revoke") why = event.text;
        // What was planned for later was not the reason.
        if (event.kind == "leader" && planned_for_ms > event.unix_ms) asked = false;
    }
    return asked || stopped;
}

}  // namespace

std::vector<Condition> local_conditions(Sight const& sight, Settings const& settings) {
    Found found(settings);
    judge_disk(found, sight);
    judge_vitals(found, sight);
    judge_certificate(found, cluster::status_of(sight));
    bool const runs = sight.seen.server == cluster::Server::primary || sight.seen.server == cluster::Server::recovery;
    if (runs && sight.fence.starts_with("degraded"))
        found.add("fence", sight.name, sight.name, fmt::format("{}: {}", sight.name, sight.fence));
    if (!sight.guardian.empty() && !sight.guardian.starts_with("on duty"))
        found.add("guardian", sight.name, sight.name, fmt::format("{}: {}", sight.name, sight.guardian));
    return found.take();
}

std::vector<Condition> cluster_conditions(Sight const& sight, ClusterStatus const& status, Settings const& settings) {
    Found found(settings);
    if (!status.member) return {};
    if (!status.leader_alive) found.add("no_primary", "", "", status.verdict);
    bool const minority = status.voters_alive < cluster::majority(status.voters);
    if (minority)
        found.add(
            "consensus", "", "",
            fmt::format("{} of {} voters answer {}: no majority", status.voters_alive, status.voters, sight.name));
    else if (!status.store_trouble.empty())
        found.add("consensus", "", "", "the store of the record does not answer: " + status.store_trouble);
    if (status.leader_alive && status.mode != cluster::Mode::async) {
        bool const alone = status.sync.members == std::set{status.sync.owner};
        if (alone || status.sync.quorum < status.quorum)
            found.add("redundancy", "", "",
                      fmt::format("commits wait for {} of the {} standbys asked for", alone ? 0 : status.sync.quorum,
                                  status.quorum));
    }
    judge_members(found, status);
    if (status.leader_alive) judge_lag(found, status);
    judge_backups(found, sight, status);
    if (status.paused) found.add("paused", "", "", "the cluster is paused: failures are not handled (pgkeel resume)");
    return found.take();
}

std::vector<Condition> clock_conditions(std::string const& self, std::map<std::string, double> const& ahead,
                                        Settings const& settings) {
    Found found(settings);
    auto all = ahead;
    all[self] = 0;
    std::vector<double> sorted;
    for (auto const& [name, seconds] : all) sorted.push_back(seconds);
    std::ranges::sort(sorted);
    // What most say; of two halves, or two nodes, the one that is nearer to this clock.
    auto const low = sorted[(sorted.size() - 1) / 2], high = sorted[sorted.size() / 2];
    auto const right = std::abs(low) <= std::abs(high) ? low : high;
    for (auto const& [name, seconds] : all) {
        auto const off = seconds - right;
        found.measure("clock", std::abs(off), name, name,
                      fmt::format("the clock of {} is {} {} {}: history, schedules and certificates go by it (look "
                                  "for its time service: chronyd, systemd-timesyncd)",
                                  name, span_text(std::abs(off)), off > 0 ? "ahead of" : "behind",
                                  all.size() > 2 || name == self ? std::string("the others") : "that of " + self));
    }
    return found.take();
}

bool speaks(Sight const& sight, ClusterStatus const& status) {
    if (!status.member || !sight.record) return false;
    if (status.leader_alive) return sight.record->leader == sight.self;
    auto const view = cluster::view_of(sight, *sight.record);
    for (auto const& [id, member] : sight.record->members) {
        if (member.kind == cluster::Kind::data && view.alive.contains(id)) return id == sight.self;
    }
    return false;
}

std::set<std::string> silent_members(ClusterStatus const& status) {
    std::set<std::string> out;
    for (auto const& member : status.members)
        if (!member.known || member.problem.starts_with("silent")) out.insert(member.name);
    return out;
}

Reign reign_of(Sight const& sight, ClusterStatus const& status, std::int64_t planned_for_ms) {
    Reign out;
    if (!sight.record || !status.leader_alive || sight.record->phase != cluster::Phase::stable) return out;
    out.epoch = sight.record->epoch.value;
    out.leader = status.leader;
    out.whole = status.health == "ok";
    out.asked_for = asked_for(*sight.record, out.epoch, planned_for_ms, out.why);
    return out;
}

}  // namespace keel::alert
