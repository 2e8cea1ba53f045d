// A proxy's ear: a thread of its own that listens to an agent, and hands what it hears to the relay's.
#pragma once

#include <map>
#include <string>

#include "app/proxy_sources.h"
#include "relay/relay.h"
#include "runtime/poller.h"
#include "runtime/scope.h"
#include "runtime/signals.h"

namespace keel::app {

// A member's address may be a name; the relay takes addresses only. Blocks, on the ear's own thread.
class Names {
  public:
    std::string resolve(std::string const& host_port);

  private:
    std::map<std::string, std::pair<std::string, Instant>> known_;
};

class Hearing {
  public:
    Hearing(config::NodeConfig config, Sources sources, runtime::Poller& poller)
        : config_(std::move(config)), sources_(std::move(sources)), poller_(poller), signals_(io_), scope_(io_) {}

    // Until stop(). SIGTERM and SIGINT let the relay end what it does; a second one ends it at once.
    void run(relay::Relay& relay);
    // From the relay's thread.
    void stop();
    void ask_users();
    void ask_reload();
    void ask_catalogue(std::string const& database, std::string const& version);

    // After run(): the cluster knows this host no more.
    bool disowned() const { return disowned_; }

  private:
    runtime::Task<void> follow();
    runtime::Task<void> listen();
    bool take(std::string_view bytes);
    bool take_routes(cluster::Routes routes);
    void tell_silent(bool silent);
    void note_trouble(Error const& error);
    runtime::Task<void> watch_silence();
    runtime::Task<Result<std::string>> ask(runtime::HttpCall call);
    runtime::Task<void> fetch_users();
    runtime::Task<void> fetch_catalogue(std::string database, std::string version);
    runtime::Task<void> tell_figures();
    runtime::Task<void> send_figures(std::string text);
    void reload_settings();
    void reload_tls();
    runtime::Task<Status> renew_if_due();
    runtime::Task<void> keep_certificates();
    runtime::Task<void> heed_signals();

    config::NodeConfig config_;
    Sources sources_;
    runtime::Poller& poller_;
    relay::Relay* relay_ = nullptr;
    runtime::Io io_;
    runtime::Signals signals_;
    runtime::Scope scope_;
    Names names_;
    std::string text_;          // of the present source, as far as it is no whole line yet
    std::string told_;          // the last trouble, said once
    std::uint64_t newest_ = 0;  // revision of the cluster's record that was heard of
    Instant waits_since_{};     // the present source knows no primary since then
    Instant heard_{};
    bool believed_ = false;  // the present source, by its first routes
    bool silent_ = true;
    bool asking_ = false;
    bool disowned_ = false;
};

}  // namespace keel::app
