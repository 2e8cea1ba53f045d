// Reads everything in a repository and lists all that is wrong with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "archive/base_backup.h"

namespace keel::archive {

struct Verified {
    std::vector<std::string> wrong;  // a sentence each
    std::size_t backups = 0, segments = 0;
};
// `each` hears what is read next. An error only when the repository cannot be read at all.
Result<Verified> verify_all(Repository const& repository, std::string const& system,
                            std::function<void(std::string const&)> const& each);

}  // namespace keel::archive
