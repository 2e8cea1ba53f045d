#include "web/actions.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/json.h"
#include "config/settings.h"
#include "runtime/clock.h"
#include "runtime/pki.h"
#include "web/access.h"
#include "web/alerts.h"
#include "web/backups.h"
#include "web/history.h"
#include "web/outlook.h"
#include "web/proxies.h"
#include "web/token.h"

namespace keel::web {

namespace {

using cluster::Caller;
using cluster::Record;
using runtime::HttpRequest;
using runtime::Task;
using Answer = Result<std::string>;

template <class T>
Result<T> body_of(HttpRequest const& request) {
    if (request.body.empty()) return T{};
    auto read = json::read<T>(request.body);
    if (!read)
        return fail(Code::invalid, "the body does not fit: " + read.error().text,
                    "send JSON, as the command line does");
    return read;
}

// For requests that were let through.
Caller caller_of(cluster::Sight const& sight, HttpRequest const& request) {
    auto const guest = identify(sight, request);
    return {sight.self, guest ? guest->who : "nobody", sight.clock.unix_ms};
}

Result<NodeId> member_of(Record const& record, std::string const& name, NodeId const& self) {
    if (name.empty()) return self;
    return cluster::find_member(record, name);
}

// Changes the record and answers with a sentence.
Task<Answer> change(Desk const& desk, Desk::Edit edit, std::string text) {
    auto const record = co_await desk.change(std::move(edit));
    if (!record) co_return fail(record.error());
    co_return json::write(Done{std::move(text), record->revision, 0});
}

Task<Answer> switchover(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<cluster::SwitchoverRequest>(request);
    if (!body) co_return fail(body.error());
    auto const sight = desk.look();
    auto const caller = caller_of(sight, request);
    co_return co_await change(
        desk,
        [sight, caller, wanted = *body](Record& record) {
            return cluster::request_switchover(record, cluster::view_of(sight, record), wanted, caller);
        },
        body->at_unix_ms == 0 ? "the switchover begins" : "the switchover is planned");
}

Task<Answer> failover(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<cluster::FailoverRequest>(request);
    if (!body) co_return fail(body.error());
    auto const sight = desk.look();
    auto const caller = caller_of(sight, request);
    co_return co_await change(
        desk,
        [sight, caller, wanted = *body](Record& record) {
            return cluster::request_failover(record, cluster::view_of(sight, record), wanted, caller);
        },
        "the failover begins");
}

// Actions without arguments.
using Plain = Status (*)(Record&, Caller const&);
Task<Answer> plain(Desk const& desk, HttpRequest const& request, Plain edit, char const* text) {
    auto const caller = caller_of(desk.look(), request);
    co_return co_await change(desk, [caller, edit](Record& record) { return edit(record, caller); }, text);
}

Task<Answer> pause(Desk const& desk, HttpRequest const& request) {
    return plain(desk, request, &cluster::pause, "paused: no automatic elections and restarts");
}
Task<Answer> resume(Desk const& desk, HttpRequest const& request) {
    return plain(desk, request, &cluster::resume, "resumed");
}
Task<Answer> cancel(Desk const& desk, HttpRequest const& request) {
    return plain(desk, request, &cluster::cancel_switchover, "the planned switchover is taken back");
}

// Actions on one member that need to know who is alive.
using OnMember = Status (*)(Record&, cluster::View const&, NodeId const&, Caller const&);
Task<Answer> on_member(Desk const& desk, HttpRequest const& request, OnMember edit) {
    auto const body = body_of<MemberRequest>(request);
    if (!body) co_return fail(body.error());
    auto const sight = desk.look();
    auto const caller = caller_of(sight, request);
    NodeId target;
    auto const record = co_await desk.change([&, name = body->member](Record& now) -> Status {
        KEEL_TRY(target, member_of(now, name, sight.self));
        return edit(now, cluster::view_of(sight, now), target, caller);
    });
    if (!record) co_return fail(record.error());
    auto const errand = record->errands.find(target);
    Done done{"asked for", record->revision, errand == record->errands.end() ? 0 : errand->second.number};
    co_return json::write(done);
}
Task<Answer> restart(Desk const& desk, HttpRequest const& request) {
    return on_member(desk, request, &cluster::request_restart);
}
Task<Answer> reinit(Desk const& desk, HttpRequest const& request) {
    return on_member(desk, request, &cluster::request_reinit);
}
Task<Answer> leave(Desk const& desk, HttpRequest const& request) {
    return on_member(desk, request, &cluster::request_leave);
}
Task<Answer> sound(Desk const& desk, HttpRequest const& request) {
    return on_member(desk, request, [](Record& record, cluster::View const&, NodeId const& id, Caller const& caller) {
        return cluster::clear_broken(record, id, caller);
    });
}

Task<Answer> tags(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<MemberRequest>(request);
    if (!body) co_return fail(body.error());
    auto const sight = desk.look();
    auto const caller = caller_of(sight, request);
    co_return co_await change(
        desk,
        [wanted = *body, self = sight.self, caller](Record& record) -> Status {
            KEEL_TRY(NodeId const id, member_of(record, wanted.member, self));
            auto const found = record.members.find(id);
            if (found == record.members.end()) return fail(Code::not_found, "no such member", "pgkeel status");
            cluster::Tags next = found->second.tags;
            for (auto const& [name, value] : wanted.set) KEEL_CHECK(set_tag(next, name, value));
            return cluster::change_tags(record, id, next, caller);
        },
        "tags changed");
}

Status unchanged(cluster::Settings const& now, std::map<std::string, std::string> const& before) {
    for (auto const& [name, value] : before) {
        auto const standing = config::get_setting(now, name);
        if (standing.value_or("") != value)
            return fail(Code::conflict, fmt::format("somebody else has changed {} in the meantime", name),
                        "look at `pgkeel config get`, and do it again");
    }
    return {};
}

// A value that PostgreSQL refuses would keep every server of the cluster from its next start.
Task<Status> try_parameters(Desk const& desk, std::map<std::string, std::string> const& wanted) {
    constexpr std::string_view kPrefix = "postgres.";
    cluster::Settings tried;
    std::map<std::string, std::string> parameters;
    for (auto const& [name, value] : wanted) {
        if (!name.starts_with(kPrefix) || value.empty()) continue;
        // Ours to refuse first: owned parameters, with a better reason.
        if (auto const change = config::set_setting(tried, name, value); !change) co_return fail(change.error());
        parameters[name.substr(kPrefix.size())] = value;
    }
    if (parameters.empty() || !desk.try_parameters) co_return Status{};
    co_return co_await desk.try_parameters(std::move(parameters));
}

Task<Answer> configure(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<ConfigRequest>(request);
    if (!body) co_return fail(body.error());
    if (body->set.empty()) co_return fail(Code::invalid, "no setting is named", "pgkeel config set <name> <value>");
    if (auto const sound = co_await try_parameters(desk, body->set); !sound) co_return fail(sound.error());
    auto const caller = caller_of(desk.look(), request);
    std::vector<config::Change> changes;
    auto const record = co_await desk.change([&, wanted = body->set](Record& now) -> Status {
        changes.clear();
        KEEL_CHECK(unchanged(now.settings, body->before));
        cluster::Settings next = now.settings;
        for (auto const& [name, value] : wanted) {
            KEEL_TRY(auto one, config::set_setting(next, name, value));
            changes.push_back(std::move(one));
        }
        return cluster::change_settings(now, next, config::to_string(changes), caller);
    });
    if (!record) co_return fail(record.error());
    co_return json::write(ConfigAnswer{changes, config::advice(changes)});
}

Task<Answer> make_token(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<TokenRequest>(request);
    if (!body) co_return fail(body.error());
    if (body->valid_s < 1 || body->valid_s > 30 * 86400)
        co_return fail(Code::invalid, "the token's life is not within 1 s and 30 days", "--valid 1h");
    if (body->uses < 1 || body->uses > 1000) co_return fail(Code::invalid, "uses are not within 1..1000", "--uses 1");
    auto const authority = co_await desk.authority();
    if (!authority) co_return fail(authority.error());
    auto const pin = runtime::fingerprint(authority->certificate);
    if (!pin) co_return fail(pin.error());
    constexpr std::size_t kSecretBytes = 24;
    TokenText const text{*pin, Secret(runtime::random_hex(kSecretBytes))};
    auto const sight = desk.look();
    auto const caller = caller_of(sight, request);
    std::string const hash = sha256_hex(text.secret.reveal());
    cluster::JoinToken const token{hash.substr(0, 8), hash,      body->kind, sight.clock.unix_ms + body->valid_s * 1000,
                                   body->uses,        caller.who};
    auto const record =
        co_await desk.change([token, caller](Record& now) { return cluster::add_token(now, token, caller); });
    if (!record) co_return fail(record.error());
    co_return json::write(TokenAnswer{to_text(text), token.id, token.expires_unix_ms});
}

Task<Answer> revoke_token(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<TokenName>(request);
    if (!body) co_return fail(body.error());
    auto const caller = caller_of(desk.look(), request);
    co_return co_await change(
        desk, [id = body->id, caller](Record& record) { return cluster::remove_token(record, id, caller); },
        "the token lets nobody in any more");
}

Task<Answer> reload(Desk const& desk, HttpRequest const&) {
    auto const text = co_await desk.reload();
    if (!text) co_return fail(text.error());
    co_return json::write(Done{*text, 0, 0});
}

Task<Answer> add_access(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<AccessRequest>(request);
    if (!body) co_return fail(body.error());
    auto const made = co_await make_access(desk, *body, caller_of(desk.look(), request));
    if (!made) co_return fail(made.error());
    co_return json::write(*made);
}

Task<Answer> remove_access(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<AccessName>(request);
    if (!body) co_return fail(body.error());
    auto const caller = caller_of(desk.look(), request);
    co_return co_await change(
        desk, [name = body->name, caller](Record& record) { return cluster::remove_access(record, name, caller); },
        "the access token opens nothing any more");
}

// ---- reads ----

Task<Answer> show_status(Desk const& desk, HttpRequest const&) {
    co_return json::write(cluster::status_of(desk.look()));
}
Task<Answer> show_explanation(Desk const& desk, HttpRequest const&) {
    co_return json::write(cluster::explain(desk.look()));
}
Task<Answer> show_findings(Desk const& desk, HttpRequest const&) { co_return json::write(co_await desk.doctor()); }

using OfRecord = std::string (*)(Record const&);
Task<Answer> show(Desk const& desk, OfRecord text) {
    auto const sight = desk.look();
    if (!sight.record)
        co_return fail(Code::unavailable, "this node does not know the cluster's record yet", "ask another member");
    co_return text(*sight.record);
}
Task<Answer> show_settings(Desk const& desk, HttpRequest const&) {
    return show(desk, [](Record const& record) { return json::write(record.settings); });
}
// With what they mean and what they are by default, for people; PostgreSQL's parameters as far as they are set.
Task<Answer> list_settings(Desk const& desk, HttpRequest const&) {
    return show(desk, [](Record const& record) {
        boost::json::array out;
        auto const add = [&](std::string const& name, config::Setting const& about) {
            auto const value = config::get_setting(record.settings, name);
            out.push_back(boost::json::object{{"name", name},
                                              {"value", value ? *value : std::string()},
                                              {"standard", about.standard},
                                              {"doc", about.doc},
                                              {"type", about.type}});
        };
        for (auto const& one : config::settings()) add(one.name, one);
        for (auto const& [name, value] : record.settings.postgres) {
            auto const full = "postgres." + name;
            if (auto const about = config::find_setting(full)) add(full, *about);
        }
        return boost::json::serialize(out);
    });
}
template <auto Field>
std::string without_hashes(Record const& record) {
    auto shown = record.*Field;
    for (auto& one : shown) one.sha256.clear();
    return json::write(shown);
}
Task<Answer> show_tokens(Desk const& desk, HttpRequest const&) { return show(desk, &without_hashes<&Record::tokens>); }
Task<Answer> show_access(Desk const& desk, HttpRequest const&) { return show(desk, &without_hashes<&Record::access>); }

bool accepts_loss(HttpRequest const& request) {
    auto const body = body_of<cluster::FailoverRequest>(request);
    return body && body->accept_data_loss;
}

using cluster::Role;
constexpr std::array kRoutes = std::to_array<Route>({{"GET", "/status", Role::read, &show_status},
                                                     {"GET", "/topology", Role::read, &show_status},
                                                     {"GET", "/explain", Role::read, &show_explanation},
                                                     {"GET", "/doctor", Role::read, &show_findings},
                                                     {"GET", "/history/events", Role::read, &show_events},
                                                     {"GET", "/history/rows", Role::read, &show_rows},
                                                     {"GET", "/availability", Role::read, &show_availability},
                                                     {"GET", "/alerts", Role::read, &show_alerts},
                                                     {"POST", "/alerts", Role::operate, &change_alerts},
                                                     {"POST", "/alerts/test", Role::operate, &test_alerts},
                                                     {"GET", "/config", Role::read, &show_settings},
                                                     {"GET", "/config/list", Role::read, &list_settings},
                                                     {"GET", "/token", Role::admin, &show_tokens},
                                                     {"GET", "/access", Role::admin, &show_access},
                                                     {"GET", "/switchover", Role::read, &show_outlook},
                                                     {"POST", "/switchover", Role::operate, &switchover},
                                                     {"POST", "/switchover/cancel", Role::operate, &cancel},
                                                     {"POST", "/failover", Role::operate, &failover, &accepts_loss},
                                                     {"POST", "/pause", Role::operate, &pause},
                                                     {"POST", "/resume", Role::operate, &resume},
                                                     {"POST", "/restart", Role::operate, &restart},
                                                     {"POST", "/reload", Role::operate, &reload},
                                                     {"POST", "/backup/done", Role::operate, &backup_done},
                                                     {"POST", "/backup/run", Role::operate, &run_backup},
                                                     {"POST", "/config", Role::admin, &configure},
                                                     {"POST", "/reinit", Role::admin, &reinit},
                                                     {"POST", "/leave", Role::admin, &leave},
                                                     {"POST", "/sound", Role::admin, &sound},
                                                     {"POST", "/tags", Role::admin, &tags},
                                                     {"POST", "/token", Role::admin, &make_token},
                                                     {"POST", "/token/revoke", Role::admin, &revoke_token},
                                                     {"GET", "/proxies", Role::read, &show_proxies},
                                                     {"POST", "/proxies/remove", Role::admin, &drop_proxy},
                                                     {"POST", "/access", Role::admin, &add_access},
                                                     {"POST", "/access/remove", Role::admin, &remove_access}});

}  // namespace

Status set_tag(cluster::Tags& tags, std::string const& name, std::string const& value) {
    Status status = fail(Code::invalid, fmt::format("there is no tag \"{}\"", name), "");
    std::vector<std::string> names;
    boost::mp11::mp_for_each<boost::describe::describe_members<cluster::Tags, boost::describe::mod_public>>(
        [&](auto member) {
            names.emplace_back(member.name);
            if (name != member.name) return;
            auto& field = tags.*member.pointer;
            using Field = std::decay_t<decltype(field)>;
            status = Status{};
            if constexpr (std::is_same_v<Field, bool>) {
                if (value != "true" && value != "false")
                    status = fail(Code::invalid, fmt::format("{} is true or false, not \"{}\"", name, value),
                                  name + "=true");
                field = value == "true";
            } else if constexpr (std::is_same_v<Field, int>) {
                auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), field);
                if (error != std::errc{} || end != value.data() + value.size())
                    status =
                        fail(Code::invalid, fmt::format("{} is a whole number, not \"{}\"", name, value), name + "=1");
            } else {
                field = value;
            }
        });
    if (!status && status.error().mend.empty())
        status.error().mend = fmt::format("the tags are {}", fmt::join(names, ", "));
    return status;
}

Route const* find_route(std::string const& method, std::string const& path) {
    for (auto const& route : kRoutes) {
        if (method == route.method && path == route.path) return &route;
    }
    return nullptr;
}

cluster::Role role_needed(Route const& route, HttpRequest const& request) {
    return route.only_admin != nullptr && route.only_admin(request) ? Role::admin : route.role;
}

}  // namespace keel::web
