// The health endpoints, which load balancers set up for Patroni ask. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "cluster/status.h"

namespace keel::web {

struct Health {
    bool good = false;   // 200, else 503
    std::string reason;  // one sentence
};
// Empty when the path is no health endpoint. Names and meanings are Patroni's (its REST API documentation); query: lag
// (a size, or bytes), tag_... is not known.
std::optional<Health> health_of(std::string const& path, std::map<std::string, std::string> const& query,
                                cluster::Sight const& sight);

}  // namespace keel::web
