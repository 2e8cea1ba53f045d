#include "proxy/pool.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::proxy {

namespace {
constexpr Duration kPauseFirst = 20ms;
constexpr Duration kPauseMost = 500ms;
constexpr char const* kTooMany = "53300";
}  // namespace

std::uint64_t Pools::take(PoolKey const& key) {
    auto const at = pools_.find(key);
    if (held(key) || is_paused(key.database) || at == pools_.end() || !at->second.queue.empty() ||
        at->second.idle.empty())
        return 0;
    auto const server = at->second.idle.back().server;
    at->second.idle.pop_back();
    return server;
}

void Pools::want(std::uint64_t client, PoolKey const& key, Instant now) {
    waiting_[client] = key;
    pools_[key].queue.push_back({client, now});
}

void Pools::forget(std::uint64_t client) {
    auto const known = waiting_.find(client);
    if (known == waiting_.end()) return;
    auto const pool = pools_.find(known->second);
    if (pool != pools_.end())
        std::erase_if(pool->second.queue, [client](Waiter const& one) { return one.client == client; });
    waiting_.erase(known);
}

bool Pools::ready(std::uint64_t server, Instant now) {
    auto const known = servers_.find(server);
    if (known == servers_.end()) return false;
    auto const& key = known->second.key;
    auto& pool = pools_[key];
    bool const opened = std::exchange(known->second.opening, false);
    if (opened) {
        --pool.opening;
        --opening_;
        pool.pause = {};
        pool.trouble.clear();
    }
    pool.idle.push_back({server, now});
    wake_at(rests_until(pool.idle.back(), known->second));
    return opened || !waiting_.empty() || is_paused(key.database);
}

void Pools::drop(std::uint64_t server) {
    auto const known = servers_.find(server);
    if (known == servers_.end()) return;
    auto& pool = pools_[known->second.key];
    std::erase_if(pool.idle, [server](Resting const& one) { return one.server == server; });
    if (known->second.opening) {
        --pool.opening;
        --opening_;
    }
    --pool.total;
    auto const database = per_database_.find(known->second.key.database);
    if (--database->second == 0) per_database_.erase(database);
    servers_.erase(known);
}

void Pools::gone(std::uint64_t server) { drop(server); }

void Pools::failed(std::uint64_t server, Failure const& failure, Instant now) {
    auto const known = servers_.find(server);
    if (known == servers_.end()) return;
    auto const key = known->second.key;
    auto& pool = pools_[key];
    drop(server);
    pool.trouble = failure.text;
    pool.pause = pool.pause == Duration{} ? kPauseFirst : std::min(pool.pause * 2, kPauseMost);
    pool.again = now + pool.pause;
    // The server takes no more; others of ours, which it has, do nothing.
    if (failure.code == kTooMany) (void)evict([&](PoolKey const& other) { return other.node == key.node; });
    if (!failure.lasting) return;
    // Whoever waits would wait for the same answer.
    refused_.insert(refused_.end(), pool.queue.size(), {});
    std::size_t at = refused_.size() - pool.queue.size();
    for (auto const& waiter : pool.queue) {
        waiting_.erase(waiter.client);
        refused_[at++] = {waiter.client, failure.code, failure.text, {}};
    }
    pool.queue.clear();
    pool.again = {};
    pool.pause = {};
}

void Pools::close_idle(Pool& pool) {
    while (!pool.idle.empty()) {
        auto const server = pool.idle.back().server;
        drop(server);
        to_close_.push_back({server});
    }
}

void Pools::close_primary() {
    for (auto& [key, pool] : pools_) {
        if (!key.node.value.empty()) continue;
        close_idle(pool);
        pool.again = {};
        pool.pause = {};
    }
}

void Pools::close_idle(std::string const& database) {
    for (auto& [key, pool] : pools_) {
        if (database.empty() || key.database == database) close_idle(pool);
    }
}

bool Pools::wants_more(PoolKey const& key, Pool const& pool, Instant now) const {
    if (opening_ >= policy_.connecting_max || now < pool.again || pool.opening >= pool.queue.size()) return false;
    std::size_t most = policy_.pool_size_of(key.lane);
    if (!pool.queue.empty() && now - pool.queue.front().since >= policy_.reserve_after) most += policy_.reserve_pool;
    return pool.total < most;
}

bool Pools::is_full(std::string const& database) const {
    auto const known = per_database_.find(database);
    return policy_.database_max != 0 && known != per_database_.end() && known->second >= policy_.database_max;
}

// Closes the server that rests longest in a pool that `fits`; false: none rests there.
template <class Fits>
bool Pools::evict(Fits fits) {
    Pool* oldest = nullptr;
    for (auto& [key, pool] : pools_) {
        bool const rests = !pool.idle.empty() && pool.queue.empty() && fits(key);
        if (rests && (oldest == nullptr || pool.idle.front().since < oldest->idle.front().since)) oldest = &pool;
    }
    if (oldest == nullptr) return false;
    auto const server = oldest->idle.front().server;
    drop(server);
    to_close_.push_back({server});
    return true;
}

void Pools::serve(PoolKey const& key, Pool& pool, Instant now, PoolActions& out) {
    while (!pool.queue.empty() && !pool.idle.empty()) {
        out.give.push_back({pool.queue.front().client, pool.idle.back().server});
        waiting_.erase(pool.queue.front().client);
        pool.queue.pop_front();
        pool.idle.pop_back();
    }
    while (wants_more(key, pool, now)) {
        // Whoever rests makes room for whoever waits.
        if (is_full(key.database) && !evict([&](PoolKey const& other) { return other.database == key.database; }))
            break;
        auto const server = ++next_server_;
        servers_[server] = {key, true, now};
        ++pool.total;
        ++pool.opening;
        ++opening_;
        ++per_database_[key.database];
        out.open.push_back({key, server});
    }
    if (pool.queue.empty()) return;
    if (now < pool.again) wake_at(pool.again);
    if (policy_.reserve_pool > 0 && now - pool.queue.front().since < policy_.reserve_after)
        wake_at(pool.queue.front().since + policy_.reserve_after);
}

// What the first in the queue is told, whose time is up.
Turn Pools::turn_of(PoolKey const& key, Pool const& pool) const {
    auto const client = pool.queue.front().client;
    auto const waited = to_ms(policy_.wait_max);
    if (held(key))
        return {client, "57P03", fmt::format("no primary for {} ms: {}", waited, held_),
                "Try again; pgkeel status shows the cluster."};
    if (is_paused(key.database))
        return {client, "57P03",
                fmt::format("database \"{}\" is paused by an operator; waited for {} ms", key.database, waited),
                "Try again later; RESUME in the proxy's console ends it."};
    if (!pool.trouble.empty() && pool.total == pool.opening)
        return {client, "08006", fmt::format("no server connection for {} ms: {}", waited, pool.trouble), {}};
    return {client, "53300",
            fmt::format("query_wait_timeout: {} ms in the queue of database \"{}\", user \"{}\" ({} waiting, {} of "
                        "{} connections in use)",
                        waited, key.database, key.user, pool.queue.size(), pool.total - pool.opening - pool.idle.size(),
                        policy_.pool_size_of(key.lane)),
            "Raise pool_size, or shorten the transactions."};
}

void Pools::expire(PoolKey const& key, Pool& pool, Instant now, PoolActions& out) {
    while (!pool.queue.empty() && now - pool.queue.front().since >= policy_.wait_max) {
        auto turn = turn_of(key, pool);
        waiting_.erase(turn.client);
        pool.queue.pop_front();
        out.turn_away.push_back(std::move(turn));
    }
    if (!pool.queue.empty()) wake_at(pool.queue.front().since + policy_.wait_max);
}

void Pools::sweep_idle(Pool& pool, Instant now, PoolActions& out) {
    // The first is the one that rests longest.
    while (!pool.idle.empty()) {
        auto const& oldest = pool.idle.front();
        auto const until = rests_until(oldest, servers_.at(oldest.server));
        if (now < until) {
            wake_at(until);
            break;
        }
        out.close.push_back({oldest.server});
        drop(oldest.server);
    }
}

// Idle for too long, or too old.
Instant Pools::rests_until(Resting const& resting, Known const& known) const {
    return std::min(resting.since + policy_.server_idle_max, known.born + policy_.server_life_max);
}

void Pools::wake_at(Instant time) { next_time_ = std::min(next_time_, time); }

PoolActions Pools::step(Instant now) {
    PoolActions out;
    out.turn_away = std::move(refused_);
    refused_.clear();
    next_time_ = Instant::max();
    for (auto at = pools_.begin(); at != pools_.end();) {
        auto& [key, pool] = *at;
        bool const paused = is_paused(key.database);
        if (paused) close_idle(pool);
        if (!held(key) && !paused) serve(key, pool, now, out);
        expire(key, pool, now, out);
        sweep_idle(pool, now, out);
        if (pool.total == 0 && pool.queue.empty() && now >= pool.again)
            at = pools_.erase(at);
        else
            ++at;
    }
    out.close.insert(out.close.end(), to_close_.begin(), to_close_.end());
    to_close_.clear();
    return out;
}

bool Pools::is_paused(std::string const& database) const {
    return !paused_.empty() && (paused_.contains(database) || paused_.contains({}));
}

std::size_t Pools::servers(std::string const& database) const {
    if (database.empty()) return servers_.size();
    auto const known = per_database_.find(database);
    return known == per_database_.end() ? 0 : known->second;
}

std::map<PoolKey, PoolCounts> Pools::counts(Instant now) const {
    std::map<PoolKey, PoolCounts> out;
    for (auto const& [key, pool] : pools_) {
        auto& one = out[key];
        one.waiting = pool.queue.size();
        one.idle = pool.idle.size();
        one.opening = pool.opening;
        one.used = pool.total - pool.opening - pool.idle.size();
        if (!pool.queue.empty()) one.longest_wait = now - pool.queue.front().since;
    }
    return out;
}

}  // namespace keel::proxy
