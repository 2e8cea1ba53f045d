#include "runtime/http.h"

#include <sys/stat.h>

#include "runtime/socket.h"
#include "runtime/testing.h"

namespace keel::runtime {
namespace {

using testing::Directory;
using testing::identity;
using testing::must;
using testing::run;
using testing::until;

std::string flag(bool value) { return value ? "1" : "0"; }

// Answers what it was asked.
Task<HttpResponse> echo(HttpRequest request) {
    if (request.path == "/throw") throw std::runtime_error("broken");
    if (request.path == "/never") co_await sleep_for(1h);
    std::string text = request.method + " " + request.path + " secure=" + flag(request.secure) +
                       " local=" + flag(request.local) + " peer=" + request.peer_name;
    for (auto const& [name, value] : request.query) text += " " + name + "=" + value;
    co_return HttpResponse{.status = 200, .content_type = "text/plain", .body = text + "\n" + request.body};
}

struct Fixture {
    explicit Fixture(HttpHandler handler = echo, HttpLimits limits = {}) : server(io, std::move(handler), limits) {
        EXPECT_TRUE(server.listen_tcp("127.0.0.1", 0, must(server_optional_client(own))));
    }
    HttpTarget plain() const { return HttpTarget::plain("127.0.0.1", server.port()); }
    HttpTarget secure(TlsContext tls) const { return HttpTarget::secure("127.0.0.1", server.port(), std::move(tls)); }

    Pair authority = must(make_authority("c1"));
    TlsIdentity own = identity(authority, "server");
    Io io;
    HttpServer server;
};

TEST(Http, OnePortServesPlainAndTlsAndKnowsTheClientsCertificate) {
    Fixture fixture;
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const plain = must(co_await http_call(one.plain(), {.path = "/a%20b?x=1&y=a+b"}));
        EXPECT_EQ(plain.status, 200);
        EXPECT_EQ(plain.body, "GET /a b secure=0 local=0 peer= x=1 y=a b\n");
        auto const mutual = must(client_mutual(identity(one.authority, "client-7")));
        auto const named =
            must(co_await http_call(one.secure(mutual), {.method = "POST", .path = "/p", .body = "hello"}));
        EXPECT_EQ(named.body, "POST /p secure=1 local=0 peer=client-7\nhello");
        auto const pinned = must(client_pinned(must(fingerprint(one.authority.certificate))));
        auto const unnamed = must(co_await http_call(one.secure(pinned), {}));
        EXPECT_EQ(unnamed.body, "GET / secure=1 local=0 peer=\n");
    }(fixture));
}

TEST(Http, AWrongFingerprintAndAForeignAuthorityAreDenied) {
    Fixture fixture;
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const foreign = must(make_authority("c1"));
        auto const pinned = must(client_pinned(must(fingerprint(foreign.certificate))));
        auto const refused = co_await http_call(one.secure(pinned), {});
        EXPECT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, Code::denied) << refused.error().text;
        EXPECT_EQ(refused.error().outcome, Outcome::not_done);
        // A leaf's fingerprint is not an authority's.
        auto const leaf = must(client_pinned(must(fingerprint(one.own.own.certificate))));
        EXPECT_FALSE((co_await http_call(one.secure(leaf), {})).has_value());
        auto const stranger = must(client_mutual(identity(foreign, "client")));
        EXPECT_FALSE((co_await http_call(one.secure(stranger), {})).has_value());
        // The server's authority is trusted, but its client's is another one: no request is served.
        auto mixed = identity(foreign, "client");
        mixed.authority = one.authority.certificate;
        EXPECT_FALSE((co_await http_call(one.secure(must(client_mutual(mixed))), {})).has_value());
        auto target = one.secure(must(client_mutual(identity(one.authority, "client"))));
        target.expected_peer = "somebody";
        EXPECT_EQ((co_await http_call(target, {})).error().code, Code::denied);
    }(fixture));
}

TEST(Http, TheUnixSocketIsPrivateAndLocal) {
    Fixture fixture;
    Directory const directory;
    auto const path = directory / "agent.sock";
    ASSERT_TRUE(fixture.server.listen_unix(path));
    struct stat seen{};
    ASSERT_EQ(::stat(path.c_str(), &seen), 0);
    EXPECT_EQ(seen.st_mode & 0777, 0600u);
    run(fixture.io, [](std::string where) -> Task<void> {
        auto const answer = must(co_await http_call(HttpTarget::local(where), {}));
        EXPECT_EQ(answer.body, "GET / secure=0 local=1 peer=\n");
        auto const nobody = co_await http_call(HttpTarget::local(where + ".none"), {});
        EXPECT_EQ(nobody.error().code, Code::not_found);
    }(path));
}

TEST(Http, BigBodiesPassUpToTheLimit) {
    Fixture fixture(echo, {.body_bytes = 1024 * 1024});
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const tls = must(client_mutual(identity(one.authority, "client")));
        std::string const body(1024 * 1024, 'x');
        auto const answer = must(co_await http_call(one.secure(tls), {.method = "PUT", .path = "/", .body = body}));
        EXPECT_TRUE(answer.body.ends_with(body));
        auto const head = must(co_await http_call(one.plain(), {.method = "HEAD"}));
        EXPECT_EQ(head.status, 200);
        EXPECT_EQ(head.body, "");
    }(fixture));
}

// Sends raw bytes and reads until the server closes.
Task<std::string> raw(std::uint16_t port, std::string bytes) {
    auto const stream = must(co_await Stream::connect_tcp("127.0.0.1", port, 5s));
    (void)co_await stream->write(bytes);
    std::string all;
    char chunk[4096];
    for (;;) {
        auto const got = co_await stream->read_some(chunk);
        if (!got || *got == 0) co_return all;
        all.append(chunk, *got);
    }
}

TEST(Http, BadInputIsAnsweredAndTheConnectionClosed) {
    Fixture fixture(echo, {.header_bytes = 1000, .body_bytes = 100});
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const port = one.server.port();
        EXPECT_TRUE((co_await raw(port, "nonsense\r\n\r\n")).starts_with("HTTP/1.1 400"));
        EXPECT_TRUE((co_await raw(port, "GET /%zz HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 400"));
        EXPECT_TRUE((co_await raw(port, "GET / HTTP/1.1\r\nA: " + std::string(2000, 'a'))).starts_with("HTTP/1.1 413"));
        EXPECT_TRUE((co_await raw(port, "PUT / HTTP/1.1\r\nContent-Length: 101\r\n\r\n")).starts_with("HTTP/1.1 413"));
        auto const both = co_await raw(port, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n");
        EXPECT_NE(both.find("GET /1"), both.npos);
        EXPECT_NE(both.find("GET /2"), both.npos);
        auto const broken = must(co_await http_call(one.plain(), {.path = "/throw"}));
        EXPECT_EQ(broken.status, 500);
    }(fixture));
}

TEST(Http, ABodyIsAskedForWhenTheClientWaits) {
    Fixture fixture;
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const stream = must(co_await Stream::connect_tcp("127.0.0.1", one.server.port(), 5s));
        std::string all;
        char chunk[4096];
        EXPECT_TRUE(co_await stream->write("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
        all.append(chunk, must(co_await stream->read_some(chunk)));
        EXPECT_EQ(all, "HTTP/1.1 100 Continue\r\n\r\n");
        EXPECT_TRUE(co_await stream->write("ok"));
        all.assign(chunk, must(co_await stream->read_some(chunk)));
        EXPECT_TRUE(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("ok")) << all;
    }(fixture));
}

TEST(Http, ASlowRequestAndASlowAnswerEndInTime) {
    Fixture fixture(echo, {.read = 50ms, .idle = 100ms});
    run(fixture.io, [](Fixture& one) -> Task<void> {
        EXPECT_EQ(co_await raw(one.server.port(), "GET / HT"), "");
        EXPECT_EQ(co_await raw(one.server.port(), "\x16"), "");
        auto const never = co_await http_call(one.plain(), {.path = "/never", .timeout = 50ms});
        EXPECT_EQ(never.error().code, Code::timeout);
        EXPECT_EQ(never.error().outcome, Outcome::unknown);
        auto const nobody = co_await http_call(HttpTarget::plain("127.0.0.1", 1), {});
        EXPECT_EQ(nobody.error().code, Code::unavailable);
        EXPECT_EQ(nobody.error().outcome, Outcome::not_done);
        co_await one.server.close();  // cancels the handler that never ends
        EXPECT_EQ(one.server.connections(), 0u);
    }(fixture));
}

Task<void> count_up(HttpStream& stream) {
    for (int i = 0; co_await stream.write("data: " + std::to_string(i) + "\n\n"); ++i) co_await sleep_for(1ms);
}

TEST(Http, EventsArriveAsTheyAreWrittenAndEndWithTheReader) {
    Fixture fixture([](HttpRequest) -> Task<HttpResponse> {
        co_return HttpResponse{.content_type = "text/event-stream", .stream = count_up};
    });
    run(fixture.io, [](Fixture& one) -> Task<void> {
        std::string seen;
        auto const status = co_await http_follow(one.plain(), {.path = "/events"}, [&](std::string_view bytes) {
            seen += bytes;
            return seen.find("data: 5\n\n") == seen.npos;
        });
        EXPECT_TRUE(status) << to_string(status.error());
        EXPECT_TRUE(seen.starts_with("data: 0\n\ndata: 1\n\n")) << seen;
        EXPECT_TRUE(co_await until([&] { return one.server.connections() == 0; }));
    }(fixture));
}

TEST(Http, MoreConnectionsThanTheLimitAreClosed) {
    Fixture fixture(echo, {.connections = 2});
    run(fixture.io, [](Fixture& one) -> Task<void> {
        auto const first = must(co_await Stream::connect_tcp("127.0.0.1", one.server.port(), 5s));
        auto const second = must(co_await Stream::connect_tcp("127.0.0.1", one.server.port(), 5s));
        EXPECT_TRUE(co_await until([&] { return one.server.connections() == 2; }));
        EXPECT_EQ(co_await raw(one.server.port(), ""), "");
        first->close();
        EXPECT_TRUE(co_await until([&] { return one.server.connections() == 1; }));
        EXPECT_EQ(must(co_await http_call(one.plain(), {})).status, 200);
    }(fixture));
}

TEST(Http, APortInUseSaysSo) {
    Fixture fixture;
    HttpServer second(fixture.io, echo);
    auto const status = second.listen_tcp("127.0.0.1", fixture.server.port(), {});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::conflict);
    EXPECT_EQ(second.listen_tcp("203.0.113.7", 0, {}).error().code, Code::invalid);
}

TEST(Address, IsHostAndPort) {
    EXPECT_EQ(must(parse_address("db1:7432")), (std::pair{std::string("db1"), std::uint16_t{7432}}));
    EXPECT_EQ(must(parse_address("[::1]:80")).first, "::1");
    for (auto const* text : {"", "db1", ":7432", "db1:", "db1:0", "db1:70000", "db1:7x", "::1:80"}) {
        EXPECT_FALSE(parse_address(text)) << text;
    }
}

}  // namespace
}  // namespace keel::runtime
