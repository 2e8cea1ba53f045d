// What a drill ends with, as data, as text, as JSON and as a page of HTML. Pure.
#pragma once

#include <optional>

#include "cli/drill_plan.h"
#include "cli/load.h"
#include "cli/watch.h"

namespace keel::cli::drill {

// good: nothing acknowledged is missing, and the cluster is whole again. lost: something is. unchecked: the writes
// could not be looked up. not_whole: redundancy did not come back in time. interrupted: somebody ended it.
enum class Verdict { good, lost, unchecked, not_whole, interrupted };
BOOST_DESCRIBE_ENUM(Verdict, good, lost, unchecked, not_whole, interrupted)

// Something at its time after the fault. As a phase, `who` is one of fault, noticed, epoch_taken, promoted,
// writes_again, redundancy_restored; in the story, a node's name or "drill".
struct Step {
    std::int64_t ms = 0;
    std::string who;
    std::string text;
};
BOOST_DESCRIBE_STRUCT(Step, (), (ms, who, text))

// The JSON of a drill is this, field by field; docs/DRILL.md tells users what each means. Fields are added, never
// renamed; `format` changes when one changes its meaning.
struct Report {
    int format = 1;
    std::string cluster, mode, node;  // `node`: where the drill ran
    std::string fault, action;
    std::string leader_before, leader_after;
    std::uint64_t epoch_before = 0, epoch_after = 0;
    std::int64_t fault_unix_ms = 0;
    std::vector<Process> killed;
    Verdict verdict = Verdict::unchecked;
    std::string sentence;  // the verdict in words
    std::vector<Step> phases;
    std::optional<std::int64_t> write_outage_ms, read_outage_ms;  // null: no answer after the fault
    std::uint64_t acknowledged = 0, lost = 0, unknown = 0, unknown_stored = 0, unknown_absent = 0, refused = 0,
                  foreign = 0;
    std::vector<std::int64_t> lost_numbers;  // the first hundred
    bool checked = false;                    // the writes were looked up on the primary
    bool whole = false;
    std::vector<std::string> not_whole;
    bool schema_dropped = false;
    std::vector<Step> story;
    std::vector<std::string> history;  // what the cluster's history says about it, oldest first
};
BOOST_DESCRIBE_STRUCT(Report, (),
                      (format, cluster, mode, node, fault, action, leader_before, leader_after, epoch_before,
                       epoch_after, fault_unix_ms, killed, verdict, sentence, phases, write_outage_ms, read_outage_ms,
                       acknowledged, lost, unknown, unknown_stored, unknown_absent, refused, foreign, lost_numbers,
                       checked, whole, not_whole, schema_dropped, story, history))

// When each step of a change of leadership was first seen, on the clock of this machine.
struct Sightings {
    std::optional<Instant> noticed, epoch_taken, promoted, whole;
};
// Takes in what all agents said last; `before` is the status before the fault. `whole` is taken back when the
// cluster is not whole any more.
void see(Sightings& sightings, std::map<std::string, Heard> const& seen, cluster::ClusterStatus const& before,
         Fault fault);

// What was recorded while it ran.
struct Recorded {
    Instant fault;
    bool interrupted = false;
    Sightings sightings;
    Ledger ledger;
    std::optional<Audit> audit;
    std::vector<Moment> moments;
};
// Fills phases, outages, counts, story, verdict and sentence of a report whose other fields are set.
void conclude(Report& report, Recorded const& recorded);

std::string render_text(Report const& report);
// A whole page, without anything from elsewhere.
std::string render_html(Report const& report);

}  // namespace keel::cli::drill
