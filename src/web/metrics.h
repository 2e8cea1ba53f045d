// The metrics of one agent as Prometheus text (exposition format 0.0.4). Pure.
#pragma once

#include <string>

#include "cluster/status.h"
#include "web/api.h"

namespace keel::web {

// `alerts`: none on a witness.
std::string render_metrics(cluster::Sight const& sight, Counters const& counters, std::string const& version,
                           alert::Listing const* alerts = nullptr);

// What follows it: what clients could not do, from the history.
std::string render_availability(availability::Ledger const& ledger);

}  // namespace keel::web
