// Marks in the repository that keep a backup and the WAL after it from expiry: pins of people, and work in progress.
// And the other way round, those of an expiry at work.
//   <system id>/hold/<label>/pin, <system id>/hold/<label>/<random>
//   <system id>/expiring/<random>
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "archive/repository.h"
#include "archive/retention.h"

namespace keel::archive {

// Those that are over as well. corrupt when one cannot be read: then nothing may go.
Result<std::vector<Hold>> holds_of(Repository const& repository, std::string const& system);

// Until it is unpinned.
Status pin(Repository const& repository, Backup const& backup, std::string const& why);
// not_found when it is not pinned.
Status unpin(Repository const& repository, std::string const& system, std::string const& label);

// Why, of the backup that places it: nothing of that backup is worth anything once its process has died.
inline constexpr char const* kBeingTaken = "is being taken";

// Those of backups that this is said of, and their process cannot be at work any more.
Status remove_dead_holds(Repository const& repository, std::string const& system,
                         std::function<bool(std::string const& label)> const& dead);

// As long as it lives; one whose process was killed ends by itself after some days.
class WorkHold {
  public:
    static Result<std::unique_ptr<WorkHold>> place(Repository const& repository, std::string const& system, Hold hold);
    // Of an expiry, before it looks for holds: WAL before `before` may go.
    static Result<std::unique_ptr<WorkHold>> announce(Repository const& repository, std::string const& system,
                                                      Lsn before);
    WorkHold(WorkHold const&) = delete;
    WorkHold& operator=(WorkHold const&) = delete;
    ~WorkHold();

  private:
    WorkHold(Repository repository, std::string object)
        : repository_(std::move(repository)), object_(std::move(object)) {}
    Repository repository_;
    std::string object_;
};

// For a backup, once its hold is placed: either an expiry sees that, or the expiry is seen here. conflict when one is
// at work that may remove WAL from `start` on.
Status check_announced(Repository const& repository, std::string const& system, Lsn start);

}  // namespace keel::archive
