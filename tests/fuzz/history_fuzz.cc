// Timeline history files, which come over the network from a primary or out of an old data directory.
#include "fuzz.h"
#include "postgres/timelines.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {"1\t0/3000148\tno recovery target specified\n\n2\t0/5000060\tno recovery target specified\n",
            postgres::claim_text(Timeline{3})};
}

void eat(std::string_view bytes) {
    (void)postgres::is_claim(bytes);
    auto const history = postgres::parse_history(bytes);
    if (!history) return;
    for (auto const& one : *history) (void)postgres::owner_of(Timeline{9}, *history, one.until);
    (void)postgres::fork_of(Timeline{9}, *history, Timeline{8}, *history);
}

}  // namespace keel::fuzz
