#include "peer/testing.h"

namespace keel::peer {
namespace {

namespace asio = runtime::asio;

using runtime::Io;
using runtime::Stream;
using runtime::Task;
using runtime::testing::identity;
using runtime::testing::must;
using runtime::testing::run;
using runtime::testing::until;
using testing::connect;
using testing::Peer;

TEST(Channel, ThreeNodesHearEachOtherInOrder) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b"), c(io, authority, "c");
    std::map<NodeId, std::string> const all = {{NodeId{"a"}, a.here}, {NodeId{"b"}, b.here}, {NodeId{"c"}, c.here}};
    for (auto* peer : {&a, &b, &c}) peer->channel->set_peers(all);
    run(io, [](Peer& x, Peer& y, Peer& z) -> Task<void> {
        EXPECT_TRUE(co_await until([&] {
            return x.connected("b") && x.connected("c") && y.connected("a") && y.connected("c") && z.connected("a") &&
                   z.connected("b");
        }));
        for (int i = 0; i < 100; ++i) {
            x.channel->send(NodeId{"b"}, Topic::cluster, std::to_string(i));
            x.channel->send(NodeId{"c"}, Topic::store, std::to_string(i));
            y.channel->send(NodeId{"c"}, Topic::cluster, "from b");
            z.channel->send(NodeId{"nobody"}, Topic::cluster, "lost");
        }
        EXPECT_TRUE(co_await until([&] { return y.received.size() == 100 && z.received.size() == 200; }));
        int next = 0;
        for (auto const& one : y.received) {
            EXPECT_EQ(one.from.value, "a");
            EXPECT_EQ(one.topic, Topic::cluster);
            EXPECT_EQ(one.body, std::to_string(next++));
        }
        EXPECT_TRUE(x.received.empty());
    }(a, b, c));
}

TEST(Channel, CallsAreAnsweredWithResultsErrorsAndTimeouts) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b");
    connect(a, "a", b, "b");
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        auto const early = co_await x.channel->call(NodeId{"b"}, "status", "", 1s);
        EXPECT_EQ(early.error().code, Code::unavailable);
        EXPECT_EQ(early.error().outcome, Outcome::not_done);
        EXPECT_TRUE(co_await until([&] { return x.connected("b") && y.connected("a"); }));
        EXPECT_EQ(must(co_await x.channel->call(NodeId{"b"}, "status", "now", 10s)), "a status now");
        auto const failed = co_await x.channel->call(NodeId{"b"}, "fail", "", 10s);
        EXPECT_EQ(failed.error().code, Code::conflict);
        EXPECT_EQ(failed.error().mend, "try again");
        auto const never = co_await x.channel->call(NodeId{"b"}, "never", "", 20ms);
        EXPECT_EQ(never.error().code, Code::timeout);
        EXPECT_EQ(never.error().outcome, Outcome::unknown);
    }(a, b));
}

TEST(Channel, ACallWhoseConnectionBreaksIsUnknown) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a");
    auto b = std::make_unique<Peer>(io, authority, "b");
    connect(a, "a", *b, "b");
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        runtime::Scope scope(x.io);
        scope.spawn("closer", [&]() -> Task<void> {
            co_await runtime::sleep_for(20ms);
            co_await y.channel->close();
        });
        auto const broken = co_await x.channel->call(NodeId{"b"}, "never", "", 10s);
        EXPECT_EQ(broken.error().code, Code::unavailable) << broken.error().text;
        EXPECT_EQ(broken.error().outcome, Outcome::unknown);
        co_await scope.close();
    }(a, *b));
}

TEST(Channel, FindsARestartedPeerAgain) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a");
    auto b = std::make_unique<Peer>(io, authority, "b", 1);
    connect(a, "a", *b, "b");
    run(io, [](Peer& x, std::unique_ptr<Peer>& y, runtime::Pair const& ca) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b") && y->connected("a"); }));
        auto const port = y->channel->port();
        co_await y->channel->close();
        y.reset();
        EXPECT_TRUE(co_await until([&] { return !x.connected("b"); }));
        // Another incarnation at once: it is no duplicate, as the old one's connection is closed.
        y = std::make_unique<Peer>(x.io, ca, "b", 2, "c1", port);
        y->channel->set_peers({{NodeId{"a"}, x.here}});
        auto const begin = runtime::boot_now();
        EXPECT_TRUE(co_await until([&] { return x.connected("b") && y->connected("a"); }));
        EXPECT_LT(to_ms(runtime::boot_now() - begin), 3000);
        x.channel->send(NodeId{"b"}, Topic::cluster, "again");
        EXPECT_TRUE(co_await until([&] { return y->received.size() == 1; }));
        EXPECT_TRUE(y->refused.empty());
    }(a, b, authority));
}

TEST(Channel, AMessageThatIsTooOldIsNotSent) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a");
    auto b = std::make_unique<Peer>(io, authority, "b", 1);
    connect(a, "a", *b, "b");
    run(io, [](Peer& x, std::unique_ptr<Peer>& y, runtime::Pair const& ca) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        auto const port = y->channel->port();
        co_await y->channel->close();
        y.reset();
        EXPECT_TRUE(co_await until([&] { return !x.connected("b"); }));
        x.channel->send(NodeId{"b"}, Topic::cluster, "old");
        auto const sent = runtime::boot_now();
        EXPECT_TRUE(co_await until([&] { return runtime::boot_now() - sent > 1100ms; }));
        x.channel->send(NodeId{"b"}, Topic::cluster, "young");
        y = std::make_unique<Peer>(x.io, ca, "b", 2, "c1", port);
        // It dials us, which is a sign of life: we dial it at once, whatever our back-off.
        y->channel->set_peers({{NodeId{"a"}, x.here}});
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        x.channel->send(NodeId{"b"}, Topic::cluster, "last");
        EXPECT_TRUE(co_await until([&] { return !y->received.empty() && y->received.back().body == "last"; }));
        for (auto const& one : y->received) EXPECT_NE(one.body, "old");
        EXPECT_GE(x.channel->links()[NodeId{"b"}].dropped, 1u);
    }(a, b, authority));
}

TEST(Channel, AForeignAuthorityIsRefusedOnBothSides) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    auto const foreign = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, foreign, "b");
    connect(a, "a", b, "b");
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        EXPECT_TRUE(co_await until([&] {
            return !x.channel->links()[NodeId{"b"}].problem.empty() && !y.channel->links()[NodeId{"a"}].problem.empty();
        }));
        EXPECT_FALSE(x.connected("b") || y.connected("a"));
        EXPECT_NE(x.channel->links()[NodeId{"b"}].problem.find("certificate"), std::string::npos)
            << x.channel->links()[NodeId{"b"}].problem;
    }(a, b));
}

TEST(Channel, PlainTextAndAClientWithoutCertificateGetNowhere) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a");
    run(io, [](Peer& x, runtime::Pair const& ca) -> Task<void> {
        auto const hello = make_frame(Topic::hello, 0, write_hello({NodeId{"b"}, 1, "c1", 1}));
        char byte[1];
        auto const plain = must(co_await Stream::connect_tcp("127.0.0.1", x.channel->port(), 5s));
        EXPECT_TRUE(co_await plain->write(hello));
        std::size_t got = 1;
        while (got == 1) got = (co_await plain->read_some(byte)).value_or(0);  // at most a TLS alert
        auto const bare = must(co_await Stream::connect_tcp("127.0.0.1", x.channel->port(), 5s));
        auto const pinned = must(runtime::client_pinned(must(runtime::fingerprint(ca.certificate))));
        if (co_await bare->tls_client(pinned, 5s)) {
            (void)co_await bare->write(hello);
            EXPECT_EQ((co_await bare->read_some(byte)).value_or(0), 0u);
        }
        EXPECT_FALSE(x.channel->links()[NodeId{"b"}].heard);
    }(a, authority));
}

TEST(Channel, AnotherClusterAndAStrangerAreRefusedWithAReason) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b", 1, "c2"), c(io, authority, "c");
    a.strangers.insert("c");
    b.channel->set_peers({{NodeId{"a"}, a.here}});
    c.channel->set_peers({{NodeId{"a"}, a.here}});
    run(io, [](Peer& y, Peer& z) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return !y.refused.empty() && !z.refused.empty(); }));
        EXPECT_EQ(y.refused[0], "wrong cluster");
        EXPECT_EQ(z.refused[0], "not a member");
    }(b, c));
}

TEST(Channel, TheWrongNodeAtAnAddressIsNotSpokenTo) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b");
    a.channel->set_peers({{NodeId{"c"}, b.here}});
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return !x.channel->links()[NodeId{"c"}].problem.empty(); }));
        EXPECT_NE(x.channel->links()[NodeId{"c"}].problem.find("is node b, not c"), std::string::npos);
        // Re-addressed to the right name it is.
        x.channel->set_peers({{NodeId{"b"}, y.here}});
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        EXPECT_EQ(x.channel->links().size(), 1u);
    }(a, b));
}

TEST(Channel, ARemovedMemberIsCutOffAtItsNextFrame) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b");
    connect(a, "a", b, "b");
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return y.connected("a"); }));
        x.strangers.insert("b");
        y.channel->send(NodeId{"a"}, Topic::cluster, "let me in");
        EXPECT_TRUE(co_await until([&] { return !y.refused.empty(); }));
        EXPECT_EQ(y.refused[0], "not a member");
        EXPECT_TRUE(x.received.empty());
    }(a, b));
}

TEST(Channel, ASecondLiveProcessOfTheSameNodeIsRefusedAndTheFirstStays) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), first(io, authority, "b", 1), second(io, authority, "b", 2);
    connect(a, "a", first, "b");
    run(io, [](Peer& x, Peer& one, Peer& two) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return one.connected("a") && x.connected("b"); }));
        one.channel->send(NodeId{"a"}, Topic::cluster, "alive");
        EXPECT_TRUE(co_await until([&] { return x.received.size() == 1; }));
        two.channel->set_peers({{NodeId{"a"}, x.here}});
        EXPECT_TRUE(co_await until([&] { return !two.refused.empty(); }));
        EXPECT_EQ(two.refused[0], "duplicate");
        EXPECT_TRUE(one.connected("a"));
        EXPECT_TRUE(one.refused.empty());
    }(a, first, second));
}

TEST(Channel, ABigMessagePassesAndATooBigOneIsDropped) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b");
    connect(a, "a", b, "b");
    run(io, [](Peer& x, Peer& y) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        std::string big(kBodyLimit, 'x');
        big.back() = 'y';
        x.channel->send(NodeId{"b"}, Topic::store, std::string(kBodyLimit + 1, 'z'));
        x.channel->send(NodeId{"b"}, Topic::store, big);
        x.channel->send(NodeId{"b"}, Topic::store, "small");
        EXPECT_TRUE(co_await until([&] { return y.received.size() == 2; }));
        EXPECT_TRUE(y.received[0].body == big);
        EXPECT_EQ(y.received[1].body, "small");
    }(a, b));
}

// A server which welcomes and then never reads: what a stopped process looks like.
Task<void> welcome_and_stop(asio::ip::tcp::acceptor& acceptor, runtime::TlsContext tls,
                            std::vector<Stream::Ptr>& held) {
    for (;;) {
        auto const stream =
            std::make_shared<Stream>(Stream::Socket(co_await acceptor.async_accept(asio::use_awaitable)));
        held.push_back(stream);
        if (!co_await stream->tls_server(tls, 5s)) continue;
        char hello[4096];
        (void)co_await stream->read_some(hello);
        (void)co_await stream->write(make_frame(Topic::welcome, 0, "{}"));
    }
}

TEST(Channel, AFloodAtAStuckReaderIsBoundedAndEndsTheConnection) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    auto const tls = must(runtime::server_mutual(identity(authority, "b")));
    auto acceptor = must(runtime::listen_tcp(io, "127.0.0.1", 0));
    Peer a(io, authority, "a");
    std::vector<Stream::Ptr> held;
    runtime::Scope scope(io);
    scope.spawn("stuck", [&] { return welcome_and_stop(acceptor, tls, held); });
    a.channel->set_peers({{NodeId{"b"}, "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port())}});
    run(io, [](Peer& x, runtime::Scope& stuck) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        std::uint64_t sent = 0;
        auto const connects = x.channel->links()[NodeId{"b"}].connects;
        EXPECT_TRUE(co_await until([&] {
            for (int i = 0; i < 20; ++i, ++sent)
                x.channel->send(NodeId{"b"}, Topic::cluster, std::string(100'000, 'x'));
            return x.channel->links()[NodeId{"b"}].connects > connects;  // ended by the write limit, and dialled anew
        }));
        auto const link = x.channel->links()[NodeId{"b"}];
        // Queue of 6 MiB, one batch and the sockets' buffers: the rest was dropped.
        EXPECT_GT(link.dropped, sent - link.sent - 80);
        EXPECT_LT(link.sent, 2000u);
        co_await stuck.close();
    }(a, scope));
}

}  // namespace
}  // namespace keel::peer
