#include "postgres/conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postgres/access.h"
#include "postgres/directory.h"
#include "postgres/names.h"

namespace keel::postgres {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Place place() {
    Place out;
    out.directory = "/var/lib/o'node";
    out.id = {"0b54e6a2-1111-4222-8333-444455556666"};
    out.name = "a";
    return out;
}

std::map<std::string, std::string> values_of(std::string const& text) {
    std::map<std::string, std::string> out;
    for (auto const& one : parse_conf(text)) out[one.name] = one.value;
    return out;
}

TEST(Conf, ReadsWhatPostgresqlReads) {
    auto const got =
        parse_conf("# c\n work_mem = 8MB # more\nShared_Buffers '1\\\\2''3'\nx.y='a = b'\n\nbroken\n= 3\nlast=1");
    ASSERT_EQ(got.size(), 4U);
    EXPECT_EQ(got[0].name, "work_mem");
    EXPECT_EQ(got[0].value, "8MB");
    EXPECT_EQ(got[0].line, 2);
    EXPECT_EQ(got[1].name, "shared_buffers");
    EXPECT_EQ(got[1].value, "1\\2'3");
    EXPECT_EQ(got[2].value, "a = b");
    EXPECT_EQ(got[3].value, "1");
}

TEST(Conf, QuotingSurvivesReadingBack) {
    for (std::string const value : {"", "plain", "it's", "back\\slash", "'", "\\'", "two\nlines", "# no comment"}) {
        auto const got = parse_conf("x = " + quote_conf(value));
        ASSERT_EQ(got.size(), 1U) << value;
        EXPECT_EQ(got[0].value, value);
    }
}

TEST(Conf, TheConninfoInsideTheFileKeepsItsQuotes) {
    Wanted const wanted{{"1b54e6a2-1111-4222-8333-444455556666"}, {"10.0.0.2", 6543}, nobody()};
    auto values = values_of(render_conf(place(), {}, wanted));
    EXPECT_THAT(values["primary_conninfo"], HasSubstr("sslkey='/var/lib/o\\'node/pki/node.key'"));
    EXPECT_THAT(values["primary_conninfo"], HasSubstr("host='10.0.0.2' port='6543' user='pgkeel_replicator'"));
    EXPECT_THAT(values["primary_conninfo"], HasSubstr("application_name='" + place().id.value + "'"));
    EXPECT_THAT(values["primary_conninfo"], HasSubstr("sslmode='verify-ca'"));
    EXPECT_THAT(values["primary_conninfo"], HasSubstr("options='-c search_path=pg_catalog "));
    EXPECT_EQ(values["primary_slot_name"], "pgkeel_0b54e6a2_1111_4222_8333_444455556666");
    EXPECT_EQ(values["unix_socket_directories"], "/var/lib/o'node/run");
}

TEST(Conf, WhatWasWrittenIsReadBack) {
    Wanted const wanted{{"1b54e6a2-1111-4222-8333-444455556666"}, {"fe80::1", 6543}, {2, {{"x"}, {"y"}}}};
    auto const got = parse_written(render_conf(place(), {}, wanted));
    EXPECT_EQ(got.upstream, wanted.upstream);
    EXPECT_EQ(got.upstream_at, wanted.upstream_at);
    EXPECT_EQ(got.names, wanted.names);
    auto const cut = parse_written(render_conf(place(), {}, {}));
    EXPECT_EQ(cut.upstream, NodeId{});
    EXPECT_EQ(cut.names, cluster::Names{});
}

TEST(Conf, TheNodeWinsOverTheClusterAndPgkeelOverBoth) {
    Settings settings;
    settings.cluster = {{"work_mem", "1MB"}, {"port", "1"}};
    settings.node = {{"work_mem", "2MB"}};
    settings.delayed_s = 60;
    auto values = values_of(render_conf(place(), settings, {}));
    EXPECT_EQ(values["work_mem"], "2MB");
    EXPECT_EQ(values["port"], "5432");
    EXPECT_EQ(values["recovery_min_apply_delay"], "60s");
}

TEST(Conf, OwnedParametersAreRefusedWithTheirOrigin) {
    EXPECT_TRUE(complaints({{"work_mem", "1MB"}, {"auto_explain.log_min_duration", "1s"}}, "here").empty());
    for (auto const* name :
         {"port", "Primary_Conninfo", "synchronous_standby_names", "restart_after_crash", "wal_level", "fsync"}) {
        EXPECT_THAT(complaints({{name, "x"}}, "node.toml [postgres.parameters]"),
                    ElementsAre(HasSubstr("node.toml [postgres.parameters]: " + std::string(name))));
    }
    EXPECT_EQ(complaints({{"bad name", "x"}, {"synchronous_commit", "OFF"}, {"a", "x\ny"}}, "here").size(), 3U);
    EXPECT_EQ(complaints({{"synchronous_commit", "remote_write"}}, "here").size(), 1U);
    EXPECT_TRUE(complaints({{"synchronous_commit", "remote_apply"}}, "here").empty());
}

TEST(Conf, AutoConfLosesOnlyOurs) {
    std::vector<std::string> removed;
    EXPECT_EQ(without_owned("# Do not edit\nwork_mem = '1MB'\nprimary_conninfo = 'host=x'\n", removed),
              "# Do not edit\nwork_mem = '1MB'\n");
    EXPECT_THAT(removed, ElementsAre("primary_conninfo"));
}

TEST(Conf, TheIncludeIsLastAndOnlyOnce) {
    auto const once = with_include("a = 1\n");
    EXPECT_EQ(with_include(once), once);
    auto const later = with_include(once + "port = 1\n");
    EXPECT_LT(later.find("port = 1"), later.find("include 'pgkeel.conf'"));
    EXPECT_LT(later.find("include 'pgkeel_defaults.conf'"), later.find("a = 1"));
}

TEST(Access, TheBlockComesFirstAndTheUsersLinesStay) {
    std::string const users = "host all all 10.0.0.0/8 md5\n";
    auto const once = with_block(users, hba_block());
    EXPECT_TRUE(once.ends_with(users));
    EXPECT_EQ(with_block(once, hba_block()), once);
    auto const moved = with_block("local all all trust\n" + once, "new\n");
    EXPECT_LT(moved.find("new\n"), moved.find("local all all trust"));
    EXPECT_EQ(moved.find("pgkeel_rewind"), std::string::npos);
    EXPECT_THAT(hba_block(), HasSubstr("hostssl  replication      pgkeel_replicator"));
}

TEST(ConnInfo, EveryConnectionOfOursHasItsOwnSearchPath) {
    for (auto const& info : {local_conninfo(place(), "t"), peer_conninfo(place(), {"10.0.0.2", 1}, "u", "t")}) {
        std::map<std::string, std::string> const values(info.begin(), info.end());
        ASSERT_TRUE(values.contains("options"));
        EXPECT_TRUE(values.at("options").starts_with("-c search_path=pg_catalog ")) << values.at("options");
    }
}

TEST(Access, OnlyMembersCertificatesAreMapped) {
    NodeId const a{"0b54e6a2-1111-4222-8333-444455556666"};
    auto const text = ident_block("postgres", {a});
    EXPECT_THAT(text, HasSubstr("pgkeel        \"" + a.value + "\"  pgkeel_rewind\n"));
    EXPECT_EQ(text.find('/'), std::string::npos) << "a pattern would let others of the authority in";
    EXPECT_THAT(with_ident(place(), {}, ""), HasSubstr(place().id.value)) << "the node itself always";
    Settings settings;
    settings.members = {a, {"1b54e6a2-1111-4222-8333-444455556666"}};
    EXPECT_THAT(with_ident(place(), settings, ""), HasSubstr("\"1b54e6a2-1111-4222-8333-444455556666\""));
    EXPECT_EQ(text.find("pgkeel_proxied"), std::string::npos);
    settings.proxied = {"app one"};
    EXPECT_THAT(with_ident(place(), settings, ""), HasSubstr("pgkeel_proxied  \"" + a.value + "\"  \"app one\"\n"));
}

TEST(Access, NamesThatMeanMoreThanThemselvesAreLeftOut) {
    for (auto const* good : {"app", "All", "+x", "a b", "\xc3\xa4", "a,b", "#"})
        EXPECT_TRUE(is_plain_name(good)) << good;
    for (auto const* bad : {"", "/^a", "a\"b", "a\\1", "a\nb", "a\x7f"}) EXPECT_FALSE(is_plain_name(bad)) << bad;
}

TEST(Names, AreReadAsTheyAreWritten) {
    EXPECT_EQ(render_names({}), "");
    EXPECT_EQ(render_names({1, {}}), "ANY 1 (pgkeel_nobody)");
    EXPECT_EQ(render_names({2, {{"a-1"}, {"b\"2"}}}), "ANY 2 (\"a-1\",\"b\"\"2\")");
    for (cluster::Names const& names : {cluster::Names{}, nobody(), {1, {{"a"}}}, {2, {{"a-1"}, {"b\"2"}, {"c,)"}}}}) {
        EXPECT_EQ(parse_names(render_names(names)), names);
    }
    EXPECT_EQ(parse_names("FIRST 1 (a)"), cluster::Names{});
}

TEST(Names, SlotsBelongToMembers) {
    NodeId const id{"0b54e6a2-1111-4222-8333-444455556666"};
    EXPECT_EQ(slot_owner(slot_name(id)), id);
    EXPECT_EQ(slot_owner("someone_elses"), NodeId{});
}

TEST(Place, EndpointsOfEveryKind) {
    EXPECT_EQ(parse_endpoint("db1:6000"), (Endpoint{"db1", 6000}));
    EXPECT_EQ(parse_endpoint("db1"), (Endpoint{"db1", 5432}));
    EXPECT_EQ(parse_endpoint("[fe80::1]:7"), (Endpoint{"fe80::1", 7}));
    EXPECT_EQ(parse_endpoint("fe80::1"), (Endpoint{"fe80::1", 5432}));
    for (auto const* wrong : {"db:", "db:x", "db:0", "db:70000", "[fe80::1", "[::1]x"})
        EXPECT_EQ(parse_endpoint(wrong).host, "") << wrong;
}

}  // namespace
}  // namespace keel::postgres
