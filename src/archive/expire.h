// Removes backups and WAL by the rule of retention.h.
#pragma once

#include <string>

#include "archive/repository.h"
#include "archive/retention.h"

namespace keel::archive {

// Of the repository as it is now; changes nothing. `also`: holds beside those that are there.
Result<Expiry> find_expiry(Repository const& repository, std::string const& system, Retention const& retention,
                           std::vector<Hold> const& also = {});

// conflict when this machine's clock may be wrong by what is there, backups and commits and what `also_unix_ms` says:
// so many days are not to be counted by it.
Status check_day_count(Repository const& repository, std::string const& system, std::uint32_t days,
                       std::int64_t also_unix_ms);

struct Expired {
    std::size_t backups = 0, segments = 0;
    std::vector<std::string> kept;  // labels that were to go and are held since
};
// A backup's description is hidden while its holds are looked for: one that was killed then left it hidden, and another
// may hold the backup. To be called before a plan is made; what was hidden is there again, or gone for good.
Status mend_expiry(Repository const& repository, std::string const& system);
// It may be killed at any moment: what is kept is whole, and the next one removes the rest.
Result<Expired> expire(Repository const& repository, std::string const& system, Expiry const& plan);

}  // namespace keel::archive
