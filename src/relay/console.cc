// What the admin console does. Who may do what: proxy/console.h.
#include "proxy/console.h"

#include <fmt/format.h>

#include <algorithm>

#include "relay/state.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using proxy::Command;

namespace {

std::string done(std::string_view tag) {
    std::string out;
    protocol::write_command_complete(out, tag);
    return out;
}

std::string refusal(std::string_view code, std::string_view text, std::string_view hint) {
    std::string out;
    protocol::write_report(out, 'E', {"ERROR", code, text, {}, hint});
    return out;
}

std::string notice(std::string_view text) {
    std::string out;
    protocol::write_report(out, 'N', {"NOTICE", "00000", text, {}, {}});
    return out;
}

std::string named(std::string const& database) {
    return database.empty() ? "everything" : fmt::format("database \"{}\"", database);
}

constexpr char const* kKilled = "terminating connection due to an operator's KILL";
constexpr char const* kKilledHint = "What was on its way may be stored: look before you run it again.";

}  // namespace

void Relay::State::run_command(Client& client) {
    auto& session = client.session;
    auto const text = session.command();
    auto const command = proxy::parse_command(text);
    if (!command) return finish_command(client, refusal("42601", command.error().text, command.error().mend));
    auto const* const user = users.find(session.user());
    auto const allowed = user == nullptr ? Status(fail(Code::denied, "your role is gone", "Log in again."))
                                         : proxy::may_use(*user, *command);
    if (!allowed) return finish_command(client, refusal("42501", allowed.error().text, allowed.error().mend));
    bool const looks = command->verb == Command::Verb::nothing || command->verb == Command::Verb::show;
    if (!looks)
        log::info("proxy", "{} at {} says in the console: {}", session.user(), client.wire.peer_address(), text);
    switch (command->verb) {
        case Command::Verb::nothing: {
            std::string empty;
            protocol::write_bare(empty, 'I');
            return finish_command(client, empty);
        }
        case Command::Verb::show: {
            std::string out;
            show(command->object).write(out);
            return finish_command(client, out);
        }
        case Command::Verb::pause:
            return pause(client, command->object);
        case Command::Verb::resume:
            return resume(client, command->object);
        case Command::Verb::reconnect:
            reconnect(command->object);
            return finish_command(client, done("RECONNECT"));
        case Command::Verb::kill: {
            (void)pools.pause(command->object);
            auto const count = kill([&](Client const& one) { return one.session.database() == command->object; });
            reconnect(command->object);
            return finish_command(client, notice(fmt::format("{} clients were closed; new work of {} waits for RESUME",
                                                             count, named(command->object))) +
                                              done("KILL"));
        }
        case Command::Verb::kill_client: {
            auto const count = kill([&](Client const& one) { return one.session.id() == command->client; });
            if (client.gone || client.closing) return;
            return finish_command(client, count > 0
                                              ? done("KILL_CLIENT")
                                              : refusal("42704", fmt::format("there is no client {}", command->client),
                                                        "SHOW CLIENTS has the numbers in the column id."));
        }
        case Command::Verb::reload:
            client.asked = true;
            reloading.push_back(session.id());
            if (reloading.size() == 1) options.ask_reload();
            return;
    }
}

void Relay::State::finish_command(Client& client, std::string_view messages) {
    client.asked = false;
    if (messages.starts_with('E'))
        shared.figures.totals.errors_of_proxy.add(protocol::parse_report(messages.substr(5)).code);
    client.session.answer_console(messages);
}

// ---- pause ----

void Relay::State::pause(Client& client, std::string const& database) {
    if (!pools.pause(database))
        return finish_command(client, refusal("55000", named(database) + " is paused already", "RESUME ends it."));
    pools_changed = true;
    client.asked = true;
    pausing[client.session.id()] = database;
}

// Those whose last server has gone are answered. What they say next may change the list.
void Relay::State::meet_pauses() {
    if (pausing.empty()) return;
    std::vector<std::shared_ptr<Client>> over;
    std::erase_if(pausing, [&](auto const& one) {
        if (pools.servers(one.second) > 0) return false;
        over.push_back(clients.at(one.first));
        return true;
    });
    for (auto const& client : over) {
        if (client->gone) continue;
        finish_command(*client, done("PAUSE"));
        attend(*client);
    }
}

void Relay::State::resume(Client& client, std::string const& database) {
    auto const all = pools.paused();
    if (database.empty() ? all.empty() : !all.contains(database))
        return finish_command(client, refusal("55000", named(database) + " is not paused",
                                              all.contains({}) ? "Everything is: RESUME without a name ends it."
                                                               : "SHOW STATE says what is."));
    for (auto const& one : all) {
        if (database.empty() || one == database) (void)pools.resume(one);
    }
    pools_changed = true;
    std::vector<std::shared_ptr<Client>> over;
    std::erase_if(pausing, [&](auto const& one) {
        if (!database.empty() && one.second != database) return false;
        over.push_back(clients.at(one.first));
        return true;
    });
    for (auto const& one : over) {
        if (one->gone) continue;
        finish_command(*one, refusal("57014", "canceling PAUSE: somebody has said RESUME", {}));
        attend(*one);
    }
    finish_command(client, done("RESUME"));
}

// Its client goes. A pause that nobody waits for any more would hold work back without anybody knowing.
void Relay::State::leave_console(Client& client) {
    std::erase(reloading, client.session.id());
    auto const known = pausing.find(client.session.id());
    if (known == pausing.end()) return;
    log::info("proxy", "PAUSE of {} is undone: its console was left before it was complete", named(known->second));
    (void)pools.resume(known->second);
    pausing.erase(known);
    pools_changed = true;
}

// By a cancel request. False: it cannot be.
bool Relay::State::cancel_command(Client& client) {
    if (!pausing.contains(client.session.id())) return false;
    leave_console(client);
    finish_command(client, refusal("57014", "canceling PAUSE due to user request", "Work goes on."));
    attend(client);
    return true;
}

// ---- connections ----

void Relay::State::reconnect(std::string const& database) {
    for (auto const& [id, backend] : backends) {
        if (database.empty() || backend->server.key().database == database) backend->server.retire = true;
    }
    pools.close_idle(database);
    pools_changed = true;
}

std::size_t Relay::State::kill(std::function<bool(Client const&)> const& fits) {
    std::vector<std::shared_ptr<Client>> chosen;
    for (auto const& [id, client] : clients) {
        if (fits(*client)) chosen.push_back(client);
    }
    for (auto const& client : chosen) {
        if (client->gone) continue;
        if (std::exchange(client->waiting, false)) pools.forget(client->session.id());
        if (std::exchange(client->asked, false)) leave_console(*client);
        client->session.refuse("57P01", kKilled, kKilledHint);
        attend(*client);
    }
    return chosen.size();
}

// ---- reload ----

// What cannot change while it works, by its names in node.toml.
std::vector<std::string> Relay::State::apply(Options next) {
    std::vector<std::string> later;
    if (next.listeners != options.listeners) later.emplace_back("listen, the ports and socket_directory");
    if (next.policy.mode != options.policy.mode) later.emplace_back("pool");
    // Lanes are counted through: with others those of today would be somebody else's.
    auto const shape = [](Options const& of) {
        std::vector<std::pair<std::string, std::string>> out;
        for (auto const& one : of.readings) out.emplace_back(one.name, one.tag);
        return out;
    };
    bool const same_lanes = shape(next) == shape(options);
    if (!same_lanes) later.emplace_back("endpoints");
    auto lanes = same_lanes ? std::move(next.policy.lanes) : std::move(options.policy.lanes);
    auto const mode = options.policy.mode;
    options.policy = next.policy;
    options.policy.mode = mode;
    options.policy.lanes = std::move(lanes);
    if (same_lanes) options.readings = std::move(next.readings);
    options.split_reads = next.split_reads;
    options.causal_reads = shared.causal = next.causal_reads;
    options.monotonic_reads = shared.monotonic = next.monotonic_reads;
    options.causal_wait_max = next.causal_wait_max;
    options.tls_required = next.tls_required;
    options.client_tls = next.client_tls;
    options.server_tls = next.server_tls;
    options.rules = std::move(next.rules);
    shared.rules = options.rules.get();
    // With other read_functions the same catalogue says something else.
    for (auto& [database, one] : catalogues) one.version.clear();
    pools_changed = true;
    return later;
}

void Relay::State::take_reloaded(Result<Options> next) {
    std::string answer;
    if (!next) {
        answer = refusal("F0000", next.error().text, next.error().mend);
        log::warning("proxy", "RELOAD: settings stay as they were: {}", to_string(next.error()));
    } else {
        auto const later = apply(std::move(*next));
        if (!later.empty())
            answer =
                notice(fmt::format("{} changed: that needs a restart of the node's pgkeel", fmt::join(later, "; ")));
        answer += done("RELOAD");
        log::info("proxy", "settings were read anew");
    }
    for (auto const id : std::exchange(reloading, {})) {
        auto const known = clients.find(id);
        if (known == clients.end()) continue;
        auto const client = known->second;
        finish_command(*client, answer);
        attend(*client);
    }
}

}  // namespace keel::relay
