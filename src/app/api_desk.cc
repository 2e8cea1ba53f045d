#include "app/api_desk.h"

#include "agent/alerting.h"
#include "agent/backups.h"
#include "agent/desk.h"
#include "agent/ledger.h"
#include "agent/start_up.h"
#include "postgres/setup.h"
#include "runtime/blocking.h"
#include "runtime/files.h"
#include "web/api.h"

namespace keel::app {

namespace {

using runtime::Task;

web::Counters counters_of(agent::Counters const& from) {
    web::Counters out;
    out.elections = from.elections;
    out.promotions = from.promotions;
    out.fenced = from.fenced;
    out.record_writes = from.record_writes;
    out.record_conflicts = from.record_conflicts;
    out.started_unix_ms = from.started_unix_ms;
    out.failover_seconds = from.failover_seconds;
    return out;
}

Task<std::vector<web::Finding>> doctor_of(agent::Desk& desk) {
    std::vector<web::Finding> out;
    for (auto& one : co_await desk.doctor())
        out.push_back({one.good, std::move(one.what), std::move(one.text), std::move(one.mend)});
    co_return out;
}

Task<Result<web::Authority>> authority_of(std::string pki) {
    auto certificate = runtime::read_file(pki + "/ca.crt", 1U << 20U);
    if (!certificate) co_return fail(certificate.error());
    web::Authority out;
    out.certificate = std::move(*certificate);
    auto key = runtime::read_file(pki + "/ca.key", 1U << 20U);
    if (!key && key.error().code != Code::not_found) co_return fail(key.error());
    if (key) out.key = Secret(std::move(*key));
    co_return out;
}

// Where there is no PostgreSQL to ask (a witness, a node that is still cloning), nothing is known against them.
Task<Status> try_parameters_of(agent::Desk& desk, std::map<std::string, std::string> parameters) {
    if (desk.config().kind != cluster::Kind::data) co_return Status{};
    auto const place = agent::place_of(desk.config(), desk.self());
    if (!runtime::exists(place.data() + "/PG_VERSION")) co_return Status{};
    runtime::Worker worker("parameters");
    co_return co_await runtime::run_blocking(worker, [&] { return postgres::try_parameters(place, parameters); });
}

web::StoreHint store_of(config::Store const& from) {
    return {boost::describe::enum_to_string(from.kind, ""),
            from.endpoints,
            from.prefix,
            from.user,
            !from.ca_file.empty(),
            !from.cert_file.empty()};
}

}  // namespace

runtime::HttpHandler api_handler(agent::Desk& desk, std::string version) {
    web::Desk offered;
    offered.look = [&desk] { return desk.look(); };
    offered.change = [&desk](web::Desk::Edit edit) { return desk.change(std::move(edit)); };
    offered.reload = [&desk] { return desk.reload(); };
    offered.doctor = [&desk] { return doctor_of(desk); };
    offered.try_parameters = [&desk](std::map<std::string, std::string> parameters) {
        return try_parameters_of(desk, std::move(parameters));
    };
    offered.routes = [&desk](runtime::HttpStream& out, NodeId reader) {
        return desk.feed().stream(out, [&desk, reader]() -> std::optional<cluster::Routes> {
            auto const& sight = desk.glance();
            if (!reader.value.empty() && !(sight.record && sight.record->proxies.contains(reader))) return std::nullopt;
            return cluster::routes_of(sight);
        });
    };
    offered.watch = [&desk] { return desk.feed().watch(); };
    offered.users = [&desk](bool to_another_host) { return desk.feed().users(to_another_host); };
    offered.catalogue = [&desk](std::string database, std::string known) {
        return desk.feed().catalogue(std::move(database), std::move(known));
    };
    offered.counters = [&desk] { return counters_of(desk.counters()); };
    offered.authority = [&desk] { return authority_of(desk.pki()); };
    if (desk.config().kind == cluster::Kind::data) {
        offered.kept_backups = [&desk] { return desk.backups()->kept(); };
        offered.alerts = [&desk] { return desk.alerting()->listing(); };
        offered.ask_alerts = [&desk](alert::Request request) { return desk.alerting()->ask(std::move(request)); };
        offered.test_alerts = [&desk](std::string channel) { return desk.alerting()->test(std::move(channel)); };
    }
    offered.events = [&desk](web::Span span) { return desk.ledger().events(span.from_ms, span.until_ms, span.most); };
    offered.rows = [&desk](web::Span span) { return desk.ledger().rows(span.from_ms, span.until_ms, span.most); };
    offered.availability = [&desk] { return desk.ledger().account(); };
    offered.has_proxy = desk.config().kind == cluster::Kind::data && desk.config().proxy.enabled;
    offered.store = store_of(desk.config().store);
    offered.version = std::move(version);
    auto const api = std::make_shared<web::Api>(std::move(offered));
    return [api, inner = api->handler()](runtime::HttpRequest request) { return inner(std::move(request)); };
}

}  // namespace keel::app
