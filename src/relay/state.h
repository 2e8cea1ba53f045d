// The inside of relay::Relay: its connections, and what its parts share. Private to this folder.
#pragma once

#include <map>
#include <unordered_map>

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
    Client(Relay::State& of, runtime::Wire given, proxy::Session::Seed seed, Target where);
    void on_ready(runtime::Poller::Ready ready) override;

    Relay::State& state;
    runtime::Wire wire;
    proxy::Session session;
    Target target;
    Outlet outlet;
    Backend* backend = nullptr;
    bool handshaking = false;
    bool waiting = false;  // in a pool's queue
    bool closing = false;  // nothing but the rest of its answers goes on
    bool gone = false;
    bool counted = false;  // as a login of its user
    runtime::Poller::Ready interest{true, false};
    Instant since;
    Instant active;        // something came from it, or went to it
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

    // relay.cc
    void keep_time();
    Duration idle_time() const;
    void run_pools();
    void apply_hold();
    void users_known();
    void sweep_clients();
    void sweep(Client& client);
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
    void want_server(Client& client);
    void meet_fate(Client& client);
    void pass_cancel(Client& client);
    void flush(Client& client);
    void close(Client& client);
    void set_interest(Client& client);

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
    void fail_open(std::uint64_t id, proxy::Pools::Failure failure);

    // routes.cc
    void take_routes(cluster::Routes next);
    proxy::PoolKey key_of(Client const& client);
    NodeId standby_for(Client const& client);
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
    proxy::Shared shared;
    proxy::Pools pools;
    cluster::Routes routes;
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
    std::vector<std::unique_ptr<Door>> doors;
    std::vector<char> scratch;
    std::uint64_t next_client = 0;
    std::size_t turn = 0;  // of round_robin
    Instant now;
    Instant swept{};
    Totals counted;
    std::vector<std::uint64_t> late_reads;     // clients of whom TLS has read more than was taken
    std::vector<std::uint64_t> waiting_users;  // clients whose user is to be looked up
    std::vector<std::uint64_t> waiting_fates;  // clients whose lost transaction is to be asked for again soon
    bool pools_changed = true;
    bool stopping = false;
};

}  // namespace keel::relay
