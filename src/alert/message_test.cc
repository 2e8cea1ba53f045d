#include "alert/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace keel::alert {
namespace {

using testing::HasSubstr;
using testing::Not;

Parcel parcel() {
    Parcel out;
    out.cluster = "shop";
    out.cluster_id = "c1";
    out.numbers = {7};
    out.now_ms = 1'800'000'000'000;
    out.lines = {
        {"disk", "anna", "anna", Severity::critical, Word::firing, "the disk is full", out.now_ms - 5000, 0, {}}};
    return out;
}

TEST(Message, SaysInOneLineWhatHasHappened) {
    auto one = parcel();
    EXPECT_EQ(subject_of(one), "shop: disk:anna (critical): the disk is full");
    EXPECT_EQ(text_of(one), "Cluster shop\nCRITICAL: disk:anna: the disk is full\n");
    one.lines[0].word = Word::resolved;
    one.lines[0].ended_ms = one.lines[0].since_ms + 65'000;
    EXPECT_EQ(text_of(one), "Cluster shop\nRESOLVED after 65 s: disk:anna: the disk is full\n");
    one.lines.push_back(parcel().lines[0]);
    EXPECT_EQ(subject_of(one), "shop: 1 alert, 1 resolved");
    EXPECT_EQ(id_of(one), "c1-7");
}

TEST(Message, HostileNamesMakeNoLineAndNoHeader) {
    auto one = parcel();
    one.lines[0].text = "x\r\nBcc: everybody@example.com\r\n\r\n\"quoted\" \\ \xf0\x9f\x94\xa5 \xff";
    one.lines[0].text = cut(one.lines[0].text, kTextMax);
    Channel channel;
    channel.kind = Kind::email;
    channel.from = "a@b.c";
    channel.to = {"d@e.f", "g@h.i"};
    auto const mail = email_message(one, channel);
    EXPECT_THAT(mail, Not(HasSubstr("\nBcc")));
    EXPECT_THAT(mail, HasSubstr("To: <d@e.f>, <g@h.i>\r\n"));
    EXPECT_THAT(mail, HasSubstr("Subject: =?UTF-8?B?"));
    EXPECT_THAT(mail, HasSubstr("Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
    for (auto at = mail.find('\n'); at != std::string::npos; at = mail.find('\n', at + 1))
        EXPECT_EQ(mail[at - 1], '\r');
    auto const hook = json::parse(webhook_body(one));
    ASSERT_TRUE(hook);
    EXPECT_EQ(hook->at("alerts").at(0).at("text").as_string(), one.lines[0].text);
    channel.chat = "-1";
    auto const telegram = json::parse(telegram_body(one, channel));
    ASSERT_TRUE(telegram);
    EXPECT_THAT(std::string(telegram->at("text").as_string()), HasSubstr("\xf0\x9f\x94\xa5 ?"));
}

TEST(Message, TelegramsTextHasAnEnd) {
    auto one = parcel();
    one.lines.assign(30, one.lines[0]);
    for (auto& line : one.lines) line.text = std::string(600, 'x');
    Channel channel;
    auto const body = json::parse(telegram_body(one, channel));
    ASSERT_TRUE(body);
    EXPECT_LE(body->at("text").as_string().size(), 4096U);
}

TEST(Message, AlertmanagerHearsWhatIsInForceAndWhatHasEnded) {
    auto one = parcel();
    one.lines[0].word = Word::resolved;
    one.lines[0].ended_ms = one.now_ms - 1000;
    Alert active;
    active.rule = "lag_bytes";
    active.subject = active.node = "bela";
    active.since_ms = one.now_ms - 60'000;
    auto const body = json::parse(alertmanager_body(one, {active}));
    ASSERT_TRUE(body);
    ASSERT_EQ(body->as_array().size(), 2U);
    EXPECT_EQ(body->at(0).at("endsAt").as_string(), "2027-01-15T07:59:59.000Z");
    EXPECT_EQ(body->at(1).at("labels").at("alertname").as_string(), "pgkeel_lag_bytes");
    EXPECT_EQ(body->at(1).at("endsAt").as_string(), "2027-01-15T08:05:00.000Z");
}

TEST(Verdict, OfHttp) {
    EXPECT_TRUE(judge_http(204, "").delivered);
    EXPECT_FALSE(judge_http(302, "").delivered);
    EXPECT_TRUE(judge_http(400, "").refused);
    EXPECT_FALSE(judge_http(404, "").refused) << "an address may be mended";
    EXPECT_EQ(judge_http(503, "7").retry_after, 7s);
    EXPECT_EQ(judge_http(503, "99999999999999999999").retry_after, 0s);
    EXPECT_EQ(judge_http(503, "99999").retry_after, 3600s);
    EXPECT_EQ(judge_http(503, "Fri, 15 Jan 2027 08:00:00 GMT").retry_after, 0s);
}

TEST(Verdict, OfTheBotApi) {
    EXPECT_TRUE(judge_telegram(200, R"({"ok":true,"result":{}})").delivered);
    EXPECT_FALSE(judge_telegram(200, "<html>captive portal</html>").delivered);
    EXPECT_FALSE(judge_telegram(200, R"({"ok":false})").delivered);
    auto const slow =
        judge_telegram(429, R"({"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7",)"
                            R"("parameters":{"retry_after":7}})");
    EXPECT_EQ(slow.retry_after, 7s);
    EXPECT_THAT(slow.text, HasSubstr("Too Many Requests"));
    EXPECT_TRUE(judge_telegram(400, R"({"ok":false,"description":"Bad Request: chat not found"})").refused);
    EXPECT_EQ(judge_telegram(429, R"({"parameters":{"retry_after":-7}})").retry_after, 0s);
    EXPECT_EQ(judge_telegram(429, R"({"parameters":[7]})").retry_after, 0s);
}

TEST(Cut, KeepsCharactersWholeAndMendsWhatIsNone) {
    EXPECT_EQ(cut("abc", 3), "abc");
    EXPECT_EQ(cut("abcdef", 5), "ab...");
    EXPECT_EQ(cut("\xc3\xa4\xc3\xa4\xc3\xa4", 5), "\xc3\xa4...");
    EXPECT_EQ(cut("a\xff\xc3", 10), "a??");
    EXPECT_EQ(cut("\xed\xa0\x80", 10), "???") << "a surrogate is no character";
}

}  // namespace
}  // namespace keel::alert
