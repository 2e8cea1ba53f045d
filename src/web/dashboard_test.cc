// Logging in, what another web page cannot do, and what the stream tells.
#include "web/dashboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "web/live.h"
#include "web/page.h"
#include "web/token.h"

namespace keel::web {
namespace {

using cluster::Role;
using runtime::HttpRequest;
using runtime::HttpResponse;
using testing::HasSubstr;
using testing::Not;

std::string secret(char digit) { return std::string(64, digit); }
std::string token(char digit) { return to_access_text({std::string(64, 'f'), Secret(secret(digit))}); }

// A node with a dashboard; tokens 1: read, 2: operate.
struct House {
    cluster::Sight sight;
    std::vector<cluster::Record> written;
    Api api;

    House() : sight(first_sight()), api(desk()) {}

    static cluster::Sight first_sight() {
        cluster::Sight out;
        out.self = {"aaaaaaaa-1"};
        out.name = "anna";
        out.clock = {Instant{} + 100s, 1'000'000};
        out.record.emplace();
        out.record->members[{"aaaaaaaa-1"}].name = "anna";
        out.record->access = {{"viewer", sha256_hex(secret('1')), Role::read, 2'000'000, "x"},
                              {"pilot", sha256_hex(secret('2')), Role::operate, 0, "x"}};
        return out;
    }

    Desk desk() {
        Desk out;
        out.look = [this] { return sight; };
        out.change = [this](Desk::Edit edit) -> runtime::Task<Result<cluster::Record>> {
            auto record = *sight.record;
            if (auto status = edit(record); !status) co_return fail(status.error());
            written.push_back(record);
            co_return record;
        };
        out.counters = [] { return Counters{}; };
        out.version = "0.1.0";
        return out;
    }

    HttpResponse ask(HttpRequest request) {
        runtime::Io io;
        HttpResponse out;
        runtime::asio::co_spawn(io, api.handler()(std::move(request)),
                                [&](std::exception_ptr const& thrown, HttpResponse response) {
                                    if (thrown) ADD_FAILURE() << "thrown";
                                    out = std::move(response);
                                });
        io.run();
        return out;
    }
};

// As a browser sends it from a page of this node.
HttpRequest asked(std::string method, std::string path, std::string body = {}) {
    HttpRequest out;
    out.method = std::move(method);
    out.path = std::move(path);
    out.body = std::move(body);
    out.secure = true;
    out.headers = {{"host", "anna:8008"}, {"sec-fetch-site", "same-origin"}};
    if (out.method == "POST") out.headers["origin"] = "https://anna:8008";
    return out;
}

std::string login_body(char digit) { return json::write(LoginRequest{token(digit)}); }

struct Visitor {
    std::string cookie, csrf;
};

Visitor logged_in(House& house, char digit) {
    auto const response = house.ask(asked("POST", "/dashboard/login", login_body(digit)));
    EXPECT_EQ(response.status, 200) << response.body;
    auto const cookie = response.headers.at("Set-Cookie");
    return {cookie.substr(0, cookie.find(';')), json::read<LoginAnswer>(response.body)->csrf};
}

HttpRequest as(Visitor const& visitor, HttpRequest request) {
    request.headers["cookie"] = "other=1; " + visitor.cookie;
    if (request.method == "POST") request.headers["x-pgkeel-csrf"] = visitor.csrf;
    return request;
}

TEST(Dashboard, a_token_opens_and_a_cookie_that_no_script_sees_stands_for_it) {
    House house;
    auto const response = house.ask(asked("POST", "/dashboard/login", login_body('2')));
    EXPECT_EQ(response.status, 200);
    auto const cookie = response.headers.at("Set-Cookie");
    EXPECT_THAT(cookie, testing::StartsWith("__Host-pgkeel-aaaaaaaa="));
    for (auto const* part : {"; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"})
        EXPECT_THAT(cookie, HasSubstr(part));
    EXPECT_THAT(cookie, Not(HasSubstr("Domain")));
    EXPECT_THAT(response.body + cookie, Not(HasSubstr(secret('2'))));
    auto const visitor = logged_in(house, '2');
    EXPECT_EQ(house.ask(as(visitor, asked("GET", "/status"))).status, 200);
    EXPECT_EQ(house.ask(as(visitor, asked("POST", "/pause"))).status, 200);
    EXPECT_THAT(house.written.back().history.back().text, HasSubstr("by access token pilot"));
    EXPECT_THAT(house.ask(as(visitor, asked("GET", "/dashboard/session"))).body, HasSubstr("\"role\":\"operate\""));
}

TEST(Dashboard, a_token_that_is_none_opens_nothing) {
    House house;
    for (auto const& body : {std::string("{}"), login_body('7'), std::string(R"({"token":"x"})"), std::string("no")}) {
        auto const response = house.ask(asked("POST", "/dashboard/login", body));
        EXPECT_GE(response.status, 400) << body;
        EXPECT_FALSE(response.headers.contains("Set-Cookie"));
    }
    auto plain = asked("POST", "/dashboard/login", login_body('2'));
    plain.secure = false;
    EXPECT_EQ(house.ask(plain).status, 403);
    EXPECT_EQ(house.ask(asked("GET", "/status")).status, 401);
    EXPECT_EQ(house.ask(asked("GET", "/dashboard/session")).status, 401);
    EXPECT_EQ(house.ask(asked("GET", "/dashboard/live")).status, 401);
}

TEST(Dashboard, a_reader_sees_and_does_not_act) {
    House house;
    auto const reader = logged_in(house, '1');
    EXPECT_EQ(house.ask(as(reader, asked("GET", "/switchover"))).status, 200) << "the dry run only looks";
    EXPECT_EQ(house.ask(as(reader, asked("POST", "/pause"))).status, 403);
    EXPECT_EQ(house.ask(as(reader, asked("POST", "/switchover"))).status, 403);
    EXPECT_TRUE(house.written.empty());
}

TEST(Dashboard, no_other_page_acts_in_the_name_of_whoever_is_logged_in) {
    House house;
    auto const visitor = logged_in(house, '2');
    auto const good = as(visitor, asked("POST", "/pause"));
    struct Row {
        char const* why;
        void (*change)(HttpRequest&);
    };
    for (auto const& row : std::vector<Row>{
             {"no CSRF token", [](HttpRequest& r) { r.headers.erase("x-pgkeel-csrf"); }},
             {"a wrong one", [](HttpRequest& r) { r.headers["x-pgkeel-csrf"] = std::string(64, '0'); }},
             {"another site", [](HttpRequest& r) { r.headers["sec-fetch-site"] = "cross-site"; }},
             {"another port of the same host", [](HttpRequest& r) { r.headers["sec-fetch-site"] = "same-site"; }},
             {"an old browser, another site",
              [](HttpRequest& r) {
                  r.headers.erase("sec-fetch-site");
                  r.headers["origin"] = "https://evil.example";
              }},
             {"without any word of where it is from",
              [](HttpRequest& r) {
                  r.headers.erase("sec-fetch-site");
                  r.headers.erase("origin");
                  r.headers.erase("x-pgkeel-csrf");
              }},
             {"a page of another version", [](HttpRequest& r) { r.headers["x-pgkeel-page"] = "0123456789abcdef"; }},
             {"unencrypted", [](HttpRequest& r) { r.secure = false; }}}) {
        SCOPED_TRACE(row.why);
        auto request = good;
        row.change(request);
        auto const response = house.ask(request);
        EXPECT_TRUE(response.status == 403 || response.status == 409) << response.status << response.body;
        EXPECT_TRUE(house.written.empty());
    }
    // A browser that reaches the Unix socket through a tunnel is not the operator on that node.
    auto tunnel = asked("POST", "/pause");
    tunnel.local = true;
    tunnel.secure = false;
    EXPECT_EQ(house.ask(tunnel).status, 403);
    tunnel.method = "GET";
    tunnel.path = "/status";
    EXPECT_EQ(house.ask(tunnel).status, 403);
    tunnel.headers.clear();
    EXPECT_EQ(house.ask(tunnel).status, 200) << "the command line is";
    EXPECT_EQ(house.ask(good).status, 200);
}

TEST(Dashboard, a_log_in_ends_with_its_token_with_its_time_and_when_asked) {
    House house;
    auto const status = asked("GET", "/status");
    auto const first = logged_in(house, '2');
    EXPECT_EQ(house.ask(as(first, asked("POST", "/dashboard/logout"))).status, 200);
    EXPECT_EQ(house.ask(as(first, status)).status, 401);
    auto const second = logged_in(house, '2');
    house.sight.clock.now += kSessionLife;
    EXPECT_EQ(house.ask(as(second, status)).status, 401);
    auto const third = logged_in(house, '2');
    EXPECT_EQ(house.ask(as(third, status)).status, 200);
    std::erase_if(house.sight.record->access, [](auto const& one) { return one.name == "pilot"; });
    EXPECT_EQ(house.ask(as(third, status)).status, 401);
    EXPECT_EQ(house.ask(asked("POST", "/dashboard/login", login_body('1'))).status, 200);
}

TEST(Dashboard, its_files_are_there_for_everybody_with_a_policy_and_no_more) {
    House house;
    auto const index = house.ask(asked("GET", "/dashboard/"));
    EXPECT_EQ(index.status, 200);
    auto const policy = index.headers.at("Content-Security-Policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self'"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    EXPECT_THAT(index.body, HasSubstr(page_mark("0.1.0")));
    EXPECT_THAT(index.body, Not(HasSubstr("{{")));
    EXPECT_THAT(index.body, Not(testing::ContainsRegex("<script[^>]*>[^<]"))) << "no script within the page";
    std::size_t total = 0;
    for (auto const& file : page_files()) {
        auto request = asked("GET", "/dashboard/" + std::string(file.name));
        auto const response = house.ask(request);
        EXPECT_EQ(response.status, 200) << file.name;
        total += response.body.size();
        EXPECT_NE(content_type(file.name), "application/octet-stream") << file.name;
        request.headers["if-none-match"] = response.headers.at("ETag");
        EXPECT_EQ(house.ask(request).status, 304);
    }
    EXPECT_LE(total, 150'000U) << "over the wire";
    EXPECT_EQ(house.ask(asked("GET", "/dashboard/../identity.json")).status, 404);
    EXPECT_EQ(house.ask(asked("GET", "/dashboard/nothing")).status, 404);
    EXPECT_NE(page_mark("0.1.0"), page_mark("0.1.1"));
}

TEST(Dashboard, a_browser_at_the_front_door_is_led_there_and_a_load_balancer_is_not) {
    House house;
    auto request = asked("GET", "/");
    EXPECT_EQ(house.ask(request).status, 503) << "the health endpoint: this node does not lead";
    request.headers["accept"] = "text/html,application/xhtml+xml";
    EXPECT_EQ(house.ask(request).headers.at("Location"), "/dashboard/");
    request.secure = false;
    EXPECT_EQ(house.ask(request).headers.at("Location"), "https://anna:8008/dashboard/");
}

TEST(Sessions, the_oldest_makes_room_and_none_is_kept_by_its_name) {
    Sessions sessions;
    auto const first = sessions.open("x", Instant{} + 1s);
    EXPECT_NE(first.id, first.csrf);
    auto const other = sessions.open("other", Instant{} + 1s);
    for (std::size_t i = 0; i < kSessionsMax; ++i) sessions.open("x", Instant{} + 2s);
    EXPECT_EQ(sessions.size(), kSessionsOfOne + 1);
    EXPECT_FALSE(sessions.find(first.id, Instant{} + 3s));
    EXPECT_TRUE(sessions.find(other.id, Instant{} + 3s)) << "somebody else's log-ins pushed it out";
    for (std::size_t i = 0; i < 2 * kSessionsMax; ++i) sessions.open("u" + std::to_string(i), Instant{} + 4s);
    EXPECT_EQ(sessions.size(), kSessionsMax);
    EXPECT_FALSE(sessions.find(other.id, Instant{} + 5s));
    EXPECT_FALSE(sessions.find("", Instant{} + 3s));
    sessions.open("x", Instant{} + 1s + 2 * kSessionLife);
    EXPECT_EQ(sessions.size(), 1U);
}

TEST(Sessions, a_cookie_is_found_among_others_and_by_its_whole_name) {
    EXPECT_EQ(cookie_value("a=1; __Host-x=2;b = 3", "__Host-x"), "2");
    EXPECT_EQ(cookie_value("a=1; __Host-x=2;b = 3", "b"), "3");
    EXPECT_EQ(cookie_value("a=1; x__Host-x=2", "__Host-x"), "");
    EXPECT_EQ(cookie_value("", "a"), "");
    EXPECT_EQ(cookie_value(";;=;a", "a"), "");
}

// ---- the stream ----

Scene scene() {
    auto sight = House::first_sight();
    return scene_of(sight, {}, {Role::read, "x"});
}

TEST(Live, everything_is_told_once_and_news_at_once) {
    Teller teller;
    std::vector<cluster::HistoryEvent> history{{1, 5, {1}, {"a"}, "leader", "one"}, {2, 6, {1}, {"a"}, "sync", "two"}};
    auto const now = Instant{} + 100s;
    auto const first = teller.next(scene(), history, now);
    EXPECT_THAT(first, testing::StartsWith("event: status\ndata: {"));
    EXPECT_THAT(first, HasSubstr("event: history\ndata: [{\"number\":1"));
    EXPECT_EQ(teller.next(scene(), history, now + 200ms), "");
    auto moved = scene();
    moved.status.unix_ms += 200;
    moved.status.members[0].flush = {77};
    EXPECT_EQ(teller.next(moved, history, now + 400ms), "") << "a position can wait";
    EXPECT_THAT(teller.next(moved, history, now + kTellEvery), HasSubstr("0/4D"));
    auto news = scene();
    news.status.epoch = {2};
    history.push_back({3, 7, {2}, {"a"}, "revoke", "three"});
    auto const told = teller.next(news, history, now + kTellEvery + 1ms);
    EXPECT_THAT(told, HasSubstr("event: status"));
    EXPECT_THAT(told, HasSubstr("data: [{\"number\":3"));
}

TEST(Live, a_proxy_that_falls_silent_is_told_as_such) {
    Teller teller;
    EXPECT_EQ(teller.next_proxy(R"({"queries":1})"), "event: proxy\ndata: {\"queries\":1}\n\n");
    EXPECT_EQ(teller.next_proxy(R"({"queries":1})"), "") << "it was told";
    EXPECT_EQ(teller.next_proxy(""), "event: proxy\ndata: null\n\n");
    EXPECT_EQ(teller.next_proxy(""), "");
    Teller other;
    EXPECT_EQ(other.next_proxy(""), "event: proxy\ndata: null\n\n") << "from the beginning";
}

TEST(Live, no_name_can_end_an_event_or_begin_another) {
    auto evil = scene();
    evil.status.cluster = "x\n\ndata: {}\nevent: bye\r\n\"</script>";
    Teller teller;
    auto const text = teller.next(evil, {}, Instant{} + 1s);
    EXPECT_EQ(std::ranges::count(text, '\n'), 3) << text;
    EXPECT_EQ(std::ranges::count(text, '\r'), 0);
}

TEST(Live, a_delay_is_taken_apart_as_far_as_it_was_measured) {
    auto sight = House::first_sight();
    sight.seen.server = cluster::Server::primary;
    sight.seen.flush = {100};
    cluster::Sender sender;
    sender.node = sight.self;
    sender.write = {100};
    sender.flush = {90};
    sender.replay = {80};
    sender.write_lag = 5ms;
    sender.flush_lag = 3ms;
    sight.seen.senders = {sender};
    auto const delay = scene_of(sight, {}, {Role::read, "x"}).delays.at("anna");
    EXPECT_EQ(delay.network, 0) << "it has written everything";
    EXPECT_DOUBLE_EQ(*delay.flush, 0.003);
    EXPECT_FALSE(delay.apply);
    EXPECT_FALSE(delay.caught_up);
}

}  // namespace
}  // namespace keel::web
