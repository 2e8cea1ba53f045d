// The routes of what is kept for a year, for the table in actions.cc.
#pragma once

#include "web/api.h"

namespace keel::web {

// ?from=MS&until=MS&last=N: Unix milliseconds, both ends included; the last N of them, 10,000 at most.
runtime::Task<Result<std::string>> show_events(Desk const& desk, runtime::HttpRequest const& request);
runtime::Task<Result<std::string>> show_rows(Desk const& desk, runtime::HttpRequest const& request);
runtime::Task<Result<std::string>> show_availability(Desk const& desk, runtime::HttpRequest const& request);

}  // namespace keel::web
