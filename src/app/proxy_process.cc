#include "app/proxy_process.h"

#include <netdb.h>
#include <signal.h>

#include <thread>

#include "agent/start_up.h"
#include "base/json.h"
#include "relay/relay.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/http.h"
#include "runtime/log.h"
#include "runtime/scope.h"
#include "runtime/signals.h"

namespace keel::app {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr std::size_t kLineMax = 4U << 20U;
// The agent says something each second.
constexpr Duration kSilence = 2500ms;
constexpr std::size_t kPemMax = 256U * 1024;

struct UserRow {
    std::string name, verifier;
    std::int64_t valid_until_us = auth::User::kForever;
    bool can_login = false;
    int connection_limit = -1;
    bool superuser = false;
};
BOOST_DESCRIBE_STRUCT(UserRow, (), (name, verifier, valid_until_us, can_login, connection_limit, superuser))

Result<std::vector<auth::User>> parse_users(std::string_view text) {
    KEEL_TRY(auto rows, json::read<std::vector<UserRow>>(text));
    std::vector<auth::User> out;
    for (auto& row : rows)
        out.push_back({std::move(row.name), Secret(std::move(row.verifier)), row.valid_until_us, row.can_login,
                       row.connection_limit, row.superuser});
    return out;
}

// A member's address may be a name; the relay takes addresses only. Blocks, on the feed's own thread.
class Names {
  public:
    std::string resolve(std::string const& host_port) {
        auto const colon = host_port.rfind(':');
        if (colon == std::string::npos) return host_port;
        auto const host = host_port.substr(0, colon);
        bool const numeric = host.find_first_not_of("0123456789.") == std::string::npos || host.starts_with('[');
        if (numeric) return host_port;
        auto& known = known_[host];
        if (known.first.empty() || runtime::boot_now() - known.second > 30s) {
            if (auto found = look_up(host); !found.empty()) known = {std::move(found), runtime::boot_now()};
        }
        return (known.first.empty() ? host : known.first) + host_port.substr(colon);
    }

  private:
    static std::string look_up(std::string const& host) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) return {};
        char text[NI_MAXHOST] = "";
        (void)::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
        bool const v6 = found->ai_family == AF_INET6;
        ::freeaddrinfo(found);
        return v6 ? "[" + std::string(text) + "]" : std::string(text);
    }
    std::map<std::string, std::pair<std::string, Instant>> known_;
};

struct Contexts {
    runtime::TlsContext clients;
    runtime::TlsContext servers;
};

Result<Contexts> load_tls(config::NodeConfig const& config) {
    KEEL_TRY(auto identity, runtime::load_identity(config.directory + "/pki"));
    Contexts out;
    KEEL_TRY(out.servers, runtime::client_mutual({identity.authority, {}}));
    if (config.proxy.tls == config::ProxyTls::off) return out;
    runtime::Pair own = identity.own;
    if (!config.proxy.cert_file.empty()) {
        KEEL_TRY(own.certificate, runtime::read_file(config.proxy.cert_file, kPemMax));
        KEEL_TRY(auto key, runtime::read_file(config.proxy.key_file, kPemMax));
        own.key = Secret(std::move(key));
    }
    KEEL_TRY(out.clients, runtime::server_for_applications(own));
    return out;
}

relay::Options options_of(config::Proxy const& from) {
    relay::Options out;
    auto const seconds = [](std::uint32_t count) { return Duration(std::chrono::seconds(count)); };
    out.policy.mode = static_cast<proxy::PoolMode>(from.pool);
    out.policy.clients_max = from.clients_max;
    out.policy.pool_size = from.pool_size;
    out.policy.reserve_pool = from.reserve_pool;
    out.policy.database_max = from.database_max;
    out.policy.prepared_max = from.prepared_max;
    out.policy.wait_max = seconds(from.wait_s_max);
    out.policy.server_idle_max = seconds(from.server_idle_s_max);
    out.policy.server_life_max = seconds(from.server_life_s_max);
    out.policy.client_idle_max = seconds(from.client_idle_s_max);
    out.policy.transaction_idle_max = seconds(from.transaction_idle_s_max);
    out.policy.query_max = seconds(from.query_s_max);
    out.balance = static_cast<relay::Balance>(from.balance);
    out.lag_bytes_max = std::uint64_t{from.read_lag_kbytes_max} * 1024;
    out.read_from_primary = from.read_from_primary;
    out.tls_required = from.tls == config::ProxyTls::require;
    std::vector<std::pair<relay::Target, std::uint16_t>> const ports = {
        {relay::Target::auto_, from.port},
        {relay::Target::read_write, from.read_write_port},
        {relay::Target::read_only, from.read_only_port}};
    for (auto const& [target, port] : ports) {
        if (port == 0) continue;
        for (auto const& address : from.listen) {
            bool const is_ip =
                address.find_first_not_of("0123456789.") == std::string::npos || address.find(':') != std::string::npos;
            out.listeners.push_back({target, is_ip ? address : "0.0.0.0", port});
        }
        if (!from.socket_directory.empty())
            out.listeners.push_back({target, from.socket_directory + "/.s.PGSQL." + std::to_string(port), 0});
    }
    return out;
}

// Listens to the agent, on a thread of its own, and hands what it hears to the relay's.
class Hearing {
  public:
    Hearing(config::NodeConfig const& config, runtime::Poller& poller)
        : config_(config), poller_(poller), signals_(io_), scope_(io_) {}

    void run(relay::Relay& relay) {
        relay_ = &relay;
        scope_.supervise("routes", [this] { return follow(); }, {20ms, 200ms, 1s});
        scope_.supervise("silence", [this] { return watch_silence(); });
        scope_.supervise("certificates", [this] { return keep_certificates(); });
        scope_.spawn("signals", [this] { return heed_signals(); });
        io_.run();
    }
    // From the relay's thread.
    void ask_users() {
        runtime::asio::post(io_, [this] {
            if (!std::exchange(asking_, true)) scope_.spawn("users", [this] { return fetch_users(); });
        });
    }

  private:
    Task<void> follow() {
        std::string text;
        runtime::HttpCall call;
        call.path = "/proxy/routes";
        auto const done = co_await runtime::http_follow(runtime::HttpTarget::local(config_.agent_socket()), call,
                                                        [&](std::string_view bytes) { return take(text, bytes); });
        if (!done) log::debug("proxy", "the agent: {}", to_string(done.error()));
        tell_silent(true);
    }

    bool take(std::string& text, std::string_view bytes) {
        heard_ = runtime::boot_now();
        text += bytes;
        if (text.size() > kLineMax) return false;
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            auto routes = end == 0 ? Result<cluster::Routes>(fail(Code::not_found, ""))
                                   : json::read<cluster::Routes>(std::string_view(text).substr(0, end));
            text.erase(0, end + 1);
            if (!routes) continue;
            for (auto& one : routes->nodes) one.postgres = names_.resolve(one.postgres);
            poller_.post([this, next = std::move(*routes)]() mutable { relay_->set_routes(std::move(next)); });
        }
        tell_silent(false);
        return true;
    }

    void tell_silent(bool silent) {
        if (std::exchange(silent_, silent) == silent) return;
        poller_.post([this, silent] { relay_->set_silent(silent); });
    }

    Task<void> watch_silence() {
        for (;;) {
            co_await runtime::sleep_for(250ms);
            if (runtime::boot_now() - heard_ > kSilence) tell_silent(true);
        }
    }

    Task<void> fetch_users() {
        runtime::HttpCall call;
        call.path = "/proxy/users";
        call.timeout = 1500ms;
        auto answer = co_await runtime::http_call(runtime::HttpTarget::local(config_.agent_socket()), call);
        asking_ = false;
        std::optional<std::vector<auth::User>> users;
        if (answer && answer->status == 200) {
            if (auto parsed = parse_users(answer->body)) users = std::move(*parsed);
        }
        if (!users) log::debug("proxy", "the users could not be read; those known before stay");
        poller_.post([this, next = std::move(users)]() mutable { relay_->set_users(std::move(next)); });
    }

    void reload_tls() {
        auto tls = load_tls(config_);
        if (!tls) return log::error("proxy", "certificates stay as they were: {}", to_string(tls.error()));
        poller_.post([this, next = std::move(*tls)] { relay_->set_tls(next.clients, next.servers); });
    }

    // The agent renews the node's certificate in its file.
    Task<void> keep_certificates() {
        for (;;) {
            co_await runtime::sleep_for(60s);
            reload_tls();
        }
    }

    Task<void> heed_signals() {
        for (;;) {
            int const number = co_await signals_.next();
            if (number == SIGHUP) {
                log::reopen();
                reload_tls();
                continue;
            }
            poller_.post([this] { relay_->stop(); });
            scope_.cancel();
            io_.stop();
            co_return;
        }
    }

    config::NodeConfig const& config_;
    runtime::Poller& poller_;
    relay::Relay* relay_ = nullptr;
    runtime::Io io_;
    runtime::Signals signals_;
    runtime::Scope scope_;
    Names names_;
    Instant heard_{};
    bool silent_ = true;
    bool asking_ = false;
};

Status serve(config::NodeConfig const& config) {
    KEEL_TRY(auto const poller, runtime::Poller::make());
    KEEL_TRY(auto const tls, load_tls(config));
    auto options = options_of(config.proxy);
    options.client_tls = tls.clients;
    options.server_tls = tls.servers;
    Hearing hearing(config, *poller);
    options.ask_users = [&hearing] { hearing.ask_users(); };
    relay::Relay relay(*poller, std::move(options));
    KEEL_CHECK(relay.listen());
    log::info("proxy", "listens on {}, ports {} (any), {} (read-write), {} (read-only)", config.proxy.listen.front(),
              config.proxy.port, config.proxy.read_write_port, config.proxy.read_only_port);
    std::thread hears([&] { hearing.run(relay); });
    relay.run();
    hears.join();
    return {};
}

}  // namespace

int run_proxy(config::NodeConfig const& config) {
    runtime::raise_descriptor_limit();
    ::signal(SIGPIPE, SIG_IGN);
    if (auto const status = agent::set_up_log(config); !status) {
        log::error("proxy", "{}", to_string(status.error()));
        return agent::kExitRefused;
    }
    auto const status = serve(config);
    if (status) return 0;
    log::error("proxy", "{}", to_string(status.error()));
    return 1;
}

}  // namespace keel::app
