// Who may ask for what, by table.
#include "web/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "web/actions.h"
#include "web/token.h"

namespace keel::web {
namespace {

using cluster::Role;
using runtime::HttpRequest;
using runtime::HttpResponse;
using testing::HasSubstr;

std::string secret(char digit) { return std::string(64, digit); }
std::string token(char digit) { return to_access_text({std::string(64, 'f'), Secret(secret(digit))}); }

// Tokens 1: read, 2: operate, 3: admin, 4: admin, expired.
cluster::Sight sight() {
    cluster::Sight out;
    out.self = {"a"};
    out.name = "anna";
    out.clock.unix_ms = 1'000'000;
    out.record.emplace();
    out.record->members[{"a"}].name = "anna";
    out.record->members[{"b"}].name = "bela";
    out.record->access = {{"viewer", sha256_hex(secret('1')), Role::read, 2'000'000, "x"},
                          {"pipeline", sha256_hex(secret('2')), Role::operate, 0, "x"},
                          {"chief", sha256_hex(secret('3')), Role::admin, 0, "x"},
                          {"old", sha256_hex(secret('4')), Role::admin, 1'000'000, "x"}};
    out.record->history = {{1, 5, {1}, {"a"}, "errand", "bela was restarted"},
                           {2, 6, {1}, {"a"}, "setting", "postgres.archive_command: -> curl -u keel:hunter2 ..."}};
    return out;
}

HttpRequest asked(std::string method, std::string path, std::string body = {}) {
    HttpRequest out;
    out.method = std::move(method);
    out.path = std::move(path);
    out.body = std::move(body);
    out.secure = true;
    out.from = "10.0.0.9:5";
    return out;
}

HttpRequest with(HttpRequest request, std::string header) {
    request.headers["authorization"] = std::move(header);
    return request;
}

HttpResponse ask(HttpRequest request) {
    Desk desk;
    desk.look = [] { return sight(); };
    desk.change = [](Desk::Edit edit) -> runtime::Task<Result<cluster::Record>> {
        auto record = *sight().record;
        if (auto status = edit(record); !status) co_return fail(status.error());
        co_return record;
    };
    desk.reload = []() -> runtime::Task<Result<std::string>> { co_return std::string("read again"); };
    desk.doctor = []() -> runtime::Task<std::vector<Finding>> { co_return std::vector<Finding>{}; };
    desk.counters = [] { return Counters{}; };
    desk.availability = [] { return availability::ledger_of({}, {}, 1'795'298'400'000); };
    desk.authority = []() -> runtime::Task<Result<Authority>> { co_return fail(Code::unavailable, "not here"); };
    Api api(std::move(desk));
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

bool is_let_in(HttpResponse const& response) { return response.status != 401 && response.status != 403; }

TEST(Access, EachRoleMayWhatItsRouteSays) {
    struct Row {
        char const* method;
        char const* path;
        Role needed;
        char const* body = "";
    };
    for (auto const& row : std::vector<Row>{{"GET", "/status", Role::read},
                                            {"GET", "/topology", Role::read},
                                            {"GET", "/explain", Role::read},
                                            {"GET", "/doctor", Role::read},
                                            {"GET", "/config", Role::read},
                                            {"GET", "/token", Role::admin},
                                            {"GET", "/access", Role::admin},
                                            {"GET", "/switchover", Role::read},
                                            {"POST", "/switchover", Role::operate},
                                            {"POST", "/switchover/cancel", Role::operate},
                                            {"POST", "/failover", Role::operate, R"({"to":"bela"})"},
                                            {"POST", "/failover", Role::admin, R"({"accept_data_loss":true})"},
                                            {"POST", "/pause", Role::operate},
                                            {"POST", "/resume", Role::operate},
                                            {"POST", "/restart", Role::operate},
                                            {"POST", "/reload", Role::operate},
                                            {"POST", "/config", Role::admin},
                                            {"POST", "/reinit", Role::admin},
                                            {"POST", "/leave", Role::admin},
                                            {"POST", "/sound", Role::admin},
                                            {"POST", "/tags", Role::admin},
                                            {"POST", "/token", Role::admin},
                                            {"POST", "/token/revoke", Role::admin},
                                            {"POST", "/access", Role::admin},
                                            {"POST", "/access/remove", Role::admin}}) {
        SCOPED_TRACE(std::string(row.method) + " " + row.path + " " + row.body);
        auto const request = asked(row.method, row.path, row.body);
        auto const stranger = ask(request);
        EXPECT_EQ(stranger.status, 401);
        EXPECT_THAT(stranger.body, HasSubstr("needs the role " + role_text(row.needed)));
        EXPECT_EQ(stranger.headers.count("WWW-Authenticate"), 1U);
        char digit = '1';
        for (auto const role : {Role::read, Role::operate, Role::admin}) {
            auto const response = ask(with(request, "Bearer " + token(digit++)));
            EXPECT_EQ(is_let_in(response), role >= row.needed) << role_text(role) << ": " << response.body;
            if (role < row.needed) {
                EXPECT_EQ(response.status, 403);
                EXPECT_THAT(response.body, HasSubstr("needs the role " + role_text(row.needed)));
            }
        }
        auto local = request;
        local.local = true;
        EXPECT_TRUE(is_let_in(ask(local)));
        auto member = request;
        member.peer_name = "b";
        EXPECT_TRUE(is_let_in(ask(member)));
    }
}

TEST(Access, WhatLoadBalancersAskStaysOpen) {
    for (auto const* path : {"/primary", "/health", "/metrics", "/cluster", "/history"}) {
        auto request = asked("GET", path);
        request.secure = false;
        EXPECT_TRUE(is_let_in(ask(request))) << path;
    }
    EXPECT_EQ(ask(asked("GET", "/nothing")).status, 404);
    EXPECT_EQ(ask(asked("POST", "/status")).status, 404);
}

TEST(Access, StrangersReadTheHistoryWithoutTheValuesOfSettings) {
    auto request = asked("GET", "/history");
    request.secure = false;
    auto const open = ask(request);
    EXPECT_THAT(open.body, HasSubstr("bela was restarted"));
    EXPECT_THAT(open.body, HasSubstr("settings were changed"));
    EXPECT_THAT(open.body, testing::Not(HasSubstr("hunter2")));
    EXPECT_THAT(ask(with(asked("GET", "/history"), "Bearer " + token('1'))).body, HasSubstr("hunter2"));
    EXPECT_THAT(ask(with(asked("GET", "/history"), "Bearer " + token('5'))).body, testing::Not(HasSubstr("hunter2")));
}

TEST(Access, ATokenThatDoesNotFitOpensNothing) {
    auto const request = asked("GET", "/status");
    for (auto const& header :
         {std::string("Bearer"), std::string("Bearer "), "Basic " + token('3'), "Bearer " + token('5'),
          "Bearer " + token('4'), "Bearer x" + token('3'), "Bearer " + token('3') + "0",
          "Bearer keel1." + std::string(64, 'f') + "." + secret('3')}) {
        auto const response = ask(with(request, header));
        EXPECT_EQ(response.status, 401) << header;
        EXPECT_THAT(response.body, testing::Not(HasSubstr(secret('3'))));
    }
    EXPECT_THAT(ask(with(request, "Bearer " + token('4'))).body, HasSubstr("access token old has expired"));
    EXPECT_TRUE(is_let_in(ask(with(request, "bearer " + token('1') + " "))));
    // One that is shown counts, whatever else would open the door.
    auto local = with(asked("POST", "/pause"), "Bearer " + token('1'));
    local.local = true;
    EXPECT_EQ(ask(local).status, 403);
    auto plain = with(request, "Bearer " + token('3'));
    plain.secure = false;
    EXPECT_EQ(ask(plain).status, 401);
}

TEST(Access, TheHistoryNamesWhoAsked) {
    auto request = asked("POST", "/pause");
    EXPECT_EQ(identify(sight(), with(request, "Bearer " + token('2')))->who, "access token pipeline");
    request.peer_name = "b";
    EXPECT_EQ(identify(sight(), request)->who, "an operator on bela");
    request.peer_name = "gone";
    EXPECT_FALSE(identify(sight(), request)) << "the certificate of one that is no member any more";
}

TEST(Access, TokensOfTheTwoKindsAreNotMistakenForEachOther) {
    TokenText const text{std::string(64, 'a'), Secret(secret('7'))};
    EXPECT_TRUE(parse_token(to_text(text)));
    EXPECT_TRUE(parse_access_token(to_access_text(text)));
    EXPECT_FALSE(parse_token(to_access_text(text)));
    EXPECT_FALSE(parse_access_token(to_text(text)));
}

}  // namespace
}  // namespace keel::web
