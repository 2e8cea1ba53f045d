// What pg_controldata says of a data directory whose server need not run.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "postgres/bound.h"
#include "postgres/place.h"

namespace keel::postgres {

struct ControlData {
    std::string system_id;
    std::string state;  // "in production", "shut down", "shut down in recovery", ...
    Lsn checkpoint;
    Lsn redo;
    Timeline checkpoint_timeline;
    Lsn min_recovery_end;
    Timeline min_recovery_timeline;
    std::uint64_t segment_bytes = 0;
    bool checksums = false;

    bool of_primary() const { return state == "in production" || state == "shutting down" || state == "shut down"; }
    bool clean() const { return state == "shut down" || state == "shut down in recovery"; }
    // The newest WAL position that the control file vouches for, and its timeline: a lower bound of what is on disk.
    Lsn known_end() const { return std::max(checkpoint, min_recovery_end); }
    Timeline known_timeline() const { return std::max(checkpoint_timeline, min_recovery_timeline); }
};

// Of the English output. corrupt when a field is missing.
Result<ControlData> parse_control_data(std::string_view text);
Result<ControlData> read_control_data(Place const& place, Bound const& bound);

}  // namespace keel::postgres
