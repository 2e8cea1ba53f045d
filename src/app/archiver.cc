#include "archive/archiver.h"

#include <signal.h>

#include "agent/start_up.h"
#include "app/archiver.h"
#include "postgres/bound.h"
#include "runtime/log.h"

namespace keel::app {

namespace log = runtime::log;

int run_archiver(config::NodeConfig const& config) {
    ::signal(SIGPIPE, SIG_IGN);
    auto const identity = agent::read_identity(config.directory);
    auto const ready = identity ? agent::set_up_log(config) : Status(std::unexpected(identity.error()));
    if (!ready) {
        log::error("archiver", "{}", to_string(ready.error()));
        return agent::kExitRefused;
    }
    auto const place = agent::place_of(config, identity->node);
    std::string said;
    for (;;) {
        auto const ended = archive::archive_once(place, config.backup.repository);
        // A server that is down is no news each second.
        auto const text = ended ? std::string("the server has become a primary") : to_string(ended.error());
        if (text != said) log::warning("archiver", "{}", text);
        said = text;
        (void)postgres::Bound(1s).pause(ended ? Duration(10ms) : Duration(1s));
    }
}

}  // namespace keel::app
