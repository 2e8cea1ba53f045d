#include "web/api.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "runtime/log.h"
#include "web/access.h"
#include "web/actions.h"
#include "web/dashboard.h"
#include "web/health.h"
#include "web/join.h"
#include "web/metrics.h"
#include "web/metrics_text.h"
#include "web/proxies.h"

namespace keel::web {

namespace {

using cluster::Sight;
using runtime::HttpRequest;
using runtime::HttpResponse;
using runtime::Task;

int status_for(Code code) {
    switch (code) {
        case Code::invalid:
            return 400;
        case Code::denied:
            return 403;
        case Code::not_found:
            return 404;
        case Code::conflict:
            return 409;
        case Code::unavailable:
            return 503;
        case Code::timeout:
            return 504;
        case Code::exhausted:
            return 507;
        case Code::corrupt:
        case Code::internal:
            return 500;
    }
    return 500;
}

HttpResponse answer(Result<std::string> const& body) {
    if (!body) return refuse(body.error());
    return {200, "application/json", *body};
}

// What /cluster gives to everybody, in Patroni's form.
std::string cluster_json(cluster::ClusterStatus const& status) {
    boost::json::array members;
    for (auto const& member : status.members) {
        boost::json::object one{{"name", member.name},
                                {"role", member.role == "sync standby" ? "sync_standby"
                                         : member.role == "standby"    ? "replica"
                                                                       : member.role},
                                {"state", member.streaming ? "streaming"
                                          : member.healthy ? "running"
                                                           : "stopped"},
                                {"api_url", member.api},
                                {"timeline", member.timeline.value}};
        if (auto const colon = member.postgres.rfind(':'); colon != std::string::npos) {
            one["host"] = member.postgres.substr(0, colon);
            one["port"] = std::atoi(member.postgres.c_str() + colon + 1);
        }
        if (member.lag_bytes) one["lag"] = *member.lag_bytes;
        members.push_back(std::move(one));
    }
    boost::json::object out{{"members", std::move(members)}, {"scope", status.cluster}};
    if (status.paused) out["pause"] = true;
    return boost::json::serialize(out);
}

// What was set may be somebody's secret, such as a command with a password: strangers do not see it.
std::string history_json(Sight const& sight, HttpRequest const& request) {
    std::vector<cluster::HistoryEvent> events;
    if (sight.record) events = sight.record->history;
    if (!identify(sight, request)) {
        for (auto& event : events) {
            if (event.kind == "setting") event.text = "settings were changed; whoever has the role read sees which";
        }
    }
    return json::write(events);
}

constexpr Duration kProxySilent = 10s;

// What the proxy of this node said of itself last, as Prometheus text.
struct ProxyFigures {
    std::string glance;  // proxy::Glance as JSON, for the dashboard
    std::string text;
    Instant heard{};
    bool fresh(Instant now) const { return heard != Instant{} && now - heard <= kProxySilent; }
};

// Figures of a proxy that went silent are left out: they would stand for ever.
std::string proxy_metrics(Desk const& desk, ProxyFigures const& last, Instant now) {
    if (!desk.has_proxy) return {};
    bool const up = last.fresh(now);
    Text out;
    out.gauge("pgkeel_proxy_up", "1 while the proxy of this node tells its figures.", flag(up));
    if (!up) return out.take();
    out.gauge("pgkeel_proxy_figures_age_seconds", "Age of the proxy's figures.", to_seconds(now - last.heard));
    return out.take() + last.text;
}

// For everybody and plain HTTP: what load balancers and Prometheus ask. Nothing secret, nothing that changes anything.
std::optional<HttpResponse> open_answer(Desk const& desk, ProxyFigures const& proxy, HttpRequest const& request) {
    Sight const sight = desk.look();
    if (auto const health = health_of(request.path, request.query, sight)) {
        boost::json::object body{{"state", health->good ? "running" : "not here"},
                                 {"role", boost::describe::enum_to_string(sight.opinion.state, "?")},
                                 {"reason", health->reason},
                                 {"name", sight.name}};
        return HttpResponse{health->good ? 200 : 503, "application/json", boost::json::serialize(body)};
    }
    if (request.path == "/metrics") {
        auto const alerts = desk.alerts ? std::optional(desk.alerts()) : std::nullopt;
        return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                            render_metrics(sight, desk.counters(), desk.version, alerts ? &*alerts : nullptr) +
                                render_availability(desk.availability()) + proxy_metrics(desk, proxy, sight.clock.now)};
    }
    if (request.path == "/cluster")
        return HttpResponse{200, "application/json", cluster_json(cluster::status_of(sight))};
    if (request.path == "/history") return HttpResponse{200, "application/json", history_json(sight, request)};
    return std::nullopt;
}

}  // namespace

HttpResponse refuse(Error const& error) {
    Refusal const body{error.text, error.mend, to_string(error.code),
                       error.outcome == Outcome::unknown ? "unknown" : "not_done"};
    return {status_for(error.code), "application/json", json::write(body)};
}

struct Api::State {
    explicit State(Desk given) : desk(std::move(given)), dashboard(desk.version) {
        if (!desk.has_proxy) return;
        desk.proxy_glance = [this] { return proxy.fresh(desk.look().clock.now) ? proxy.glance : std::string(); };
    }

    Desk desk;
    Dashboard dashboard;
    ProxyFigures proxy;

    Task<HttpResponse> get(HttpRequest const& request) {
        if (request.path.starts_with("/proxy/")) co_return co_await get_for_proxy(desk, request);
        if (auto response = dashboard.get(desk, request)) co_return *std::move(response);
        if (auto response = open_answer(desk, proxy, request)) co_return *std::move(response);
        co_return co_await guarded("GET", request);
    }

    HttpResponse take_figures(HttpRequest const& request) {
        if (!request.local)
            return refuse({Code::denied, request.path + " is for the proxy of this node", "read /metrics"});
        // One request for both: the first line is the glance.
        auto const line = std::min(request.body.find('\n'), request.body.size());
        proxy = {request.body.substr(0, line), request.body.substr(std::min(line + 1, request.body.size())),
                 desk.look().clock.now};
        return {200, "application/json", "{}"};
    }

    Task<HttpResponse> post(HttpRequest const& request) {
        if (request.path == "/proxy/figures") co_return take_figures(request);
        if (request.path == "/join") co_return co_await join(request);
        if (request.path.starts_with("/proxy/")) co_return co_await post_for_proxy(desk, request);
        if (auto response = dashboard.post(desk, request)) co_return *std::move(response);
        co_return co_await guarded("POST", request);
    }

    // What is not open to everybody: the table of routes says who may.
    Task<HttpResponse> guarded(char const* method, HttpRequest const& request) {
        auto const* const route = find_route(method, request.path);
        if (route == nullptr)
            co_return refuse({Code::not_found, "there is nothing at " + request.path, "/status, /metrics, /health"});
        auto const needed = role_needed(*route, request);
        auto const guest = identify(desk.look(), request);
        if (!guest) {
            Error error = guest.error();
            runtime::log::info("api", "{} from {} refused: {}", request.path, request.from, error.text);
            if (error.code == Code::denied)
                error.text += fmt::format("; {} needs the role {}", route->path, role_text(needed));
            HttpResponse response = refuse(error);
            if (error.code != Code::denied) co_return response;
            response.status = 401;
            response.headers["WWW-Authenticate"] = "Bearer realm=\"pgkeel\"";
            co_return response;
        }
        if (guest->role < needed) {
            auto const error = lacks_role(*guest, needed, request.path);
            runtime::log::info("api", "{} from {} refused: {}", request.path, request.from, error.text);
            co_return refuse(error);
        }
        auto const done = co_await route->run(desk, request);
        if (!done && request.method == "POST")
            runtime::log::info("api", "{} of {} from {} refused: {}", request.path, guest->who, request.from,
                               done.error().text);
        co_return answer(done);
    }

    Task<HttpResponse> join(HttpRequest const& request) {
        if (!request.secure && !request.local)
            co_return refuse({Code::denied, "a join needs TLS", "use pgkeel join, which does"});
        auto body = json::read<JoinRequest>(request.body);
        if (!body) co_return refuse({Code::invalid, "the body does not fit: " + body.error().text, "use pgkeel join"});
        std::string const name = body->member.name;
        bool const only_check = body->only_check;
        auto const admitted = co_await admit(desk, *std::move(body));
        if (!admitted) {
            runtime::log::warning("api", "join from {} refused: {}", request.from, admitted.error().text);
            co_return refuse(admitted.error());
        }
        if (!only_check) runtime::log::info("api", "{} joined from {}", name, request.from);
        co_return HttpResponse{200, "application/json", json::write(*admitted)};
    }

    Task<HttpResponse> handle(HttpRequest request) {
        if (request.headers.contains("cookie") || request.headers.contains("sec-fetch-site") ||
            request.headers.contains("origin")) {
            auto const sight = desk.look();
            dashboard.recognise(sight, request);
            if (auto const ours = dashboard.judge_origin(sight, request); !ours) co_return refuse(ours.error());
        }
        if (request.method == "GET") co_return co_await get(request);
        if (request.method == "HEAD" || request.method == "OPTIONS") {
            HttpResponse response = co_await get(request);
            response.body.clear();
            co_return response;
        }
        if (request.method == "POST") co_return co_await post(request);
        HttpResponse response = refuse({Code::invalid, request.method + " is not understood", "GET or POST"});
        response.status = 405;
        co_return response;
    }
};

Api::Api(Desk desk) : state_(std::make_unique<State>(std::move(desk))) {}
Api::~Api() = default;

runtime::HttpHandler Api::handler() {
    return [state = state_.get()](HttpRequest request) { return state->handle(std::move(request)); };
}

}  // namespace keel::web
