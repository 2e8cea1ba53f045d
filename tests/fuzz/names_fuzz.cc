// synchronous_standby_names, slot names and addresses, as a server or a file gives them.
#include "fuzz.h"
#include "postgres/names.h"
#include "postgres/place.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    cluster::Names const names{1, {NodeId{"2f1c6a1e-8f0e-4f58-9a54-0c3f5a6d7b10"}, NodeId{"b"}}};
    return {postgres::render_names(names), postgres::render_names(postgres::nobody()),
            postgres::slot_name(NodeId{"2f1c6a1e-8f0e-4f58-9a54-0c3f5a6d7b10"}), "[::1]:5432", "db.example.org:5433"};
}

void eat(std::string_view bytes) {
    (void)postgres::parse_names(bytes);
    auto const owner = postgres::slot_owner(bytes);
    bool const possible = bytes.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
    if (possible && !owner.value.empty()) must(postgres::slot_owner(postgres::slot_name(owner)) == owner);
    (void)postgres::parse_endpoint(bytes);
    (void)parse_lsn(bytes);
}

}  // namespace keel::fuzz
