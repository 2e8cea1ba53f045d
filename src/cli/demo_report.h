// What the demo ends with: the outage as clients saw it, every acknowledged order looked up, and the story.
#pragma once

#include <optional>
#include <string>

#include "cli/demo_shop.h"
#include "cli/watch.h"

namespace keel::cli::demo {

struct Findings {
    Instant killed;
    std::string victim;
    std::string successor;
    std::size_t processes_killed = 0;
    Ledger ledger;
    ShopAudit audit;
    std::optional<Instant> restarted;
    std::optional<Instant> whole;  // the victim is back in the sync set
    std::string explanation;       // what `pgkeel explain` says
    bool good() const { return audit.good() && whole.has_value(); }
};

std::string render(Findings const& findings, std::vector<Moment> const& moments);

}  // namespace keel::cli::demo
