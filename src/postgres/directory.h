// The files of a data directory that pgkeel writes: configuration, standby.signal, and the marker beside it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "postgres/conf.h"
#include "postgres/place.h"

namespace keel::postgres {

// Name of the user this process runs as.
std::string os_user();

// Writes pgkeel.conf only: the files that a running server re-reads for upstream and names. Not synced: every start
// writes it anew.
Status write_wanted(Place const& place, std::string const& data, Settings const& settings, Wanted const& wanted);
// What pgkeel.conf in data/ says now; default when there is none.
Wanted read_wanted(Place const& place);

// pg_ident.conf with the block for the members of the settings.
std::string with_ident(Place const& place, Settings const& settings, std::string const& text);

// Everything: includes in postgresql.conf, pgkeel.conf, its defaults, the blocks of pg_hba.conf and pg_ident.conf; and
// takes parameters of ours out of postgresql.auto.conf (only files: call it with the server down, or see
// Server::configure). Returns warnings, such as an ALTER SYSTEM that was undone.
Result<std::vector<std::string>> write_configuration(Place const& place, std::string const& data,
                                                     Settings const& settings, Wanted const& wanted);

// Empty standby.signal; recovery.signal removed.
Status write_standby_signal(std::string const& data);

// The user's files of a data directory, so that pg_rewind does not replace them by the source's.
struct UserFiles {
    std::vector<std::pair<std::string, std::string>> files;  // name, content
};
UserFiles read_user_files(std::string const& data);
Status write_user_files(std::string const& data, UserFiles const& kept);

// A clone or rewind is under way: data/ must not be started. Durable when they return.
Status set_marker(Place const& place, std::string const& what);
Status clear_marker(Place const& place);
// What set_marker was given; empty when there is none.
std::string read_marker(Place const& place);

// Removes a directory and everything in it; a missing one is fine.
Status remove_tree(std::string const& path);

}  // namespace keel::postgres
