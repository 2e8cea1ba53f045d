// shared_preload_libraries with our extension and whatever the user has there. Pure.
#pragma once

#include <string>
#include <string_view>

namespace keel::postgres {

// A list of libraries with ours as its last one, any older place of ours taken out; `ours` empty: without it.
std::string with_extension(std::string_view libraries, std::string_view ours);
// postgresql.auto.conf, whose lines win over ours, with its shared_preload_libraries changed that way.
std::string auto_conf_with_extension(std::string_view auto_conf, std::string_view ours);
// What postgresql.conf itself says, without the files it includes.
std::string libraries_of(std::string_view postgresql_conf);

}  // namespace keel::postgres
