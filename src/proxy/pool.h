// Who gets which server connection: per database, user and node, first come first served, within limits. Pure: it is
// handed `now`, and says what to open, what to close and whom to give what.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/policy.h"
#include "proxy/server.h"

namespace keel::proxy {

struct Open {
    PoolKey key;
    std::uint64_t server = 0;  // the number it is to have
};
struct Close {
    std::uint64_t server = 0;
};
struct Give {
    std::uint64_t client = 0;
    std::uint64_t server = 0;
};
struct Turn {
    std::uint64_t client = 0;
    std::string code;
    std::string text;
    std::string hint;
};

struct PoolActions {
    std::vector<Open> open;
    std::vector<Close> close;
    std::vector<Give> give;
    std::vector<Turn> turn_away;
};

struct PoolCounts {
    std::size_t waiting = 0;
    std::size_t idle = 0;
    std::size_t used = 0;
    std::size_t opening = 0;
    Duration longest_wait{0};
};

class Pools {
  public:
    explicit Pools(Policy const& policy) : policy_(policy) {}

    // An idle server at once, when nobody waits before; 0: there is none. Taken as if given.
    std::uint64_t take(PoolKey const& key);
    // The client's turn comes by a Give, or a Turn.
    void want(std::uint64_t client, PoolKey const& key, Instant now);
    // It does not want any more.
    void forget(std::uint64_t client);
    // A server that step() asked for is there, or came back from a client and is as new. False: it rests, and there is
    // nothing for step() to do before next_time().
    bool ready(std::uint64_t server, Instant now);
    // It was given back, and is not to be used again until ready() or gone().
    void gone(std::uint64_t server);
    // It could not be opened. `lasting`: whoever waits for this pool is told so; else it is tried again later.
    struct Failure {
        bool lasting = false;
        std::string code;
        std::string text;
    };
    void failed(std::uint64_t server, Failure const& failure, Instant now);
    // Forgets the idle servers that lead to the primary; they are to be closed.
    void close_primary();
    // While held nobody gets the primary: `why` is told to those whose time is up.
    void hold(std::string why) { held_ = std::move(why); }
    bool held() const { return !held_.empty(); }
    std::string const& hold_reason() const { return held_; }
    // While paused nobody gets a server of this database (empty: of any), and what comes back is closed. False: it is
    // so already, or was not.
    bool pause(std::string const& database) { return paused_.insert(database).second; }
    bool resume(std::string const& database) { return paused_.erase(database) > 0; }
    std::set<std::string> const& paused() const { return paused_; }
    bool is_paused(std::string const& database) const;
    // Connections of any state, of one database or (empty) of all.
    std::size_t servers(std::string const& database) const;
    // Closes what is idle in this database (or in all), as RECONNECT wants it.
    void close_idle(std::string const& database);

    // What is to be done now.
    PoolActions step(Instant now);
    // When step() should be called again without another event.
    Instant next_time() const { return next_time_; }

    std::map<PoolKey, PoolCounts> counts(Instant now) const;

  private:
    struct Waiter {
        std::uint64_t client = 0;
        Instant since;
    };
    struct Resting {
        std::uint64_t server = 0;
        Instant since;
    };
    struct Pool {
        std::deque<Waiter> queue;
        std::vector<Resting> idle;  // the last one in is the first one out
        std::size_t total = 0;      // servers of any state
        std::size_t opening = 0;
        Instant again{};  // nothing is opened before
        Duration pause{};
        std::string trouble;  // why the last one could not be opened
    };
    struct Known {
        PoolKey key;
        bool opening = true;
        Instant born;
    };

    void serve(PoolKey const& key, Pool& pool, Instant now, PoolActions& out);
    void expire(PoolKey const& key, Pool& pool, Instant now, PoolActions& out);
    void sweep_idle(Pool& pool, Instant now, PoolActions& out);
    bool held(PoolKey const& key) const { return held() && key.node.value.empty(); }
    Turn turn_of(PoolKey const& key, Pool const& pool) const;
    void close_idle(Pool& pool);
    bool wants_more(PoolKey const& key, Pool const& pool, Instant now) const;
    bool is_full(std::string const& database) const;
    template <class Fits>
    bool evict(Fits fits);
    void drop(std::uint64_t server);
    void wake_at(Instant time);
    Instant rests_until(Resting const& resting, Known const& known) const;

    Policy const& policy_;
    std::map<PoolKey, Pool> pools_;
    std::unordered_map<std::uint64_t, Known> servers_;
    std::unordered_map<std::uint64_t, PoolKey> waiting_;
    std::map<std::string, std::size_t> per_database_;
    std::vector<Close> to_close_;
    std::vector<Turn> refused_;
    std::size_t opening_ = 0;
    std::uint64_t next_server_ = 0;
    std::string held_;
    std::set<std::string> paused_;
    Instant next_time_ = Instant::max();
};

}  // namespace keel::proxy
