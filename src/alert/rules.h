// The table of rules, and which alert makes which other one not worth a message.
#pragma once

#include <string_view>

#include "alert/settings.h"

namespace keel::alert {

std::vector<Rule> const& standard_rules();

// True for a rule that each node judges for itself: while the node is silent, what it said last stands.
bool is_local(std::string_view rule);

// `by` is in force: is `what` then no news?
bool inhibits(Alert const& by, Alert const& what);

}  // namespace keel::alert
