// Making a new database cluster (initdb, roles, access), and what `doctor` asks of a place before it is used.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "postgres/place.h"

namespace keel::postgres {

inline constexpr char const* kSuperuser = "postgres";
inline constexpr char const* kReplicator = "pgkeel_replicator";
inline constexpr char const* kRewinder = "pgkeel_rewind";
inline constexpr char const* kMonitor = "pgkeel_monitor";

struct Made {
    std::string system_id;
    int major = 0;
    Timeline timeline{1};
};
// initdb with checksums, the roles, and the generated configuration. The server is not started. Refuses, changing
// nothing, when check_place() finds a problem or data/ is not empty; a half-made data/ is removed again.
Result<Made> init(Place const& place, Settings const& settings);

// The same for a data/ that was restored from a backup of such a cluster, whose server has ended in order: generated
// configuration; the users, roles and access rules are those that came with it. conflict or invalid, changing nothing,
// when it cannot be a first node's.
Result<Made> adopt(Place const& place, Settings const& settings);

// Everything that would keep PostgreSQL from working here, each with its mend; empty when sound. With `existing` the
// data directory must be there (right owner, mode, version), else it must be absent or empty.
std::vector<Error> check_place(Place const& place, bool existing);

// Major version of the binaries, as 15. not_found, invalid.
Result<int> binaries_major(Place const& place);
// Directories of the installed PostgreSQL versions 13 and up, newest first.
std::vector<std::string> find_binaries();
// What PostgreSQL itself has against these parameters of postgresql.conf (invalid); the server is not touched. Each
// alone: not what it needs of others, nor of an extension that is not loaded. Needs a data directory.
Status try_parameters(Place const& place, std::map<std::string, std::string> const& parameters);
// PostgreSQL's system identifier of data/.
Result<std::string> system_id(Place const& place);

}  // namespace keel::postgres
