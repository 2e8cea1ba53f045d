#include "peer/testing.h"
#include "runtime/datagrams.h"
#include "runtime/scope.h"

namespace keel::peer {
namespace {

namespace asio = runtime::asio;
using runtime::Io;
using runtime::Stream;
using runtime::Task;
using runtime::testing::must;
using runtime::testing::run;
using runtime::testing::until;
using testing::Peer;

// A wire between two nodes whose TCP may come to a stop, as after a loss, while datagrams pass.
struct Wire {
    Wire(Io& io, std::uint16_t to)
        : acceptor(must(runtime::listen_tcp(io, "127.0.0.1", 0))),
          datagrams(must(runtime::Datagrams::open(io, "127.0.0.1", acceptor.local_endpoint().port()))),
          far(to),
          scope(io) {
        scope.spawn("datagrams", [this] { return pass_datagrams(); });
        scope.spawn("connections", [this] { return pass_connections(); });
    }
    std::string address() const { return "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()); }

    Task<void> pass_datagrams() {
        for (;;) {
            auto const one = co_await datagrams.next();
            if (one.empty()) co_return;
            ++passed;
            datagrams.send({asio::ip::make_address("127.0.0.1"), far}, one);
        }
    }
    Task<void> pass_connections() {
        for (;;) {
            auto near = std::make_shared<Stream>(Stream::Socket(co_await acceptor.async_accept(asio::use_awaitable)));
            auto const reached = co_await Stream::connect_tcp("127.0.0.1", far, 1s);
            if (!reached) co_return;  // the test is over: a node that was thrown out had just come back
            scope.spawn("there", [this, near, beyond = *reached] { return pass(near, beyond); });
            scope.spawn("back", [this, near, beyond = *reached] { return pass(beyond, near); });
        }
    }
    Task<void> pass(Stream::Ptr from, Stream::Ptr to) {
        std::array<char, 4096> buffer{};
        for (;;) {
            auto const got = co_await from->read_some(buffer);
            while (stopped) co_await runtime::sleep_for(1ms);
            if (!got || *got == 0 || !co_await to->write({buffer.data(), *got})) break;
        }
        to->close();
    }

    asio::ip::tcp::acceptor acceptor;
    runtime::Datagrams datagrams;
    std::uint16_t far;
    bool stopped = false;
    int passed = 0;
    runtime::Scope scope;
};

TEST(Channel, MessagesOfTheClusterDoNotWaitForALostSegmentAndComeOnce) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a"), b(io, authority, "b");
    Wire wire(io, b.channel->port());
    a.channel->set_peers({{NodeId{"b"}, wire.address()}});
    b.channel->set_peers({{NodeId{"a"}, a.here}});
    run(io, [](Peer& x, Peer& y, Wire& between) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        x.channel->send(NodeId{"b"}, Topic::cluster, "first");
        EXPECT_TRUE(co_await until([&] { return y.received.size() == 1 && between.passed == 1; }));
        y.received.clear();
        between.stopped = true;
        x.channel->send(NodeId{"b"}, Topic::cluster, "beat");
        x.channel->send(NodeId{"b"}, Topic::store, "waits");
        x.channel->send(NodeId{"b"}, Topic::cluster, std::string(2000, 'x'));  // too long for a datagram
        EXPECT_TRUE(co_await until([&] { return !y.received.empty(); }));
        EXPECT_EQ(y.received.size(), 1U);
        between.stopped = false;
        EXPECT_TRUE(co_await until([&] { return y.received.size() == 3; }));
        EXPECT_EQ(y.received[0].body, "beat");
        EXPECT_EQ(y.received[1].body, "waits");
        EXPECT_EQ(y.received[2].body.size(), 2000U);
        EXPECT_EQ(between.passed, 2);
        x.channel->send(NodeId{"b"}, Topic::cluster, "last");
        EXPECT_TRUE(co_await until([&] { return y.received.size() == 4; }));
        // Whoever is no member any more is heard on neither way.
        y.strangers.insert("a");
        x.channel->send(NodeId{"b"}, Topic::cluster, "late");
        EXPECT_TRUE(co_await until([&] { return between.passed == 4 && !x.connected("b"); }));
        EXPECT_EQ(y.received.size(), 4U);
        co_await between.scope.close();
    }(a, b, wire));
}

TEST(Channel, AConnectionThatLosesNothingCarriesAlone) {
    Io io;
    auto const authority = must(runtime::make_authority("c1"));
    Peer a(io, authority, "a", 1, "c1", 0, 50ms), b(io, authority, "b", 1, "c1", 0, 50ms);
    Wire wire(io, b.channel->port());
    a.channel->set_peers({{NodeId{"b"}, wire.address()}});
    run(io, [](Peer& x, Peer& y, Wire& between) -> Task<void> {
        EXPECT_TRUE(co_await until([&] { return x.connected("b"); }));
        auto const send = [&](std::size_t count) {
            x.channel->send(NodeId{"b"}, Topic::cluster, "beat");
            return until([&y, count] { return y.received.size() >= count; });
        };
        std::size_t sent = 0;
        int passed = -1;
        for (int i = 0; i < 1000 && passed != between.passed; ++i) {  // until the connection is no longer new
            passed = between.passed;
            EXPECT_TRUE(co_await send(++sent));
            co_await runtime::sleep_for(5ms);
        }
        EXPECT_EQ(passed, between.passed);
        // What fills the way to the far side and is not taken there is sent again.
        between.stopped = true;
        auto const stuck = [&] {
            x.channel->send(NodeId{"b"}, Topic::store, std::string(1U << 20U, 'x'));
            x.channel->send(NodeId{"b"}, Topic::cluster, "beat");
            return between.passed > passed;
        };
        EXPECT_TRUE(co_await until(stuck));
        EXPECT_TRUE(x.connected("b"));
        EXPECT_TRUE(co_await until([&] { return y.received.back().body == "beat" && y.received.size() > sent; }));
        between.stopped = false;
        co_await between.scope.close();
    }(a, b, wire));
}

}  // namespace
}  // namespace keel::peer
