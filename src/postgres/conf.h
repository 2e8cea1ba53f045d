// postgresql.conf and pgkeel.conf as text: reading, quoting, and what pgkeel writes. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/node.h"
#include "postgres/libpq.h"
#include "postgres/place.h"

namespace keel::postgres {

struct Assignment {
    std::string name;  // lower case
    std::string value;
    int line = 0;
};
// Lines of "name = value" (manual, "Setting Parameters"); comments and what is not one are skipped.
std::vector<Assignment> parse_conf(std::string_view text);
std::string quote_conf(std::string_view value);

// Parameters that are pgkeel's alone: the promises about lost commits and single primaries rest on them.
bool is_owned(std::string_view parameter);
// Everything wrong with the user's parameters (owned, malformed, defeating the promise), one text each; `origin` names
// where they stand.
std::vector<std::string> complaints(Parameters const& parameters, std::string const& origin);

// postgresql.auto.conf without the owned parameters, which would win over ours; their names go to `removed`.
std::string without_owned(std::string_view auto_conf, std::vector<std::string>& removed);
// postgresql.conf with our defaults included by its first line and our own file by its last one, which so wins over
// everything above it.
std::string with_include(std::string_view postgresql_conf);

// What the generated file is made of.
struct Wanted {
    NodeId upstream;       // empty: primary_conninfo = ''
    Endpoint upstream_at;  // with upstream
    cluster::Names names;
};
std::string render_conf(Place const& place, Settings const& settings, Wanted const& wanted);
std::string render_defaults(Place const& place);
// What render_conf was given, from its text.
Wanted parse_written(std::string_view pgkeel_conf);

}  // namespace keel::postgres
