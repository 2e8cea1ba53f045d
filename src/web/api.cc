#include "web/api.h"

#include <fmt/format.h>

#include "base/json.h"
#include "config/settings.h"
#include "runtime/log.h"
#include "web/actions.h"
#include "web/health.h"
#include "web/join.h"
#include "web/metrics.h"

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

HttpResponse refuse(Error const& error) {
    Refusal const body{error.text, error.mend, to_string(error.code),
                       error.outcome == Outcome::unknown ? "unknown" : "not_done"};
    return {status_for(error.code), "application/json", json::write(body)};
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

// For everybody and plain HTTP: what load balancers and Prometheus ask. Nothing secret, nothing that changes anything.
std::optional<HttpResponse> open_answer(Desk const& desk, HttpRequest const& request) {
    Sight const sight = desk.look();
    if (auto const health = health_of(request.path, request.query, sight)) {
        boost::json::object body{{"state", health->good ? "running" : "not here"},
                                 {"role", boost::describe::enum_to_string(sight.opinion.state, "?")},
                                 {"reason", health->reason},
                                 {"name", sight.name}};
        return HttpResponse{health->good ? 200 : 503, "application/json", boost::json::serialize(body)};
    }
    if (request.path == "/metrics")
        return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                            render_metrics(sight, desk.counters(), desk.version)};
    if (request.path == "/cluster")
        return HttpResponse{200, "application/json", cluster_json(cluster::status_of(sight))};
    if (request.path == "/history") {
        std::vector<cluster::HistoryEvent> const none;
        return HttpResponse{200, "application/json", json::write(sight.record ? sight.record->history : none)};
    }
    return std::nullopt;
}

// Reads for operators.
Task<std::optional<HttpResponse>> operators_answer(Desk const& desk, HttpRequest const& request) {
    Sight const sight = desk.look();
    auto const give = [](std::string body) { return HttpResponse{200, "application/json", std::move(body)}; };
    if (request.path == "/status" || request.path == "/topology")
        co_return give(json::write(cluster::status_of(sight)));
    if (request.path == "/explain") co_return give(json::write(cluster::explain(sight)));
    if (request.path == "/doctor") co_return give(json::write(co_await desk.doctor()));
    if (request.path != "/config" && request.path != "/token") co_return std::nullopt;
    if (!sight.record)
        co_return refuse({Code::unavailable, "this node does not know the cluster's record yet", "ask another member"});
    if (request.path == "/config") co_return give(json::write(sight.record->settings));
    std::vector<cluster::JoinToken> shown = sight.record->tokens;
    for (auto& token : shown) token.sha256.clear();
    co_return give(json::write(shown));
}

}  // namespace

struct Api::State {
    Desk desk;

    // Over the Unix socket, or with a certificate of the cluster that belongs to a present member.
    bool may_operate(HttpRequest const& request) const {
        if (request.local) return true;
        if (!request.secure || request.peer_name.empty()) return false;
        Sight const sight = desk.look();
        return sight.record && sight.record->members.contains(NodeId{request.peer_name});
    }

    Task<HttpResponse> get(HttpRequest const& request) {
        if (auto response = open_answer(desk, request)) co_return *std::move(response);
        if (!may_operate(request)) co_return forbidden(request);
        if (auto response = co_await operators_answer(desk, request)) co_return *std::move(response);
        co_return refuse({Code::not_found, "there is nothing at " + request.path, "/status, /metrics, /health"});
    }

    Task<HttpResponse> post(HttpRequest const& request) {
        if (request.path == "/join") co_return co_await join(request);
        if (!may_operate(request)) co_return forbidden(request);
        auto const done = co_await act(desk, request);
        if (!done) runtime::log::info("api", "{} from {} refused: {}", request.path, request.from, done.error().text);
        co_return answer(done);
    }

    Task<HttpResponse> join(HttpRequest const& request) {
        if (!request.secure && !request.local)
            co_return refuse({Code::denied, "a join needs TLS", "use pgkeel join, which does"});
        auto body = json::read<JoinRequest>(request.body);
        if (!body) co_return refuse({Code::invalid, "the body does not fit: " + body.error().text, "use pgkeel join"});
        std::string const name = body->member.name;
        auto const admitted = co_await admit(desk, *std::move(body));
        if (!admitted) {
            runtime::log::warning("api", "join from {} refused: {}", request.from, admitted.error().text);
            co_return refuse(admitted.error());
        }
        runtime::log::info("api", "{} joined from {}", name, request.from);
        co_return HttpResponse{200, "application/json", json::write(*admitted)};
    }

    static HttpResponse forbidden(HttpRequest const& request) {
        static constexpr std::array<std::string_view, 20> kKnown = {
            "/status",   "/topology",     "/explain",    "/doctor",
            "/config",   "/token",        "/switchover", "/switchover/cancel",
            "/failover", "/pause",        "/resume",     "/restart",
            "/reinit",   "/reload",       "/leave",      "/sound",
            "/tags",     "/token/revoke", "/members",    "/join"};
        if (std::ranges::find(kKnown, std::string_view(request.path)) == kKnown.end())
            return refuse({Code::not_found, "there is nothing at " + request.path, "/metrics, /health, /cluster"});
        return refuse({Code::denied, "this needs the node's Unix socket, or TLS with a certificate of the cluster",
                       "use pgkeel on a node, or --host with the node's certificate"});
    }

    Task<HttpResponse> handle(HttpRequest request) {
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
