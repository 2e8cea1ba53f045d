// The report of an incident as a page of HTML: what happened to one change of leader, from the cluster's history. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "availability/outages.h"
#include "cluster/status.h"

namespace keel::cli {

struct Incident {
    std::string cluster;
    std::string told_by;
    std::int64_t made_ms = 0;  // the page
    std::uint64_t epoch = 0;
    std::string leader_before, leader_after;
    availability::Outage outage;
    std::string sentence;                       // the whole in one
    std::vector<std::string> losses;            // what the history says was lost; empty: nothing
    std::vector<cluster::HistoryEvent> events;  // from a while before it to a while after
    std::map<NodeId, std::string> names;
};

// `epoch` 0: the last change of leader. not_found: there was none, or not that one.
Result<Incident> find_incident(std::vector<cluster::HistoryEvent> const& events, cluster::ClusterStatus const& status,
                               availability::Ledger const& ledger, std::uint64_t epoch);
// One file that can be mailed and printed, with nothing from elsewhere.
std::string render_html(Incident const& incident);

}  // namespace keel::cli
