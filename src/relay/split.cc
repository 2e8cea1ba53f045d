// Where the relay sends what may go to a standby, and what it does when standbys come and go.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "relay/state.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::relay {

namespace log = runtime::log;
using proxy::Standing;

namespace {

constexpr Duration kShy = 1s;              // after a failed connection
constexpr Duration kCheckAgain = 1ms;      // of a standby that has not replayed enough
constexpr Duration kGiveUp = 100ms;        // so long after a wait in vain nobody waits again
constexpr Duration kFeedLate = 5s;         // what is older was said before, however long it was on its way
constexpr Duration kUnheardMost = 3s;      // then its connections lead to nobody
constexpr Duration kCatalogueFresh = 10s;  // then it is asked for anew
constexpr Duration kCatalogueAgain = 1s;   // the same, when it could not be had
constexpr Duration kCatalogueMost = 60s;   // one that is older proves nothing

using Usable = std::vector<cluster::RouteNode const*>;

}  // namespace

Usable Relay::State::usable_for(Client const& client) const {
    Usable out;
    for (auto const& one : routes.nodes) {
        if (!takes_reads(one, reading_of(client))) continue;
        auto const avoided = shy.empty()
                                 ? shy.end()
                                 : shy.find({client.session.database(), client.session.user(), one.id, 0, client.lane});
        if (avoided == shy.end() || now >= avoided->second) out.push_back(&one);
    }
    return out;
}

NodeId Relay::State::pick(Usable usable, Balance balance) {
    switch (balance) {
        case Balance::round_robin:
            return usable[turn++ % usable.size()]->id;
        case Balance::random:
            return usable[runtime::random_u64() % usable.size()]->id;
        case Balance::lag_aware:
            return (*std::ranges::min_element(usable, {}, [](auto const* one) { return one->lag_bytes; }))->id;
        case Balance::least_connections:
            break;
    }
    // Among equals in turn.
    std::ranges::rotate(usable, usable.begin() + static_cast<std::ptrdiff_t>(turn++ % usable.size()));
    std::vector<std::size_t> busy(usable.size());
    for (auto const& [id, backend] : backends) {
        if (backend->client == nullptr) continue;
        auto const at = std::ranges::find(usable, backend->server.node(), &cluster::RouteNode::id);
        if (at != usable.end()) ++busy[static_cast<std::size_t>(at - usable.begin())];
    }
    return usable[static_cast<std::size_t>(std::ranges::min_element(busy) - busy.begin())]->id;
}

// As far as is known; good enough to choose by.
Lsn Relay::State::replay_of(cluster::RouteNode const& node) const {
    auto const told = replayed.find(node.id);
    return told == replayed.end() || told->second.timeline != node.timeline ? node.replay
                                                                            : std::max(node.replay, told->second.lsn);
}

// What this very server must have replayed. A standby that crashed takes connections again before it has come to where
// it had been: so only what was said after the connection was made counts.
Lsn Relay::State::replayed_at_least(Backend const& backend) const {
    auto const* const where = node(backend.server.node());
    if (where == nullptr) return {};
    Lsn out;
    if (routes_at - backend.since >= kFeedLate) out = where->replay;
    auto const told = replayed.find(where->id);
    if (told != replayed.end() && told->second.timeline == where->timeline && told->second.at >= backend.since)
        out = std::max(out, told->second.lsn);
    return out;
}

void Relay::State::note_replayed(Client& client, proxy::Server const& server) {
    auto const lsn = client.session.take_replayed();
    if (!lsn) return;
    if (auto const* const where = node(server.node())) replayed[where->id] = {where->timeline, *lsn, client.checked};
    if (client.check && !(*lsn < *client.check)) client.see_until = client.see_again = {};
}

// The primary has everything for sure.
Relay::State::Choice Relay::State::choose_seeing(Client& client, Usable const& usable) {
    auto const balance = reading_of(client).balance;
    auto const sight = client.session.sight();
    auto token = sight.token;
    if (sight.blind || sight.since > routes.epoch) return {};
    if (sight.since.value != 0 && !history.empty())
        token = proxy::later(token, {history.back().timeline, history.back().at});
    proxy::Seen const wanted{token, sight.shown};
    if (!wanted.is_set()) return {pick(usable, balance), {}, {}};
    if (client.see_until != Instant{} && now >= client.see_until) {
        client.see_pause = now + kGiveUp;
        return {};
    }
    Usable seen, behind;
    for (auto const* one : usable) {
        switch (proxy::standing(wanted, one->timeline, replay_of(*one), history)) {
            case Standing::seen:
                seen.push_back(one);
                break;
            case Standing::behind:
                behind.push_back(one);
                break;
            case Standing::apart:
                break;
            case Standing::lost:
                client.session.token_lost();
                return choose_seeing(client, usable);
        }
    }
    if (!seen.empty()) return {pick(std::move(seen), balance), wanted.until(), {}};
    if (now < client.see_pause) return {};
    if (client.see_until == Instant{}) client.see_until = now + seeing_wait(client);
    if (behind.empty()) return {{}, {}, true};
    auto const* const best = *std::ranges::max_element(behind, {}, [&](auto const* one) { return replay_of(*one); });
    return {best->id, wanted.until(), {}};
}

Relay::State::Choice Relay::State::choose(Client& client) {
    auto const& session = client.session;
    if (session.need() == proxy::Session::Need::fate || !session.wants_standby()) return {};
    auto const usable = usable_for(client);
    client.fell_back = usable.empty();
    if (usable.empty()) return choose_without(client);
    if (!session.is_ready()) return {pick(usable, reading_of(client).balance), {}, {}};
    auto const choice = choose_seeing(client, usable);
    bool const primary = choice.node.value.empty() && !choice.later;
    return primary && !may_use_primary(client) ? choose_without(client) : choice;
}

bool Relay::State::may_use_primary(Client const& client) const {
    return client.target != Target::read_only || reading_of(client).from_primary;
}

// How long it looks for a standby that has replayed enough.
Duration Relay::State::seeing_wait(Client const& client) const {
    return may_use_primary(client) ? options.causal_wait_max : options.policy.wait_max;
}

// No standby is usable.
Relay::State::Choice Relay::State::choose_without(Client& client) {
    if (may_use_primary(client)) return {};
    if (client.see_until == Instant{}) client.see_until = now + options.policy.wait_max;
    if (now >= client.see_until)
        client.session.refuse(
            "57P03",
            reading_of(client).tag.empty()
                ? "no standby is usable, and read_from_primary is off"
                : fmt::format("no standby with the tag {} is usable, and read_from_primary is off for "
                              "endpoint \"{}\"",
                              reading_of(client).tag, reading_of(client).name),
            "Try again later, or use another port.");
    return {{}, {}, true};
}

void Relay::State::want_server(Client& client) {
    if (client.waiting_since == Instant{}) client.waiting_since = now;
    if (now < client.see_again) {
        waiting_replays.push_back(client.session.id());
        return;
    }
    auto const choice = choose(client);
    if (choice.later) {
        client.see_again = now + kCheckAgain;
        waiting_replays.push_back(client.session.id());
        return;
    }
    client.check = choice.check;
    auto const own = client.session.is_replication() ? client.session.id() : 0;
    proxy::PoolKey key{client.session.database(), client.session.user(), choice.node, own, client.lane};
    if (auto const id = pools.take(key); id != 0) {
        auto const backend = backends.find(id);
        if (backend != backends.end()) return give(client, *backend->second);
    }
    client.waiting = true;
    pools.want(client.session.id(), key, now);
    client.waiting_for = std::make_unique<proxy::PoolKey>(std::move(key));
    pools_changed = true;
}

// Attaches the server that the client was given.
void Relay::State::hand_over(Client& client, Backend& backend) {
    auto const* const standby = backend.server.key().node.value.empty() ? nullptr : node(backend.server.node());
    if (standby != nullptr) backend.server.follow(standby->timeline);
    bool const check = client.check && backend.server.is_standby() && replayed_at_least(backend) < *client.check;
    if (!check) {
        client.see_until = client.see_again = {};
        return client.session.attach(backend.server);
    }
    // If it is not far enough, the next look is a little later.
    client.see_again = now + kCheckAgain;
    if (client.see_until == Instant{}) client.see_until = now + seeing_wait(client);
    client.checked = now;
    client.session.attach_to_check(backend.server, *client.check);
}

void Relay::State::meet_replays() {
    for (auto const id : std::exchange(waiting_replays, {})) {
        auto const known = clients.find(id);
        if (known == clients.end()) continue;
        auto const client = known->second;
        attend(*client);
    }
}

// Those who wait for a server and fit look for another one.
void Relay::State::reroute(std::function<bool(Client const&)> const& fits) {
    std::vector<std::shared_ptr<Client>> moved;
    for (auto const& [id, client] : clients) {
        if (client->waiting && fits(*client)) moved.push_back(client);
    }
    for (auto const& client : moved) {
        if (client->gone || !client->waiting) continue;
        pools.forget(client->session.id());
        client->waiting = false;
        attend(*client);
    }
}

void Relay::State::avoid(proxy::PoolKey const& key) {
    if (key.node.value.empty()) return;
    shy[key] = now + kShy;
    reroute([&](Client const& client) { return *client.waiting_for == key; });
}

// Standbys come and go.
void Relay::State::meet_standbys() {
    reroute([this](Client const& client) {
        auto const& to = client.waiting_for->node;
        // Reads that wait for a primary because there was no standby.
        if (to.value.empty()) return client.fell_back && pools.held() && !usable_for(client).empty();
        auto const* const where = node(to);
        return where == nullptr || !takes_reads(*where, reading_of(client));
    });
    for (auto const& one : routes.nodes) {
        if (one.in_recovery || one.timeline.value != 0 || one.id == routes.leader)
            unheard.erase(one.id);
        else
            unheard.try_emplace(one.id, now);
    }
}

// A host that went without a word leaves connections on which nothing ever comes.
void Relay::State::sweep_standbys() {
    std::erase_if(shy, [&](auto const& one) { return now >= one.second; });
    std::vector<std::shared_ptr<Backend>> dead;
    for (auto const& [id, backend] : backends) {
        auto const since = unheard.find(backend->server.key().node);
        if (since != unheard.end() && now - since->second >= kUnheardMost && backend->since < since->second)
            dead.push_back(backend);
    }
    for (auto const& backend : dead) {
        if (!backend->gone) lose(*backend, false);
    }
}

// ---- catalogues ----

void Relay::State::ask_catalogue(std::string const& database) {
    auto& one = catalogues[database];
    one.asked = now;
    if (options.ask_catalogue) options.ask_catalogue(database, one.version);
}

void Relay::State::keep_catalogues() {
    for (auto const& database : judges.take_new()) ask_catalogue(database);
}

void Relay::State::sweep_catalogues() {
    for (auto at = catalogues.begin(); at != catalogues.end();) {
        auto& [database, one] = *at;
        bool const had = one.had != Instant{};
        if (now - (had ? one.had : one.asked) > kCatalogueMost) {
            // Nobody has needed it for a while, or it cannot be had any more.
            judges.forget(database);
            at = catalogues.erase(at);
            continue;
        }
        if (now - one.asked >= (had ? kCatalogueFresh : kCatalogueAgain) && judges.take_used(database))
            ask_catalogue(database);
        ++at;
    }
}

void Relay::State::take_catalogue(std::string const& database, CatalogueNews news) {
    auto const known = catalogues.find(database);
    if (known == catalogues.end()) return;
    known->second.had = now;
    if (!news.catalogue) return;
    log::debug("proxy", "the catalogue of {} is now {}", database, news.version);
    known->second.version = std::move(news.version);
    judges.put(database, std::move(news.catalogue));
}

}  // namespace keel::relay
