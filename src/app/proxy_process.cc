#include "app/proxy_process.h"

#include <signal.h>

#include <thread>

#include "agent/local_state.h"
#include "agent/privileges.h"
#include "agent/start_up.h"
#include "app/proxy_hearing.h"
#include "app/proxy_options.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::app {

namespace {

namespace log = runtime::log;

struct Ended {
    bool disowned = false;  // the cluster knows this host no more
};

Result<Ended> serve(config::NodeConfig const& config, std::string const& version) {
    KEEL_TRY(auto const poller, runtime::Poller::make());
    KEEL_TRY(auto sources, Sources::open(config));
    KEEL_TRY(auto const tls, load_proxy_tls(config));
    KEEL_TRY(auto rules, load_proxy_rules(config));
    auto options = proxy_options(config.proxy);
    options.version = version;
    options.client_tls = tls.clients;
    options.server_tls = tls.servers;
    options.rules = std::move(rules);
    if (!sources.own_node()) options.silence = "no node of the cluster is heard";
    Hearing hearing(config, std::move(sources), *poller);
    options.ask_users = [&hearing] { hearing.ask_users(); };
    options.ask_reload = [&hearing] { hearing.ask_reload(); };
    options.ask_catalogue = [&hearing](std::string const& database, std::string const& version) {
        hearing.ask_catalogue(database, version);
    };
    relay::Relay relay(*poller, std::move(options));
    KEEL_CHECK(relay.listen());
    log::info("proxy", "listens on {}, ports {} (any), {} (read-write), {} (read-only)", config.proxy.listen.front(),
              config.proxy.port, config.proxy.read_write_port, config.proxy.read_only_port);
    std::thread hears([&] { hearing.run(relay); });
    relay.run();
    hearing.stop();
    hears.join();
    return Ended{hearing.disowned()};
}

// A node's tree has seen to all of this already.
Result<runtime::FileLock> prepare_host(config::NodeConfig const& config) {
    KEEL_CHECK(agent::become_user(config.user));
    KEEL_CHECK(agent::read_sources(config.directory));
    auto lock = runtime::FileLock::take(config.directory + "/state/proxy.lock");
    if (!lock && lock.error().code == Code::conflict)
        lock.error().mend = "another pgkeel proxy runs on this directory: stop that one first";
    return lock;
}

}  // namespace

int run_proxy(config::NodeConfig const& config, std::string const& version) {
    runtime::raise_descriptor_limit();
    ::signal(SIGPIPE, SIG_IGN);
    std::optional<runtime::FileLock> lock;
    if (config.kind == cluster::Kind::proxy) {
        auto ready = prepare_host(config);
        if (!ready) {
            log::error("proxy", "{}", to_string(ready.error()));
            return agent::kExitRefused;
        }
        lock.emplace(std::move(*ready));
    }
    if (auto const status = agent::set_up_log(config); !status) {
        log::error("proxy", "{}", to_string(status.error()));
        return agent::kExitRefused;
    }
    auto const ended = serve(config, version);
    if (ended) return ended->disowned ? agent::kExitLeft : 0;
    log::error("proxy", "{}", to_string(ended.error()));
    return 1;
}

}  // namespace keel::app
