// The inside of relay::Relay: its connections, and what its parts share. Private to this folder.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "proxy/figures.h"
#include "proxy/outcome.h"
#include "proxy/pool.h"
#include "proxy/session.h"
#include "relay/outlet.h"
#include "relay/relay.h"
#include "runtime/clock.h"

namespace keel::relay {

struct Backend;

// A client's connection.
struct Client : runtime::Poller::Handler {
    Client(Relay::State& of, runtime::Wire given, proxy::Session::Seed seed, Listener const& from);
    void on_ready(runtime::Poller::Ready ready) override;

    Relay::State& state;
    runtime::Wire wire;
    proxy::Session session;
    Target target;
    std::size_t lane;  // of Options::readings
    Outlet outlet;
    Backend* backend = nullptr;
    bool handshaking = false;
    bool waiting = false;                         // in a pool's queue
    std::unique_ptr<proxy::PoolKey> waiting_for;  // while it waits
    bool fell_back = false;                       // it wants a standby, and there was none
    std::optional<Lsn> check;                     // how far the standby that it waits for must have replayed
    Instant see_again{};                          // not before
    Instant see_until{};                          // then it does without a standby
    Instant see_pause{};                          // until then it does not wait again
    Instant checked{};                            // when a standby was asked last
    bool closing = false;                         // nothing but the rest of its answers goes on
    bool gone = false;
    bool counted = false;     // as a login of its user
    bool asked = false;       // its console command goes on
    proxy::Counts* counts;    // of its pool, once it had a server
    Instant waiting_since{};  // for a server; the next two as well: unset, it does not
    Instant busy_since{};     // a query is at its server
    Instant open_since{};     // that, or a transaction is open
    runtime::Poller::Ready interest{true, false};
    Instant since;
    Instant active;        // something came from it, or went to it
    Instant rested{};      // what `active` was when its memory was given back
    Instant fate_again{};  // not before
    Instant fate_until{};
};

// A connection to a server.
struct Backend : runtime::Poller::Handler {
    Backend(Relay::State& of, runtime::Wire given, proxy::Server::Seed seed);
    void on_ready(runtime::Poller::Ready ready) override;

    enum class Stage { connecting, asking_tls, handshaking, login, open, cleaning };
    Relay::State& state;
    runtime::Wire wire;
    proxy::Server server;
    Outlet outlet;
    Client* client = nullptr;
    Stage stage = Stage::connecting;
    bool use_tls = false;
    bool gone = false;
    bool paused = false;  // not read: its client takes nothing
    int cancels = 0;      // on their way to it: it is given to nobody meanwhile
    std::string in;       // of the login
    std::string name;     // of the node
    runtime::Poller::Ready interest{false, true};
    Instant since;
};

// A cancel request on its way to a server.
struct Canceller : runtime::Poller::Handler {
    Canceller(Relay::State& of, runtime::Wire given, std::uint64_t to)
        : state(of), wire(std::move(given)), backend(to) {}
    void on_ready(runtime::Poller::Ready ready) override;
    void end();

    enum class Stage { connecting, asking_tls, handshaking, sent };
    Relay::State& state;
    runtime::Wire wire;
    std::uint64_t backend;
    Stage stage = Stage::connecting;
    bool use_tls = false;
    std::string request;
    std::string tls_name;  // whom the certificate must name
    Instant since;
};

struct Door : runtime::Poller::Handler {
    Door(Relay::State& of, Listener const& from, int opened) : state(of), listener(from), descriptor(opened) {}
    ~Door() override;
    void on_ready(runtime::Poller::Ready ready) override;
    Relay::State& state;
    Listener listener;
    int descriptor;
};

struct Relay::State {
    State(runtime::Poller& with, Options given);

    // One clock for all events that came at once; what other threads gave meanwhile may have read a later one.
    void see_time() { now = std::max(now, poller.woke()); }

    // relay.cc
    void keep_time();
    Duration idle_time() const;
    void run_pools();
    void apply_hold();
    void users_known();
    void sweep_clients();
    void sweep(Client& client);
    void send_away();
    void meet_fates();
    void read_late();
    void sweep_servers();

    // clients.cc
    void accept(Door& door);
    void on_client(Client& client, runtime::Poller::Ready ready);
    bool read_client(Client& client);
    bool shake_client(Client& client);
    void attend(Client& client);
    void meet_need(Client& client);
    void check_login(Client& client);
    void note_credentials(std::string const& user, proxy::Credentials const& shown);
    bool may_replicate(Client& client, auth::User const& user);
    void meet_fate(Client& client);
    void pass_cancel(Client& client);
    bool send_cancel(protocol::Cancel const& asked);
    void flush(Client& client);
    bool is_full(Client const& client) const;
    void close(Client& client);
    void set_interest(Client& client);

    // figures.cc
    void note_given(Client& client);
    void note_work(Client& client);
    proxy::Snapshot snapshot() const;

    // console.cc
    void run_command(Client& client);
    void finish_command(Client& client, std::string_view messages);
    void leave_console(Client& client);
    bool cancel_command(Client& client);
    void meet_pauses();
    void pause(Client& client, std::string const& database);
    void resume(Client& client, std::string const& database);
    void reconnect(std::string const& database);
    std::size_t kill(std::function<bool(Client const&)> const& fits);
    std::vector<std::string> apply(Options next);
    void take_reloaded(Result<Options> next);

    // console_show.cc
    proxy::Table show(std::string const& what) const;

    // backends.cc
    void open(proxy::Open const& wanted);
    void on_backend(Backend& backend, runtime::Poller::Ready ready);
    bool connect_backend(Backend& backend);
    void read_backend(Backend& backend);
    void resume(Backend& backend);
    void take_login(Backend& backend);
    void lose(Backend& backend, bool complete);
    void give(Client& client, Backend& backend);
    void release(Client& client);
    void put_back(Backend& backend);
    void flush(Backend& backend);
    void destroy(Backend& backend);
    void set_interest(Backend& backend);
    void fail_open(std::uint64_t id, proxy::PoolKey const& key, proxy::Pools::Failure failure);

    // split.cc
    struct Choice {
        NodeId node;  // empty: the primary
        std::optional<Lsn> check;
        bool later = false;  // none now, perhaps soon
    };
    std::vector<cluster::RouteNode const*> usable_for(Client const& client) const;
    NodeId pick(std::vector<cluster::RouteNode const*> usable, Balance balance);
    Lsn replay_of(cluster::RouteNode const& node) const;
    Lsn replayed_at_least(Backend const& backend) const;
    void note_replayed(Client& client, proxy::Server const& server);
    Choice choose_seeing(Client& client, std::vector<cluster::RouteNode const*> const& usable);
    Choice choose(Client& client);
    Reading const& reading_of(Client const& client) const { return options.readings[client.lane]; }
    bool may_use_primary(Client const& client) const;
    Duration seeing_wait(Client const& client) const;
    Choice choose_without(Client& client);
    void want_server(Client& client);
    void hand_over(Client& client, Backend& backend);
    void meet_replays();
    void reroute(std::function<bool(Client const&)> const& fits);
    void avoid(proxy::PoolKey const& key);
    void meet_standbys();
    void sweep_standbys();
    void ask_catalogue(std::string const& database);
    void keep_catalogues();
    void sweep_catalogues();
    void take_catalogue(std::string const& database, CatalogueNews news);

    // routes.cc
    void take_routes(cluster::Routes next);
    bool takes_reads(cluster::RouteNode const& one, Reading const& reading) const;
    cluster::RouteNode const* node(NodeId const& id) const;
    std::vector<proxy::Reign> reigns() const;
    Timeline timeline_of(Epoch epoch) const;
    bool may_ask_fate(Client const& client, Backend const& backend) const;

    runtime::Poller& poller;
    Options options;
    proxy::SettingsPool settings;
    proxy::PreparedPool prepared;
    proxy::TextCache texts;
    auth::UserTable users;
    proxy::Welcomes welcomes;
    proxy::Judges judges;
    proxy::Shared shared;
    proxy::Pools pools;
    cluster::Routes routes;
    Instant routes_at{};
    std::vector<proxy::Fork> history;      // of the routes
    std::map<NodeId, Instant> streamless;  // since when a standby that streamed has had no leader to stream from
    bool silent = true;
    Instant silent_since{};
    Instant users_at{};
    bool users_asked = false;
    Instant users_asked_at{};
    std::unordered_map<std::uint64_t, std::shared_ptr<Client>> clients;
    std::unordered_map<std::uint64_t, std::shared_ptr<Backend>> backends;
    std::unordered_map<Canceller*, std::shared_ptr<Canceller>> cancellers;
    std::unordered_map<std::uint32_t, std::uint64_t> by_process;  // key of a client for cancelling, to its number
    std::map<std::string, proxy::Credentials> credentials;        // by user
    std::map<std::string, int> logins;                            // by user
    std::vector<std::size_t> crowds;                              // clients by lane
    std::vector<std::unique_ptr<Door>> doors;
    std::vector<char> scratch;
    Spare spare;
    std::uint64_t next_client = 0;
    std::size_t turn = 0;  // of round_robin
    Instant now;
    Instant swept{};
    proxy::Periods periods;
    std::map<std::uint64_t, std::string> pausing;  // clients of the console whose PAUSE goes on, and of what
    std::vector<std::uint64_t> reloading;          // clients of the console who wait for RELOAD
    std::int64_t started_unix_ms = 0;
    std::vector<std::uint64_t> late_reads;       // clients of whom TLS has read more than was taken
    std::vector<std::uint64_t> waiting_users;    // clients whose user is to be looked up
    std::vector<std::uint64_t> waiting_fates;    // clients whose lost transaction is to be asked for again soon
    std::vector<std::uint64_t> waiting_replays;  // clients who look for a standby again soon
    struct Replayed {
        Timeline timeline;
        Lsn lsn;
        Instant at{};  // when it was asked
    };
    std::map<NodeId, Replayed> replayed;    // what standbys said of themselves
    std::map<proxy::PoolKey, Instant> shy;  // standbys that could not be connected to, and until when
    std::map<NodeId, Instant> unheard;      // since when
    struct CatalogueState {
        std::string version;
        Instant asked{};
        Instant had{};
    };
    std::map<std::string, CatalogueState> catalogues;  // by database
    bool pools_changed = true;
    std::optional<Instant> ends;  // drain(): then at the latest
    bool stopping = false;
};

}  // namespace keel::relay
