// What a session asks of the split by settings of its own: keel.route, keel.causal_reads, keel.monotonic_reads,
// keel.min_lsn.
#pragma once

#include <string>

#include "proxy/settings.h"
#include "proxy/token.h"

namespace keel::proxy {

enum class Route { auto_, primary, replica };

struct Wishes {
    Route route = Route::auto_;
    Causal causal = Causal::session;
    bool monotonic = false;     // reads never see less than earlier ones
    Token min_lsn;              // reads see at least this
    bool serializable = false;  // by default: no standby can
    // What was not understood, and what is taken in its place; empty when all was.
    std::string complaint;
};
// `standard`: what counts where the session says nothing.
Wishes wishes_of(SettingsMap const& settings, Causal standard, bool monotonic = false);

}  // namespace keel::proxy
