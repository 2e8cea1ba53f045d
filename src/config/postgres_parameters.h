// What pgkeel knows of PostgreSQL's own parameters: those it sets itself, and those that need a restart. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace keel::config {

// Why this parameter is pgkeel's alone; empty when it is the user's. The promises about lost commits and single
// primaries rest on these (docs/PROTOCOL.md, sections 4 and 5).
std::string why_owned(std::string_view parameter);

// PostgreSQL reads it at its start only: context "postmaster" in pg_settings of PostgreSQL 13 to 17.
bool needs_restart(std::string_view parameter);

// What keeps `name = value` from being a user's parameter: an owned or malformed name, a value with a line break, one
// that defeats the promise. The server checks the rest.
Status check_parameter(std::string_view name, std::string_view value);

std::vector<std::string> restart_parameters();

}  // namespace keel::config
