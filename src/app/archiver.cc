#include "archive/archiver.h"

#include <signal.h>

#include <mutex>
#include <thread>

#include "agent/backups.h"
#include "agent/start_up.h"
#include "app/archiver.h"
#include "archive/report.h"
#include "base/json.h"
#include "postgres/bound.h"
#include "runtime/log.h"

namespace keel::app {

namespace {

namespace log = runtime::log;

constexpr Duration kLookEvery = 5s;
constexpr Duration kNews = 10s;  // an archiver that fails does so again sooner
constexpr Duration kPatience = 20s;

// What keeps the archiver from its work, told by one thread to the other.
class Trouble {
  public:
    void tell(std::string text) {
        std::lock_guard const lock(mutex_);
        text_ = std::move(text);
        when_ = runtime::boot_now();
    }
    std::string now() const {
        std::lock_guard const lock(mutex_);
        return runtime::boot_now() - when_ < kNews ? text_ : std::string();
    }

  private:
    mutable std::mutex mutex_;
    std::string text_;
    Instant when_;
};

Result<cluster::ArchiveSight> look(config::RepositorySettings const& settings, std::string const& cluster_id,
                                   Duration& pace) {
    KEEL_TRY(auto const repository, archive::Repository::open(settings, {kPatience, {}}));
    pace = std::max(kLookEvery, repository.pace().look);
    return archive::look(repository, cluster_id);
}

// For ever, in a thread of its own: no look at the repository may hold up the stream.
void keep_looking(config::NodeConfig const& config, std::string const& cluster_id, Trouble const& trouble) {
    cluster::ArchiveSight last;
    for (;;) {
        Duration pace = kLookEvery;
        auto seen = look(config.backup, cluster_id, pace);
        // What was seen before stays, with its age.
        if (seen) last = *std::move(seen);
        last.report.trouble = seen ? trouble.now() : to_string(seen.error());
        auto const written =
            runtime::write_atomically(config.directory + agent::kArchiveReport, json::write(last), 0600);
        if (!written) log::warning("archiver", "the agent is told nothing: {}", to_string(written.error()));
        (void)postgres::Bound(pace).pause(pace);
    }
}

}  // namespace

int run_archiver(config::NodeConfig const& config) {
    ::signal(SIGPIPE, SIG_IGN);
    auto const identity = agent::read_identity(config.directory);
    auto const ready = identity ? agent::set_up_log(config) : Status(std::unexpected(identity.error()));
    if (!ready) {
        log::error("archiver", "{}", to_string(ready.error()));
        return agent::kExitRefused;
    }
    auto const place = agent::place_of(config, identity->node);
    Trouble trouble;
    std::thread const looks([&] { keep_looking(config, identity->cluster_id, trouble); });
    std::string said;
    for (;;) {
        auto const ended = archive::archive_once(place, config.backup, identity->cluster_id);
        // A server that is down is no news each second.
        auto const text = ended ? std::string("the server has become a primary") : to_string(ended.error());
        if (text != said) log::warning("archiver", "{}", text);
        if (!ended) trouble.tell(text);
        said = text;
        (void)postgres::Bound(1s).pause(ended ? Duration(10ms) : Duration(1s));
    }
}

}  // namespace keel::app
