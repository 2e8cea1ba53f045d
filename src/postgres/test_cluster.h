// Real PostgreSQL servers in a temporary directory, for the tests of this folder. As root they run as user postgres.
#pragma once

#include <arpa/inet.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "postgres/directory.h"
#include "postgres/job.h"
#include "postgres/libpq.h"
#include "postgres/names.h"
#include "postgres/server.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/pki.h"

namespace keel::postgres::test {

// For good: PostgreSQL refuses to run as root.
inline void become_postgres() {
    if (::geteuid() != 0) return;
    auto const* user = ::getpwnam("postgres");
    ASSERT_NE(user, nullptr) << "the tests need the user postgres";
    ASSERT_EQ(::initgroups("postgres", user->pw_gid), 0);
    ASSERT_EQ(::setgid(user->pw_gid), 0);
    ASSERT_EQ(::setuid(user->pw_uid), 0);
}

inline std::uint16_t free_port() {
    int const fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

template <class Condition>
bool eventually(Condition condition, Duration limit = 20s) {
    Bound const bound(limit);
    do {
        if (condition()) return true;
    } while (bound.pause(5ms));
    return false;
}

struct TestNode {
    Place place;
    std::unique_ptr<Server> server;
    std::uint64_t commands = 0;

    cluster::CommandDone run(cluster::Command command, Peers const& peers = {}, ProgressListener const& progress = {}) {
        command.id = ++commands;
        return server->run(command, peers, progress);
    }
    Result<Connection> connect() { return Connection::open(local_conninfo(place, "test"), Bound(5s)); }
    std::string sql(std::string const& text) {
        auto connection = connect();
        if (!connection) return "connection: " + connection.error().text;
        auto const value = connection->query(text, Bound(20s));
        if (!value) return "error: " + value.error().text;
        return value->empty() || value->front().empty() ? "" : value->front().front().value_or("NULL");
    }
};

// A directory with a cluster authority and nodes with certificates; servers are killed at the end.
class TestCluster {
  public:
    TestCluster() {
        become_postgres();
        // In memory where there is one: the tests kill processes, not machines, and initdb alone syncs 1000 files.
        std::string name = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/pgkeel-pg-XXXXXX" : "/tmp/pgkeel-pg-XXXXXX";
        root_ = ::mkdtemp(name.data());
        authority_ = runtime::make_authority("test").value();
    }
    ~TestCluster() {
        for (auto& node : nodes_) {
            static_cast<void>(node->server->kill());
            node->server.reset();
        }
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    // The startup process's own word, by a walsender: the timeline of the last WAL that was replayed.
    std::string replayed_timeline(TestNode const& node) {
        auto info = peer_conninfo(node.place, peers.at(node.place.id), kReplicator, "test");
        info.emplace_back("replication", "true");
        auto const got = run_job(
            {.argv = {node.place.binary("psql"), "-XAt", "-F,", "-c", "IDENTIFY_SYSTEM", to_string(info)}}, Bound(5s));
        if (!got) return got.error().text;
        auto const from = got->find(',') + 1;
        return got->substr(from, got->find(',', from) - from);
    }
    TestNode& add(std::string const& name) {
        auto node = std::make_unique<TestNode>();
        node->place.directory = root_ + "/" + name;
        node->place.id = {runtime::random_uuid()};
        node->place.name = name;
        node->place.port = free_port();
        node->place.listen_addresses = {"127.0.0.1"};
        node->place.binaries = find_binaries().at(0);
        EXPECT_TRUE(runtime::ensure_directory(node->place.directory + "/pki", 0700));
        auto const pair = runtime::issue_node(authority_, {node->place.id, {"127.0.0.1"}}).value();
        EXPECT_TRUE(runtime::write_atomically(node->place.pki("ca.crt"), authority_.certificate, 0644));
        EXPECT_TRUE(runtime::write_atomically(node->place.pki("node.crt"), pair.certificate, 0644));
        EXPECT_TRUE(runtime::write_atomically(node->place.pki("node.key"), pair.key.reveal(), 0600));
        node->server = std::make_unique<Server>(node->place);
        peers[node->place.id] = {"127.0.0.1", node->place.port};
        nodes_.push_back(std::move(node));
        Settings settings;
        for (auto const& [id, unused] : peers) settings.members.insert(id);
        for (auto const& one : nodes_) EXPECT_TRUE(one->server->set_settings(settings));
        return *nodes_.back();
    }
    Peers peers;

  private:
    std::string root_;
    runtime::Pair authority_;
    std::vector<std::unique_ptr<TestNode>> nodes_;
};

// A client that inserts one row after the other until its server is gone, counting what was acknowledged.
class Writer {
  public:
    explicit Writer(TestNode& node, int worker = 0)
        : thread_([this, &node, worker](std::stop_token const& stop) {
              auto connection = node.connect();
              while (connection && connection->is_open() && !stop.stop_requested()) {
                  if (connection->query("INSERT INTO public.t(worker) VALUES ($1::int)", Bound(60s),
                                        {std::to_string(worker)}))
                      ++acknowledged;
              }
              ended = true;
          }) {}
    std::atomic<long> acknowledged = 0;
    std::atomic<bool> ended = false;

  private:
    std::jthread thread_;
};

using cluster::Command;
using cluster::Names;
using cluster::Verb;
using ServerState = cluster::Server;

inline Command command(Verb verb, NodeId peer = {}) {
    Command out;
    out.verb = verb;
    out.peer = std::move(peer);
    return out;
}
inline Command promotion(std::uint32_t timeline, Names names = {}) {
    Command out = command(Verb::promote);
    out.timeline = {timeline};
    out.names = std::move(names);
    return out;
}
inline Command naming(Names names) {
    Command out = command(Verb::set_names);
    out.names = std::move(names);
    return out;
}

#define RUN(...)                           \
    do {                                   \
        auto const done = (__VA_ARGS__);   \
        ASSERT_TRUE(done.ok) << done.text; \
    } while (false)

// a: a primary on timeline 2 with a table. b: clones it and streams.
struct Pair : TestCluster {
    TestNode& a = add("a");
    TestNode& b = add("b");

    void make_primary() {
        auto const made = init(a.place, {});
        ASSERT_TRUE(made) << to_string(made.error());
        EXPECT_EQ(made->system_id, system_id(a.place).value());
        RUN(a.run(command(Verb::start)));
        ASSERT_TRUE(eventually([&] { return a.server->observe().settled; }));
        RUN(a.run(promotion(2)));
        ASSERT_EQ(a.sql("CREATE TABLE public.t(id bigserial PRIMARY KEY, worker int)"), "");
    }
    void make_standby() {
        auto slots = command(Verb::slots);
        slots.members = {a.place.id, b.place.id};
        RUN(a.run(slots));
        RUN(b.run(command(Verb::clone, a.place.id), peers));
        RUN(b.run(command(Verb::start, a.place.id), peers));
        ASSERT_TRUE(eventually([&] { return b.server->observe().receiver; }));
    }
    bool level() {
        return eventually([&] {
            auto const left = a.server->observe();
            auto const right = b.server->observe();
            return right.flush >= left.flush && right.replay == right.flush;
        });
    }
};

}  // namespace keel::postgres::test
