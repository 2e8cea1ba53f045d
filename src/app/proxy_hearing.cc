#include "app/proxy_hearing.h"

#include <netdb.h>
#include <signal.h>

#include "agent/start_up.h"
#include "app/catalogue_news.h"
#include "app/proxy_options.h"
#include "base/json.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"
#include "web/metrics_proxy.h"
#include "web/proxies.h"

namespace keel::app {

namespace log = runtime::log;
using runtime::Task;

namespace {

constexpr std::size_t kLineMax = 4U << 20U;
// An agent says something each second.
constexpr Duration kSilence = 2500ms;
// Another host may have died without a word.
constexpr Duration kSilenceOfHost = 1500ms;
constexpr Duration kConnectMost = 1500ms;
// A node without a primary for longer than an election takes may be on the wrong side of a cut.
constexpr Duration kWithoutPrimary = 3s;
constexpr Duration kDrainMost = 10s;
// Prometheus asks less often.
constexpr Duration kFiguresEvery = 2s;

struct UserRow {
    std::string name, verifier;
    std::int64_t valid_until_us = auth::User::kForever;
    bool can_login = false;
    int connection_limit = -1;
    bool superuser = false;
    bool monitor = false;
    bool replication = false;
    std::vector<std::string> groups;
};
BOOST_DESCRIBE_STRUCT(UserRow, (),
                      (name, verifier, valid_until_us, can_login, connection_limit, superuser, monitor, replication,
                       groups))

Result<std::vector<auth::User>> parse_users(std::string_view text) {
    KEEL_TRY(auto rows, json::read<std::vector<UserRow>>(text));
    std::vector<auth::User> out;
    for (auto& row : rows)
        out.push_back({std::move(row.name), Secret(std::move(row.verifier)), row.valid_until_us, row.can_login,
                       row.connection_limit, row.superuser, row.monitor, row.replication, std::move(row.groups)});
    return out;
}

std::string look_up(std::string const& host) {
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

}  // namespace

std::string Names::resolve(std::string const& host_port) {
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

void Hearing::run(relay::Relay& relay) {
    relay_ = &relay;
    scope_.supervise("routes", [this] { return follow(); }, {sources_.own_node() ? 20ms : 100ms, 200ms, 1s});
    scope_.supervise("silence", [this] { return watch_silence(); });
    // Only a node has metrics where they could be shown.
    if (sources_.own_node()) scope_.supervise("figures", [this] { return tell_figures(); });
    scope_.supervise("certificates", [this] { return keep_certificates(); });
    scope_.spawn("signals", [this] { return heed_signals(); });
    io_.run();
}

void Hearing::stop() {
    runtime::asio::post(io_, [this] {
        scope_.cancel();
        io_.stop();
    });
}

void Hearing::ask_users() {
    runtime::asio::post(io_, [this] {
        if (!std::exchange(asking_, true)) scope_.spawn("users", [this] { return fetch_users(); });
    });
}

void Hearing::ask_reload() {
    runtime::asio::post(io_, [this] { reload_settings(); });
}

void Hearing::ask_catalogue(std::string const& database, std::string const& version) {
    runtime::asio::post(io_, [this, database, version] {
        scope_.spawn("catalogue", [this, database, version] { return fetch_catalogue(database, version); });
    });
}

// Once around.
Task<void> Hearing::follow() {
    for (std::size_t i = 0; i < sources_.size() && !disowned_; ++i) {
        co_await listen();
        sources_.next();
    }
}

Task<void> Hearing::listen() {
    text_.clear();
    believed_ = false;
    waits_since_ = {};
    runtime::HttpCall call;
    call.path = "/proxy/routes";
    if (!sources_.own_node()) {
        call.timeout = kConnectMost;
        call.silence = kSilenceOfHost;
    }
    auto const done =
        co_await runtime::http_follow(sources_.target(), call, [this](std::string_view bytes) { return take(bytes); });
    tell_silent(true);
    if (done) co_return;
    note_trouble(done.error());
    if (done.error().code != Code::not_found || !sources_.disowned()) co_return;
    log::error(
        "proxy",
        "this host is no proxy host of the cluster any more: the proxy ends (mend: to come back, pgkeel proxy join "
        "with an empty directory)");
    disowned_ = true;
    poller_.post([this] { relay_->stop(); });
}

// False: it is of no use.
bool Hearing::take(std::string_view bytes) {
    text_ += bytes;
    if (text_.size() > kLineMax) return false;
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
        auto routes = end == 0 ? Result<cluster::Routes>(fail(Code::not_found, ""))
                               : json::read<cluster::Routes>(std::string_view(text_).substr(0, end));
        text_.erase(0, end + 1);
        if (routes && !take_routes(std::move(*routes))) return false;
    }
    // Before it has said all of its first word it may be one that knows less.
    if (!believed_) return true;
    bool const stuck = waits_since_ != Instant{} && runtime::boot_now() - waits_since_ > kWithoutPrimary;
    if (stuck && sources_.size() > 1) return false;
    heard_ = runtime::boot_now();
    sources_.accepted();
    tell_silent(false);
    return true;
}

bool Hearing::take_routes(cluster::Routes routes) {
    if (!sources_.own_node()) {
        // Another node may not have heard yet what this proxy has: to go back would be to believe a primary of the
        // past.
        if (routes.revision < newest_ || routes.revision == 0) {
            log::info("proxy", "{} knows less of the cluster than was heard already: another node is asked",
                      sources_.name());
            return false;
        }
        newest_ = routes.revision;
        if (routes.wait.empty())
            waits_since_ = {};
        else if (waits_since_ == Instant{})
            waits_since_ = runtime::boot_now();
        // Its server is not on this host: the way there needs cover.
        routes.self = {};
        sources_.learn(routes);
    }
    believed_ = true;
    for (auto& one : routes.nodes) one.postgres = names_.resolve(one.postgres);
    poller_.post([this, next = std::move(routes)]() mutable { relay_->set_routes(std::move(next)); });
    return true;
}

void Hearing::tell_silent(bool silent) {
    if (std::exchange(silent_, silent) == silent) return;
    if (!silent) told_.clear();
    if (!silent && !sources_.own_node()) log::info("proxy", "listens to {}", sources_.name());
    poller_.post([this, silent] { relay_->set_silent(silent); });
}

// Each once, until somebody is heard again.
void Hearing::note_trouble(Error const& error) {
    auto const text = sources_.name() + ": " + to_string(error);
    if (sources_.own_node()) return log::debug("proxy", "{}", text);
    if (told_.find(text) != std::string::npos) return;
    told_ += text + "\n";
    log::warning("proxy", "{}", text);
}

Task<void> Hearing::watch_silence() {
    for (;;) {
        co_await runtime::sleep_for(250ms);
        if (runtime::boot_now() - heard_ > kSilence) tell_silent(true);
    }
}

// The first good answer; the source that is listened to is asked first.
Task<Result<std::string>> Hearing::ask(runtime::HttpCall call) {
    Result<std::string> last = fail(Code::unavailable, "nobody could be asked");
    auto around = sources_;
    for (std::size_t i = 0; i < around.size(); ++i, around.next()) {
        auto answer = co_await runtime::http_call(around.target(), call);
        if (answer && answer->status == 200) co_return std::move(answer->body);
        last = answer ? fail(Code::unavailable, fmt::format("{}: status {}", around.name(), answer->status))
                      : fail(std::move(answer.error()));
    }
    co_return last;
}

Task<void> Hearing::fetch_users() {
    runtime::HttpCall call;
    call.path = "/proxy/users";
    call.timeout = 1500ms;
    auto const answer = co_await ask(call);
    asking_ = false;
    std::optional<std::vector<auth::User>> users;
    if (answer) {
        if (auto parsed = parse_users(*answer)) users = std::move(*parsed);
    }
    if (!users) log::debug("proxy", "the users could not be read; those known before stay");
    poller_.post([this, next = std::move(users)]() mutable { relay_->set_users(std::move(next)); });
}

Task<void> Hearing::fetch_catalogue(std::string database, std::string version) {
    runtime::HttpCall call;
    call.path = catalogue_path(database, version);
    call.timeout = 15s;
    auto const answer = co_await ask(call);
    if (!answer) co_return;
    auto news = parse_catalogue(*answer, config_.proxy.read_functions);
    if (!news) {
        log::warning("proxy", "the catalogue of {}: {}", database, to_string(news.error()));
        co_return;
    }
    poller_.post(
        [this, database, next = std::move(*news)]() mutable { relay_->set_catalogue(database, std::move(next)); });
}

// Looked at on the relay's thread, written on this one, and given to the agent, which shows them on /metrics and on the
// dashboard.
Task<void> Hearing::tell_figures() {
    for (;;) {
        poller_.post([this] {
            runtime::asio::post(io_, [this, now = relay_->snapshot()] {
                auto text = json::write(proxy::glance_of(now, runtime::unix_ms_now())) + "\n" + web::render_proxy(now);
                scope_.spawn("tell figures", [this, text = std::move(text)] { return send_figures(text); });
            });
        });
        co_await runtime::sleep_for(kFiguresEvery);
    }
}

Task<void> Hearing::send_figures(std::string text) {
    runtime::HttpCall call;
    call.method = "POST";
    call.path = "/proxy/figures";
    call.body = std::move(text);
    call.timeout = kFiguresEvery;
    auto const answer = co_await runtime::http_call(sources_.target(), call);
    if (!answer) log::debug("proxy", "the figures were not taken: {}", to_string(answer.error()));
}

// All of it, or nothing.
void Hearing::reload_settings() {
    auto next = agent::load_config(config_.directory);
    auto const tls = next ? load_proxy_tls(*next) : Result<ProxyTls>(fail(next.error()));
    auto const rules = tls ? load_proxy_rules(*next) : Result<ProxyRules>(fail(tls.error()));
    if (!rules) {
        poller_.post([this, why = rules.error()]() mutable { relay_->set_reloaded(fail(std::move(why))); });
        return;
    }
    config_ = std::move(*next);
    auto options = proxy_options(config_.proxy);
    options.client_tls = tls->clients;
    options.server_tls = tls->servers;
    options.rules = *rules;
    poller_.post([this, options = std::move(options)]() mutable { relay_->set_reloaded(std::move(options)); });
}

void Hearing::reload_tls() {
    auto tls = load_proxy_tls(config_);
    if (!tls) return log::error("proxy", "certificates stay as they were: {}", to_string(tls.error()));
    poller_.post([this, next = std::move(*tls)] { relay_->set_tls(next.clients, next.servers); });
    if (sources_.own_node()) return;
    auto const identity = runtime::load_identity(config_.directory + "/pki");
    if (auto own = identity ? runtime::client_mutual(*identity) : fail(identity.error())) sources_.set_identity(*own);
}

// A node's agent does this for its own.
Task<Status> Hearing::renew_if_due() {
    auto const pki = config_.directory + "/pki";
    auto identity = runtime::load_identity(pki);
    if (!identity) co_return fail(identity.error());
    auto const validity = runtime::validity(identity->own.certificate);
    if (!validity) co_return fail(validity.error());
    if (!runtime::is_renewal_due(*validity, runtime::unix_ms_now())) co_return Status{};
    auto const self = runtime::common_name(identity->own.certificate);
    if (!self) co_return fail(self.error());
    auto request = runtime::make_request({NodeId{*self}, {}}, identity->own.key);
    if (!request) co_return fail(request.error());
    runtime::HttpCall call;
    call.method = "POST";
    call.path = "/proxy/certificate";
    call.body = json::write(web::ProxyCertificateRequest{*std::move(request)});
    call.headers["Content-Type"] = "application/json";
    auto const answer = co_await ask(call);
    if (!answer) co_return fail(answer.error());
    auto made = json::read<web::ProxyCertificate>(*answer);
    if (!made) co_return fail(made.error());
    identity->own.certificate = std::move(made->certificate);
    if (auto status = runtime::check_pair(identity->authority, identity->own); !status) co_return status;
    auto status = runtime::write_atomically(pki + "/node.crt", identity->own.certificate, 0644);
    if (status) log::info("certificate", "renewed");
    co_return status;
}

Task<void> Hearing::keep_certificates() {
    for (;;) {
        if (!sources_.own_node()) {
            if (auto const status = co_await renew_if_due(); !status)
                log::warning("certificate", "not renewed yet: {}", to_string(status.error()));
            reload_tls();
        }
        co_await runtime::sleep_for(60s);
        // The agent renews the node's certificate in its file.
        if (sources_.own_node()) reload_tls();
    }
}

Task<void> Hearing::heed_signals() {
    for (int ends = 0;;) {
        int const number = co_await signals_.next();
        if (number == SIGHUP) {
            log::reopen();
            reload_tls();
            continue;
        }
        // With its node the server ends, too: there is nothing to wait for.
        bool const hurry = ++ends > 1 || sources_.own_node();
        poller_.post([this, hurry] { relay_->drain(hurry ? Duration::zero() : kDrainMost); });
    }
}

}  // namespace keel::app
