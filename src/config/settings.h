// The cluster-wide settings by name: what `pgkeel config get, set, edit` offer, with their types, limits and when a
// change takes effect. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/record.h"
#include "config/problem.h"

namespace keel::config {

// live: at once. reload: PostgreSQL re-reads its configuration, by itself. restart: after `pgkeel restart`.
enum class Scope { live, reload, restart };
BOOST_DESCRIBE_ENUM(Scope, live, reload, restart)

struct Setting {
    std::string name;
    std::string type;      // "one of async, quorum, strict", "whole number 1..16", "size", "seconds 0..86400"
    std::string doc;       // one sentence
    std::string standard;  // the default, as text
    Scope scope = Scope::live;
};
// All but the postgres.<parameter> family.
std::vector<Setting> const& settings();
// Description of one setting, postgres.<parameter> too. not_found with a "did you mean".
Result<Setting> find_setting(std::string_view name);

// The value as text; not_found for an unknown name or a PostgreSQL parameter that is not set.
Result<std::string> get_setting(cluster::Settings const& from, std::string_view name);

struct Change {
    std::string name;
    std::string before;  // empty: was not set
    std::string after;   // empty: taken away
    Scope scope = Scope::live;
};
BOOST_DESCRIBE_STRUCT(Change, (), (name, before, after, scope))
// Sets one by its text. For postgres.<parameter> an empty value takes the parameter away.
Result<Change> set_setting(cluster::Settings& in, std::string_view name, std::string_view value);

// "mode: quorum -> strict, postgres.work_mem: 8MB -> default".
std::string to_string(std::vector<Change> const& changes);
// What must follow for the changes to take effect; empty when nothing must.
std::string advice(std::vector<Change> const& changes);

// `pgkeel config edit`: all settings as lines "name = value" with their descriptions in comments, and back. Lines that
// are missing mean the default.
std::string render_settings(cluster::Settings const& from);
struct Edited {
    cluster::Settings settings;
    std::vector<Change> changes;  // against `before`
    std::vector<Problem> problems;
};
Edited parse_settings(std::string_view text, cluster::Settings const& before, std::string const& file);

}  // namespace keel::config
