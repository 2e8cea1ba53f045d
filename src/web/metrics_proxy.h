// A proxy's figures as Prometheus text. The proxy's own process makes it, so that the agent only passes it on: a
// thousand pools cost the agent's one thread nothing. Pure.
#pragma once

#include <string>

#include "proxy/figures.h"

namespace keel::web {

std::string render_proxy(proxy::Snapshot const& now);

}  // namespace keel::web
