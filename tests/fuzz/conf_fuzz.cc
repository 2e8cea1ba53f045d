// postgresql.conf, postgresql.auto.conf and the file that pgkeel generates: edited by people and by ALTER SYSTEM.
#include "fuzz.h"
#include "postgres/conf.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    postgres::Place place;
    place.id = NodeId{"2f1c6a1e-8f0e-4f58-9a54-0c3f5a6d7b10"};
    postgres::Settings settings;
    settings.cluster["work_mem"] = "8MB";
    settings.node["log_line_prefix"] = "%m 'x' ";
    postgres::Wanted const wanted{NodeId{"b"}, {"127.0.0.2", 5432}, {1, {NodeId{"b"}, NodeId{"c"}}}};
    return {postgres::render_conf(place, settings, wanted), postgres::render_defaults(place),
            "port = 5432 # comment\nshared_buffers=128MB\nsearch_path = '\"$user\", public'\ninclude_dir 'conf.d'\n",
            "# Do not edit\nprimary_conninfo = 'host=127.0.0.1'\nsynchronous_standby_names = ''\n"};
}

void eat(std::string_view bytes) {
    for (auto const& assignment : postgres::parse_conf(bytes)) must(assignment.line > 0 && !assignment.name.empty());
    std::vector<std::string> removed;
    auto const clean = postgres::without_owned(bytes, removed);
    std::vector<std::string> again;
    must(postgres::without_owned(clean, again) == clean && again.empty());
    auto const included = postgres::with_include(bytes);
    must(postgres::with_include(included) == included);
    (void)postgres::parse_written(bytes);
}

}  // namespace keel::fuzz
