// What people type and what they are shown, by table: times, spans, tokens, phases, refusals.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <fstream>

#include "base/json.h"
#include "cli/client.h"
#include "cli/errand.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "cli/time_text.h"
#include "cli/token_text.h"

namespace keel::cli {
namespace {

// 2026-11-21 22:00:00 UTC.
constexpr std::int64_t kNow = 1'795'298'400'000;
constexpr std::int64_t kHour = 3'600'000;

struct Zone {
    explicit Zone(char const* name) {
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    ~Zone() {
        ::unsetenv("TZ");
        ::tzset();
    }
};

TEST(Span, IsReadWithItsUnit) {
    EXPECT_EQ(parse_span_s("90").value_or(0), 90);
    EXPECT_EQ(parse_span_s("1s").value_or(0), 1);
    EXPECT_EQ(parse_span_s("15m").value_or(0), 900);
    EXPECT_EQ(parse_span_s("24h").value_or(0), 86400);
    EXPECT_EQ(parse_span_s("7d").value_or(0), 604800);
}

TEST(Span, NonsenseIsRefusedWithAMend) {
    for (auto const* text : {"", "h", "0", "-1h", "1y", "1.5h", "99999999999999999999", "1000000d", "1 h"}) {
        auto const span = parse_span_s(text);
        ASSERT_FALSE(span) << text;
        EXPECT_EQ(span.error().code, Code::invalid) << text;
        EXPECT_FALSE(span.error().mend.empty()) << text;
    }
}

TEST(Past, IsASpanAgoOrADay) {
    Zone const zone("UTC-2");
    EXPECT_EQ(parse_past("now", kNow).value_or(0), kNow);
    EXPECT_EQ(parse_past("2h", kNow).value_or(0), kNow - 2 * kHour);
    EXPECT_EQ(parse_past("2026-11-21", kNow).value_or(0), kNow - 24 * kHour) << "it is midnight there";
    EXPECT_EQ(parse_past("2026-11-21Z", kNow).value_or(0), kNow - 22 * kHour);
    EXPECT_EQ(parse_past("2026-11-21 12:00", kNow).value_or(0), kNow - 12 * kHour);
    for (auto const* text : {"", "yesterday", "2026-11-23", "03:00", "-5d", "2026-13-01", "d", "2026-11-21 25:00"}) {
        auto const moment = parse_past(text, kNow);
        ASSERT_FALSE(moment) << text;
        EXPECT_FALSE(moment.error().mend.empty()) << text;
    }
}

TEST(Moment, IsLocalTimeUnlessItSaysOtherwise) {
    Zone const zone("UTC-2");  // two hours east
    EXPECT_EQ(parse_moment("+30m", kNow).value_or(0), kNow + kHour / 2);
    EXPECT_EQ(parse_moment("2026-11-22 03:00", kNow).value_or(0), kNow + 3 * kHour);
    EXPECT_EQ(parse_moment("2026-11-22T03:00:00Z", kNow).value_or(0), kNow + 5 * kHour);
    EXPECT_EQ(parse_moment("03:00", kNow).value_or(0), kNow + 3 * kHour);
    // It is midnight there: 00:00 is over, so tomorrow's is meant.
    EXPECT_EQ(parse_moment("00:00", kNow).value_or(0), kNow + 24 * kHour);
    EXPECT_EQ(parse_moment("23:30Z", kNow).value_or(0), kNow + 3 * kHour / 2);
    EXPECT_EQ(parse_moment("00:00:05", kNow).value_or(0), kNow + 5000);
}

TEST(Moment, ThePastAndWhatIsNoTimeAreRefused) {
    Zone const zone("UTC");
    for (auto const* text : {"", "noon", "25:00", "12:60", "2026-13-01 00:00", "2026-11-31 03:00", "2026-02-30 03:00",
                             "2026-11-20 03:00", "2026-11-22", "03:00 ", "+", "3:00"}) {
        auto const moment = parse_moment(text, kNow);
        ASSERT_FALSE(moment) << text;
        EXPECT_EQ(moment.error().code, Code::invalid) << text;
        EXPECT_FALSE(moment.error().mend.empty()) << text;
    }
}

std::string const kToken = "keel1." + std::string(64, 'a') + "." + std::string(48, '1');

TEST(Token, ComesFromOptionFileOrEnvironment) {
    EXPECT_EQ(read_token(kToken, "")->secret.reveal(), std::string(48, '1'));
    auto const path = testing::TempDir() + "/token-" + std::to_string(::getpid());
    std::ofstream(path) << kToken << "\n";
    EXPECT_EQ(read_token("", path)->authority_fingerprint, std::string(64, 'a'));
    ::unlink(path.c_str());
    ::setenv("PGKEEL_TOKEN", kToken.c_str(), 1);
    EXPECT_TRUE(read_token("", ""));
    ::unsetenv("PGKEEL_TOKEN");
}

TEST(Token, NoneOrTwoOrAMissingFileIsRefused) {
    ::unsetenv("PGKEEL_TOKEN");
    EXPECT_EQ(read_token("", "").error().code, Code::invalid);
    EXPECT_EQ(read_token(kToken, "/x").error().code, Code::invalid);
    auto const missing = read_token("", "/nowhere/token");
    EXPECT_EQ(missing.error().code, Code::invalid);  // what was typed is wrong: exit code 2
    EXPECT_NE(missing.error().text.find("/nowhere/token"), std::string::npos);
}

TEST(Token, ADamagedOneIsNotRepeatedInTheMessage) {
    auto const token = read_token(kToken.substr(0, 80), "");
    ASSERT_FALSE(token);
    EXPECT_EQ(to_string(token.error()).find("aaaa"), std::string::npos);
}

TEST(Refusal, HasTheExitCodeOfItsKind) {
    auto const refused = [](Code code) {
        return refusal_of(409, json::write(web::Refusal{"why", "how", to_string(code), "not_done"}));
    };
    EXPECT_EQ(refused(Code::invalid).exit_code, kUsage);
    EXPECT_EQ(refused(Code::not_found).exit_code, kUsage);
    EXPECT_EQ(refused(Code::conflict).exit_code, kNotSafe);
    EXPECT_EQ(refused(Code::unavailable).exit_code, kNotSafe);
    EXPECT_EQ(refused(Code::internal).exit_code, kFailed);
    EXPECT_EQ(refused(Code::conflict).error.mend, "how");
    EXPECT_EQ(refusal_of(502, "<html>").exit_code, kFailed);
}

cluster::ClusterStatus three() {
    cluster::ClusterStatus status;
    status.leader = "anna";
    status.leader_alive = true;
    status.epoch = Epoch{5};
    status.revision = 20;
    status.sync_names = {"bela", "cleo"};
    for (auto const* name : {"anna", "bela", "cleo"}) {
        cluster::MemberStatus member;
        member.name = name;
        member.healthy = true;
        status.members.push_back(member);
    }
    return status;
}

TEST(Phase, IsOneLine) {
    auto status = three();
    EXPECT_EQ(phase_line(status), "anna leads, epoch 5");
    status.leader_alive = false;
    EXPECT_EQ(phase_line(status), "anna does not answer, epoch 5");
    status.phase = cluster::Phase::promoting;
    EXPECT_EQ(phase_line(status), "anna takes over, epoch 5");
    status.leader.clear();
    status.phase = cluster::Phase::revoking;
    EXPECT_EQ(phase_line(status), "election of epoch 5: the old leader is fenced");
}

TEST(Switchover, EndsWithAnotherLeaderInALaterEpoch) {
    auto const before = three();
    auto const look = until_leader_changed(before, "bela", 21);
    auto status = before;
    EXPECT_FALSE(look(status)) << "the request is not in this status yet";
    status.revision = 21;
    status.handover = "to bela";
    EXPECT_FALSE(look(status));
    status.epoch = Epoch{6};
    status.phase = cluster::Phase::revoking;
    status.handover.clear();
    EXPECT_FALSE(look(status));
    status.phase = cluster::Phase::stable;
    status.leader = "bela";
    ASSERT_TRUE(look(status));
    EXPECT_TRUE(look(status)->has_value());
}

TEST(Switchover, GivenUpOrLedByTheWrongOneIsNotSafe) {
    auto const before = three();
    auto const look = until_leader_changed(before, "bela", 21);
    auto status = before;
    status.revision = 22;
    ASSERT_TRUE(look(status));
    EXPECT_EQ(look(status)->error().exit_code, kNotSafe);
    for (auto const* leader : {"anna", "cleo"}) {
        status.epoch = Epoch{6};
        status.leader = leader;
        ASSERT_TRUE(look(status));
        EXPECT_EQ(look(status)->error().exit_code, kNotSafe) << leader;
    }
}

TEST(Restart, GoesOnOnlyWhenTheClusterIsAsWholeAsBefore) {
    auto const before = wholeness_of(three());
    EXPECT_TRUE(is_restored(three(), before));
    auto status = three();
    status.members[1].healthy = false;
    EXPECT_FALSE(is_restored(status, before));
    status = three();
    status.sync_names = {"cleo"};
    EXPECT_FALSE(is_restored(status, before));
    status = three();
    status.leader_alive = false;
    EXPECT_FALSE(is_restored(status, before));
    status = three();
    status.phase = cluster::Phase::promoting;
    EXPECT_FALSE(is_restored(status, before));
}

TEST(Confirm, WithoutATerminalOnlyYesIsAnAnswer) {
    int const saved = ::dup(STDIN_FILENO);
    ASSERT_NE(::freopen("/dev/null", "r", stdin), nullptr);
    EXPECT_TRUE(confirm("everything goes", true));
    auto const refused = confirm("everything goes", false);
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().exit_code, kUsage);
    EXPECT_NE(refused.error().error.text.find("everything goes"), std::string::npos);
    EXPECT_NE(refused.error().error.mend.find("--yes"), std::string::npos);
}

TEST(NewNode, IsCheckedByTheRulesOfItsFile) {
    NewNode node;
    node.config.name = "anna";
    node.config.address = "10.0.0.1";
    EXPECT_TRUE(complete(node, "/var/lib/pgkeel"));
    EXPECT_EQ(node.config.bind, "10.0.0.1");
    EXPECT_EQ(member_of(node.config).api, "10.0.0.1:8008");
    node.config.name = "a b";
    node.config.api_port = node.config.peer_port;
    auto const wrong = complete(node, "/var/lib/pgkeel");
    ASSERT_FALSE(wrong);
    EXPECT_NE(to_string(wrong.error()).find("a b"), std::string::npos);
    EXPECT_NE(to_string(wrong.error()).find("7432"), std::string::npos);
}

TEST(NewNode, EtcdWithoutAUrlIsRefused) {
    NewNode node;
    node.config.name = "anna";
    node.config.address = "10.0.0.1";
    node.etcd = "https://10.0.0.9:2379,10.0.0.8:2379";
    auto const wrong = complete(node, "/var/lib/pgkeel");
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().text.find("10.0.0.8"), std::string::npos);
    node.etcd = "https://10.0.0.9:2379";
    ASSERT_TRUE(complete(node, "/var/lib/pgkeel"));
    EXPECT_EQ(node.config.store.endpoints.size(), 1U);
}

}  // namespace
}  // namespace keel::cli
