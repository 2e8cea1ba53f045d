// The dry run of a switchover, for the table in actions.cc.
#pragma once

#include "web/api.h"

namespace keel::web {

// GET /switchover?to=<member>&at=<milliseconds since 1970>: a cluster::Outlook.
runtime::Task<Result<std::string>> show_outlook(Desk const& desk, runtime::HttpRequest const& request);

}  // namespace keel::web
