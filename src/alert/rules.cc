#include "alert/rules.h"

#include <algorithm>
#include <array>

namespace keel::alert {

namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 9> kLocal{
    "slot_retains", "disk", "connections", "wraparound", "transaction", "prepared", "certificate", "fence", "guardian"};

// While `by` is in force; of the same node only, where it says so.
struct Inhibition {
    std::string_view by, what;
    bool same_node = false;
};
constexpr std::array kInhibitions{
    Inhibition{"consensus", "no_primary"},
    Inhibition{"consensus", "redundancy"},
    Inhibition{"consensus", "member_down"},
    Inhibition{"no_primary", "redundancy"},
    Inhibition{"no_primary", "lag_bytes"},
    Inhibition{"no_primary", "lag_seconds"},
    // The message of the failover says who is gone, and its recovery that he is back.
    Inhibition{"failover", "member_down", true},
    Inhibition{"failover", "server", true},
    Inhibition{"member_down", "lag_bytes", true},
    Inhibition{"member_down", "lag_seconds", true},
    Inhibition{"member_down", "slot_retains", true},
    Inhibition{"member_down", "server", true},
    Inhibition{"member_down", "guardian", true},
    Inhibition{"member_down", "fence", true},
    Inhibition{"member_down", "clock", true},
    Inhibition{"server", "lag_bytes", true},
    Inhibition{"server", "lag_seconds", true},
    Inhibition{"lag_bytes", "lag_seconds", true},
};

}  // namespace

std::vector<Rule> const& standard_rules() {
    constexpr double kMega = 1024.0 * 1024.0;
    constexpr double kGiga = 1024.0 * kMega;
    static std::vector<Rule> const all = {
        {"no_primary", true, Severity::critical, 10s, 0, 0, "", "Nobody leads, so nothing can be written."},
        {"failover", true, Severity::critical, 0s, 0, 0, "",
         "Another node has taken over without being asked to; over when the cluster is whole again."},
        {"consensus", true, Severity::critical, 10s, 0, 0, "",
         "No majority of the voters answers: nobody could take over."},
        {"redundancy", true, Severity::warning, 30s, 0, 0, "", "Commits have fewer copies than asked for."},
        {"member_down", true, Severity::warning, 15s, 0, 0, "", "A member does not answer."},
        {"server", true, Severity::warning, 30s, 0, 0, "", "A member answers, but its PostgreSQL does not work."},
        {"lag_bytes", true, Severity::warning, 30s, 100 * kMega, 0, "bytes", "A standby lacks that much WAL."},
        {"lag_seconds", true, Severity::warning, 30s, 30, 0, "seconds", "A standby replays that late."},
        {"slot_retains", true, Severity::warning, 60s, 10 * kGiga, 0, "bytes",
         "A replication slot keeps that much WAL from being removed."},
        {"disk", true, Severity::warning, 5s, 85, 95, "percent", "The disk of the WAL fills up, or takes no writes."},
        {"connections", true, Severity::warning, 30s, 80, 90, "percent", "Clients have taken that many connections."},
        {"wraparound", true, Severity::warning, 60s, 1e9, 1.6e9, "transactions",
         "The oldest transaction id is that old; writes stop at 2.1 billion."},
        {"transaction", true, Severity::warning, 10s, 3600, 0, "seconds", "A transaction has been open for so long."},
        {"prepared", true, Severity::warning, 10s, 900, 0, "seconds",
         "A prepared transaction waits for so long that its owner may be gone."},
        {"certificate", true, Severity::warning, 60s, 14, 3, "days",
         "A node's certificate ends that soon and should have been renewed."},
        {"clock", true, Severity::warning, 60s, 10, 300, "seconds", "A node's clock is that far from the others'."},
        {"fence", true, Severity::warning, 60s, 0, 0, "", "A server does not fence itself (the extension is missing)."},
        {"guardian", true, Severity::critical, 15s, 0, 0, "", "A node has no guardian that would kill its server."},
        {"archive", true, Severity::critical, 10s, 300, 0, "seconds", "WAL has not been archived for so long."},
        {"archive_hole", true, Severity::critical, 60s, 0, 0, "",
         "WAL is missing between the newest backup and the archive's end."},
        {"backup_failed", true, Severity::warning, 0s, 0, 0, "",
         "A backup, an expiry or a restore test failed; over when one succeeds."},
        {"backup_overdue", true, Severity::warning, 60s, 21600, 172800, "seconds",
         "A full backup has been due by its schedule for so long."},
        {"restore_proof", true, Severity::warning, 60s, 15, 0, "days",
         "The last restore test that succeeded is that old."},
        {"paused", true, Severity::info, 1800s, 0, 0, "", "The cluster has been paused for so long."},
        {"channels", true, Severity::warning, 60s, 0, 0, "", "A node would deliver alerts elsewhere, or not at all."},
        {"delivery", true, Severity::warning, 60s, 0, 0, "", "A channel does not take what it is given."},
    };
    return all;
}

bool is_local(std::string_view rule) { return std::ranges::find(kLocal, rule) != kLocal.end(); }

bool inhibits(Alert const& by, Alert const& what) {
    if (by.phase != Phase::firing && by.phase != Phase::acknowledged) return false;
    return std::ranges::any_of(kInhibitions, [&](Inhibition const& one) {
        return one.by == by.rule && one.what == what.rule && (!one.same_node || by.node == what.node);
    });
}

}  // namespace keel::alert
