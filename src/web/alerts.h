// The routes of alerts, for the table in actions.cc.
#pragma once

#include "web/api.h"

namespace keel::web {

runtime::Task<Result<std::string>> show_alerts(Desk const& desk, runtime::HttpRequest const& request);
// An alert::Request: acknowledge, silence, end a silence.
runtime::Task<Result<std::string>> change_alerts(Desk const& desk, runtime::HttpRequest const& request);
runtime::Task<Result<std::string>> test_alerts(Desk const& desk, runtime::HttpRequest const& request);

}  // namespace keel::web
