// Runs PostgreSQL's programs (initdb, pg_rewind, pg_basebackup, ...) to their end, blocking and bounded.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "postgres/bound.h"

namespace keel::postgres {

struct Job {
    std::vector<std::string> argv;                       // argv[0]: the program's path
    std::string input = {};                              // stdin, at most 60 KiB; else /dev/null
    std::function<void(std::string_view)> on_line = {};  // each line of output and errors, without its end
};

// Output and errors of a program that ended with code 0 (the last 64 KiB). unavailable, with the program's last lines,
// when it failed; timeout or conflict when the bound ended it: then the program has been killed and is gone. The
// environment is LC_ALL=C and PATH only, so that messages can be read and no PG* variable interferes.
Result<std::string> run_job(Job const& job, Bound const& bound);

// Starts a program that outlives us, in a session of its own, output appended to the file `log`.
Result<pid_t> launch(std::vector<std::string> const& argv, std::string const& log);

}  // namespace keel::postgres
