// What an agent tells of a database, as the relay wants it.
#pragma once

#include "base/result.h"
#include "relay/relay.h"

namespace keel::app {

// The path to ask for. `version`: of what is known already.
std::string catalogue_path(std::string const& database, std::string const& version);
// `allowed`: functions that may run on standbys although they are volatile.
Result<relay::CatalogueNews> parse_catalogue(std::string_view text, std::vector<std::string> const& allowed);

}  // namespace keel::app
