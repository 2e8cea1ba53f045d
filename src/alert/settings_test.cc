#include "alert/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace keel::alert {
namespace {

using testing::HasSubstr;

std::string problems(std::string_view text) { return config::to_string(parse_settings(text, kFileName).problems); }

TEST(Settings, AnEmptyFileHasEveryRuleAndNoChannel) {
    auto const parsed = parse_settings("", kFileName);
    EXPECT_TRUE(parsed.problems.empty());
    EXPECT_TRUE(parsed.settings.channels.empty());
    EXPECT_EQ(parsed.settings.rule("lag_bytes").limit, 100.0 * 1024 * 1024);
}

TEST(Settings, ReadsEveryKindOfChannel) {
    auto const parsed = parse_settings(R"(
[notices]
repeat_s = 3600
[rule.lag_bytes]
limit = "1GB"
hold_s = 5
[rule.fence]
on = false
[telegram.ops]
chat = "-100"
token_file = "/etc/token"
[webhook.hook]
url = "https://example.com/x"
least = "info"
after_s = 900
[email.mail]
server = "smtp://mail:25"
from = "pgkeel@example.com"
to = ["a@example.com", "b@example.com"]
[alertmanager.am]
url = "http://am:9093"
[command.page]
program = ["/usr/local/bin/page", "now"]
)",
                                       kFileName);
    EXPECT_EQ(config::to_string(parsed.problems), "");
    ASSERT_EQ(parsed.settings.channels.size(), 5U);
    EXPECT_EQ(parsed.settings.rule("lag_bytes").limit, 1024.0 * 1024 * 1024);
    EXPECT_EQ(parsed.settings.rule("lag_bytes").hold, 5s);
    EXPECT_FALSE(parsed.settings.rule("fence").on);
    EXPECT_EQ(parsed.settings.repeat, 3600s);
    for (auto const& one : parsed.settings.channels) EXPECT_EQ(one.after, one.name == "hook" ? 900s : 0s);
}

TEST(Settings, EveryMistakeHasItsLineAndItsMend) {
    struct Row {
        char const* text;
        char const* complaint;
    };
    Row const rows[] = {
        {"[rule.dsk]\n", "alerts.toml:1: there is no rule \"dsk\" (did you mean \"disk\"?)"},
        {"[rule.disk]\n\nlimit = 120\n", "alerts.toml:3: rule.disk.limit is not what it must be"},
        {"[rule.disk]\nlimit = 90\ncritical = 80\n", "critical begins before limit does"},
        {"[rule.fence]\nlimit = 1\n", "alerts.toml:2: unknown key limit in [rule.fence]"},
        {"[rule.lag_bytes]\nlimit = \"lots\"\n", "a size such as \"100MB\""},
        {"[rule.disk]\nseverity = \"bad\"\n", "it may be info, warning or critical"},
        {"[rule]\ndisk = 3\n", "rule.disk is not a section"},
        {"[telegramm.ops]\n", "(did you mean \"telegram\"?)"},
        {"[telegram.ops]\nchat = \"1\"\n", "[telegram.ops] has no token_file"},
        {"[telegram.ops]\nchat = \"1\"\ntoken_file = \"token\"\n", "is not an absolute path"},
        {"[telegram.ops]\ntoken = \"123:abc\"\n", "unknown key token in [telegram.ops]"},
        {"[webhook.a]\nurl = \"example.com\"\n", "is no URL"},
        {"[webhook.a]\nurl = \"http://x/\"\n[alertmanager.a]\nurl = \"http://x/\"\n", "two channels have the name a"},
        {"[email.m]\nserver = \"smtp://m\"\nfrom = \"a@b\"\nto = \"x\\r\\nBcc: y@z\"\n", "is no mail address"},
        {"[email.m]\nserver = \"smtp://m\"\nfrom = \"a@b\"\nto = \"x@y\"\nuser = \"u\"\n", "belong together"},
        {"[email.m]\nserver = \"smtp://m\"\nfrom = \"a@b\"\nto = \"x@y\"\nuser = \"u\"\npassword_file = \"/p\"\n"
         "plain = true\n",
         "without TLS"},
        {"[command.c]\nprogram = \"page\"\n", "is not an absolute path"},
        {"[command.\"a b\"]\nprogram = \"/page\"\n", "\"a b\" is not a name"},
        {"[notices]\nrepeat_s = -1\n", "a whole number of seconds"},
        {"[webhook.a]\nurl = \"http://x/\"\nafter_s = \"1h\"\n", "a whole number of seconds"},
        {"[alertmanager.a]\nurl = \"http://x/\"\nafter_s = 60\n", "unknown key after_s"},
        {"rule = 1\n", "unknown section [rule]"},
        {"[rule.disk\n", "not TOML"},
    };
    for (auto const& row : rows) EXPECT_THAT(problems(row.text), HasSubstr(row.complaint)) << row.text;
}

}  // namespace
}  // namespace keel::alert
