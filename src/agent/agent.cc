#include "agent/agent.h"

#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#include "agent/alerting.h"
#include "agent/backups.h"
#include "agent/certificates.h"
#include "agent/errands.h"
#include "agent/feed.h"
#include "agent/ledger.h"
#include "agent/membership.h"
#include "agent/stopping.h"
#include "agent/store_choice.h"
#include "peer/channel.h"
#include "postgres/gate.h"
#include "postgres/process.h"
#include "postgres/server.h"
#include "runtime/blocking.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/scope.h"
#include "runtime/signals.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

// Everything of a running agent. Members are destroyed in the reverse order: whoever uses comes behind what it uses.
struct Agent {
    Agent(config::NodeConfig given, Prepared ready, DeadlineFile words)
        : config(std::move(given)),
          prepared(std::move(ready)),
          deadline(std::move(words)),
          incarnation(runtime::random_u64()),
          disk("disk"),
          signals(io),
          ended(io),
          scope(io) {}

    Status build(MakeHandler const& make_handler);
    Status build_channel();
    Status build_store();
    Status build_http(MakeHandler const& make_handler);
    Status build_server();
    void build_driver();
    void begin();
    int run();

    Task<void> tick_for_ever();
    Task<void> heed_signals();
    Task<void> end(int code);
    void stop_with(int code, std::string why);
    void on_record(cluster::Record const& record);
    void on_refused(NodeId const& by, peer::Refused const& why);
    Status apply_settings();
    Result<std::string> reload();

    config::NodeConfig config;
    Prepared prepared;
    DeadlineFile deadline;
    std::optional<postgres::Gate> gate;  // none: a witness
    std::uint64_t incarnation;
    runtime::Io io;
    runtime::Worker disk;
    runtime::Signals signals;
    runtime::Event ended;
    runtime::Scope scope;
    std::unique_ptr<peer::Channel> channel;
    ChosenStore store;
    std::unique_ptr<postgres::Server> server;
    std::unique_ptr<Supervisor> supervisor;
    std::unique_ptr<Driver> driver;
    std::unique_ptr<Feed> feed;
    std::unique_ptr<Desk> desk;
    std::unique_ptr<Membership> membership;
    runtime::HttpHandler handler;
    std::unique_ptr<runtime::HttpServer> http;
    std::unique_ptr<Certificates> certificates;
    std::unique_ptr<Alerting> alerting;  // none: a witness
    std::unique_ptr<Backups> backups;    // likewise
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<Ending> ending;
    int signals_seen = 0, exit_code = 0;
    bool stopping = false;
};

// ---- building ----

Status Agent::build_channel() {
    KEEL_TRY(auto server_tls, runtime::server_mutual(prepared.tls));
    KEEL_TRY(auto client_tls, runtime::client_mutual(prepared.tls));
    peer::ChannelOptions options;
    options.node = prepared.identity.node;
    options.incarnation = incarnation;
    options.cluster = prepared.identity.cluster_id;
    options.address = listen_address(config);
    options.port = config.peer_port;
    options.server = std::move(server_tls);
    options.client = std::move(client_tls);
    peer::Channel::Callbacks callbacks;
    callbacks.on_message = [this](NodeId const& from, peer::Topic topic, std::string_view body) {
        if (topic == peer::Topic::cluster)
            driver->receive(from, body);
        else if (topic == peer::Topic::store && store.embedded != nullptr)
            store.embedded->receive(from, body);
    };
    callbacks.on_call = [this](NodeId from, std::string method, std::string argument) {
        if (method == kLedgerCall) return ledger->answer(std::move(argument));
        if (alerting && method.starts_with(kAlertCall))
            return alerting->answer(std::move(from), std::move(method), std::move(argument));
        return certificates->answer(std::move(from), std::move(method), std::move(argument));
    };
    callbacks.is_member = [this](NodeId const& id) { return membership->contains(id); };
    callbacks.on_link = [this](NodeId const& peer, bool up) {
        if (up) membership->accepted_by(peer);
    };
    callbacks.on_refused = [this](NodeId const& by, peer::Refused const& why) { on_refused(by, why); };
    channel = std::make_unique<peer::Channel>(io, std::move(options), std::move(callbacks));
    return channel->listen();
}

Status Agent::build_store() {
    StoreParts parts;
    parts.io = &io;
    parts.scope = &scope;
    parts.disk = &disk;
    parts.send = [this](NodeId const& to, std::string body) { channel->send(to, peer::Topic::store, std::move(body)); };
    KEEL_TRY(store, open_store(config, prepared.identity, prepared.known, std::move(parts)));
    store.store->watch([this](cluster::Record const& record) {
        if (driver) driver->learn(record);
    });
    return {};
}

Status Agent::build_server() {
    if (!prepared.place) return {};
    KEEL_TRY(gate, postgres::Gate::open(config.directory));
    server = std::make_unique<postgres::Server>(*prepared.place);
    server->begin_probes(*gate);
    Supervisor::Callbacks callbacks;
    callbacks.on_observation = [this](cluster::Observation const& seen) { driver->observe(seen); };
    callbacks.on_done = [this](cluster::CommandDone const& done) { driver->command_done(done); };
    callbacks.on_postmaster = [this](pid_t pid, std::uint64_t start) { driver->set_postmaster(pid, start); };
    supervisor = std::make_unique<Supervisor>(io, *server, std::move(callbacks));
    return {};
}

void Agent::build_driver() {
    auto const left = deadline.view();
    cluster::Identity identity;
    identity.id = prepared.identity.node;
    identity.kind = config.kind;
    identity.incarnation = incarnation;
    identity.floor = prepared.floor;
    identity.inherited_deadline = left.armed ? left.deadline : Instant{};
    if (left.armed)
        log::info("agent", "takes over a server whose lease ends in {} ms", to_ms(left.deadline - runtime::boot_now()));
    Driver::Hands hands;
    hands.send = [this](NodeId const& to, std::string body) {
        channel->send(to, peer::Topic::cluster, std::move(body));
    };
    hands.store = store.store.get();
    hands.supervisor = supervisor.get();
    hands.deadline = &deadline;
    hands.gate = gate ? &*gate : nullptr;
    hands.fences_itself = [this] { return server && server->fence(*gate) == "full"; };
    hands.persist = [this](Epoch floor, std::function<void(Status)> done) {
        scope.spawn("persist", [this, floor, done = std::move(done)]() -> Task<void> {
            done(co_await runtime::run_blocking(disk, [this, floor] { return write_floor(config.directory, floor); }));
        });
    };
    hands.on_record = [this](cluster::Record const& record) { on_record(record); };
    hands.on_step = [this] { feed->step(driver->node()); };
    hands.on_fatal = [this](Error const& error) { stop_with(1, to_string(error)); };
    driver = std::make_unique<Driver>(std::move(identity), std::move(hands));
}

Status Agent::build_http(MakeHandler const& make_handler) {
    if (!make_handler) return {};
    KEEL_TRY(auto tls, runtime::server_optional_client(prepared.tls));
    handler = make_handler(*desk);
    runtime::HttpLimits limits;
    limits.connections = 256;  // should all proxy hosts listen to this node, there is room for the others still
    http = std::make_unique<runtime::HttpServer>(io, handler, limits);
    KEEL_CHECK(http->listen_tcp(listen_address(config), config.api_port, std::move(tls)));
    return http->listen_unix(config.agent_socket());
}

Status Agent::build(MakeHandler const& make_handler) {
    membership = std::make_unique<Membership>(prepared.identity.node, config.directory, scope, disk);
    KEEL_CHECK(build_channel());
    KEEL_CHECK(build_store());
    KEEL_CHECK(build_server());
    feed = std::make_unique<Feed>(io, prepared.place);
    build_driver();
    auto const fence = [this] { return server ? server->fence(*gate) : "none needed (a witness has no PostgreSQL)"; };
    Desk::Parts parts{
        driver.get(), store.store.get(), supervisor.get(), &prepared, [this] { return reload(); }, feed.get(), fence};
    desk = std::make_unique<Desk>(config, std::move(parts));
    ledger = std::make_unique<Ledger>(Ledger::Parts{desk.get(), driver.get(), channel.get()});
    KEEL_CHECK(build_http(make_handler));
    Alerting::Parts told{&io, &scope, desk.get(), channel.get(), config.directory};
    if (supervisor) {
        alerting = std::make_unique<Alerting>(std::move(told));
        backups = std::make_unique<Backups>(Backups::Parts{&io, &scope, desk.get(), driver.get(), supervisor.get()});
    }
    certificates = std::make_unique<Certificates>(
        io, Certificates::Parts{&prepared, driver.get(), channel.get(), http.get(), server.get(), desk->pki()});
    (void)apply_settings();  // of the last known record; what is wrong with them is said when the record is learnt
    if (prepared.known) channel->set_peers(membership->adopt(*prepared.known));
    return {};
}

// ---- what happens while it runs ----

void Agent::on_record(cluster::Record const& record) {
    if (auto const status = check_record(prepared, record); !status) {
        stop_with(kExitRefused, to_string(status.error()));
        return;
    }
    if (!record.members.contains(prepared.identity.node)) {
        stop_with(kExitLeft, kLeft);
        return;
    }
    if (membership->changed_by(record)) channel->set_peers(membership->adopt(record));
    if (auto const status = apply_settings(); !status)
        log::error("agent", "PostgreSQL's settings stay as they were: {}", to_string(status.error()));
}

Status Agent::apply_settings() {
    if (!server) return {};
    postgres::Settings settings;
    settings.node = config.postgres.parameters;
    settings.clone_rate_kbytes_max = config.postgres.clone_rate_kbytes_max;
    settings.extension = postgres::find_extension(prepared.place->binaries);
    auto const& learnt = driver->node().record();
    if (auto const& record = learnt ? learnt : prepared.known) {
        for (auto const& [id, unused] : record->members) settings.members.insert(id);
        settings.cluster = record->settings.postgres;
        settings.disk = {std::chrono::milliseconds(record->settings.disk_stall_ms), record->settings.disk_ballast};
        auto const own = record->members.find(prepared.identity.node);
        if (own != record->members.end()) settings.delayed_s = own->second.tags.delayed_s;
    }
    return server->set_settings(std::move(settings));
}

void Agent::on_refused(NodeId const& by, peer::Refused const& why) {
    auto const& record = driver->node().record();
    if (why.reason == "not a member" && record && membership->disowned_by(by, runtime::boot_now(), *record)) {
        stop_with(kExitLeft, kLeft);
        return;
    }
    if (why.reason != "duplicate") return;
    // Whoever holds the lease is the one that its voters know.
    if (driver->node().opinion().lease_deadline > runtime::boot_now()) {
        log::error("agent", "another process with this node's identity tries to join: {}", why.text);
        return;
    }
    if (!membership->duplicate_for(by, runtime::boot_now())) return;
    stop_with(kExitDuplicate,
              fmt::format("{} says: {} (mend: a directory was copied; empty the copy's, then pgkeel join)",
                          membership->name_of(by), why.text));
}

Result<std::string> Agent::reload() {
    KEEL_TRY(auto next, load_config(config.directory));
    auto const later = keys_for_restart(config, next);
    auto const before = config.postgres;
    config.postgres.parameters = next.postgres.parameters;
    config.postgres.clone_rate_kbytes_max = next.postgres.clone_rate_kbytes_max;
    if (auto const status = apply_settings(); !status) {
        config.postgres = before;
        return fail(status.error());
    }
    certificates->look_now();
    config.log = next.log;
    KEEL_CHECK(set_up_log(config));
    if (supervisor) {
        scope.spawn("reload", [this]() -> Task<void> {
            cluster::Command command;
            command.verb = cluster::Verb::configure;
            command.reason = "reload";
            (void)co_await supervisor->carry_out_aside(std::move(command));
        });
    }
    if (alerting) KEEL_CHECK(alerting->reload());
    if (later.empty()) return "node.toml has been read, PostgreSQL's configuration is being reloaded";
    return "node.toml has been read; these wait for a restart of the node: " + later;
}

Task<void> Agent::tick_for_ever() {
    for (;;) co_await runtime::sleep_for(driver->tick());
}

Task<void> Agent::heed_signals() {
    for (;;) {
        int const number = co_await signals.next();
        if (number == SIGHUP) {
            log::reopen();
            auto const done = reload();
            log::info("agent", "reload: {}", done ? *done : to_string(done.error()));
            continue;
        }
        ++signals_seen;
        if (signals_seen > 1 && ending) ending->hurry = true;
        if (signals_seen == 1) stop_with(0, "asked to stop");
    }
}

// ---- the end ----

void Agent::stop_with(int code, std::string why) {
    if (std::exchange(stopping, true)) return;
    exit_code = code;
    log::write(code == 0 ? log::Level::info : log::Level::error, "agent", "stops: " + why);
    // On its own, so that the scope whose child it is need not wait for itself.
    runtime::asio::co_spawn(
        io,
        [this, code]() -> Task<void> {
            co_await end(code);
            ended.notify();
        },
        [](std::exception_ptr thrown) {
            if (thrown) log::error("agent", "while stopping: {}", runtime::describe(thrown));
        });
}

Task<void> Agent::end(int code) {
    if (supervisor) {
        ending = std::make_unique<Ending>(*desk, *driver, *supervisor, *server, code != 0 && code != kExitLeft);
        // A directory of another cluster, and a failed disk, are left alone but for the fence.
        co_await end_server(*ending);
        if (postgres::server_processes(server->place().data()).empty()) deadline.disarm();
    }
    if (alerting) alerting->stop();
    if (http) co_await http->close();
    co_await scope.close();
    if (supervisor) co_await supervisor->close();
    co_await channel->close();
    io.stop();
}

void Agent::begin() {
    scope.supervise("signals", [this] { return heed_signals(); });
    scope.supervise("tick", [this] { return tick_for_ever(); });
    scope.supervise("orphans", [] { return runtime::collect_orphans(); });
    scope.supervise("phases", [this] { return record_phases(*desk, *driver); });
    scope.supervise("ledger", [this] { return ledger->run(); });
    scope.supervise("certificate", [this] { return certificates->keep_own(); });
    if (!supervisor) return;
    scope.supervise("members", [this] { return certificates->keep_members(); });
    scope.supervise("alerts", [this] { return alerting->run(); });
    scope.supervise("backups", [this] { return backups->run(); });
    scope.supervise("slots", [this] { return move_slots(*driver, *supervisor); });
    scope.supervise("errands", [this] { return do_errands(*desk, *driver, *supervisor, *prepared.place); });
    supervisor->begin();
}

int Agent::run() {
    begin();
    log::info("agent", "node {} ({}) of cluster {} is up: peers on {}:{}, PostgreSQL on port {}", config.name,
              prepared.identity.node.value, prepared.identity.cluster_id, listen_address(config), config.peer_port,
              config.postgres.port);
    io.run();
    return exit_code;
}

int refuse(Error const& error) {
    log::error("agent", "{}", to_string(error));
    return error.code == Code::unavailable || error.code == Code::exhausted ? 1 : kExitRefused;
}

}  // namespace

int run_agent(config::NodeConfig const& config, MakeHandler const& make_handler) {
    // Out of descriptors, a server that cannot be looked at would count as gone.
    runtime::raise_descriptor_limit();
    ::mallopt(M_ARENA_MAX, 2);  // six threads that mostly wait need no memory pool each
    if (auto const status = set_up_log(config); !status) return refuse(status.error());
    if (auto const status = runtime::become_subreaper(); !status) return refuse(status.error());
    auto prepared = prepare(config);
    if (!prepared) return refuse(prepared.error());
    auto words = DeadlineFile::open(config.directory);
    if (!words) return refuse(words.error());
    auto const agent = std::make_unique<Agent>(config, std::move(*prepared), std::move(*words));
    if (auto const status = agent->build(make_handler); !status) return refuse(status.error());
    return agent->run();
}

}  // namespace keel::agent
