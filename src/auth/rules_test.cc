#include "auth/rules.h"

#include <gtest/gtest.h>

#include "auth/md5.h"
#include "auth/users.h"

namespace keel::auth {

namespace {

std::string problems(std::string_view text) {
    std::string out;
    for (auto const& problem : parse_rules(text, "hba").problems) {
        EXPECT_FALSE(problem.mend.empty()) << text;
        out += (out.empty() ? "" : "; ") + std::to_string(problem.line) + ": " + problem.text;
    }
    return out;
}

// The line of the rule that a visitor meets; 0: none.
int line_of(std::string_view text, char const* database, char const* user, char const* address, bool tls = false,
            bool replication = false) {
    auto const rules = parse_rules(text, "hba");
    EXPECT_TRUE(rules.problems.empty()) << text;
    Visitor visitor{database, user, std::nullopt, tls, replication};
    if (*address != '\0') visitor.address = parse_address(address);
    auto const* const rule = match(rules.rules, visitor);
    return rule == nullptr ? 0 : rule->line;
}

}  // namespace

TEST(Address, IsReadStrictly) {
    for (auto const* good : {"0.0.0.0", "255.255.255.255", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "fe80::1:2",
                             "::ffff:10.0.0.1", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "64:ff9b::1.2.3.4"})
        EXPECT_TRUE(parse_address(good).has_value()) << good;
    for (auto const* bad : {"",
                            "1",
                            "1.2.3",
                            "1.2.3.4.5",
                            "256.1.1.1",
                            "01.2.3.4",
                            "1.2.3.-4",
                            "1.2.3.4 ",
                            " 1.2.3.4",
                            "1..2.3",
                            ":",
                            ":::",
                            "1:::2",
                            "1::2::3",
                            "1:2:3:4:5:6:7",
                            "1:2:3:4:5:6:7:8:9",
                            "12345::",
                            "g::",
                            ":1",
                            "1:",
                            "1.2.3.4:",
                            "::1.2.3",
                            "1:2:3:4:5:6:7:1.2.3.4",
                            "fe80::1%eth0",
                            "1::2:",
                            "1:2:3:4:5:6:7:8::"})
        EXPECT_FALSE(parse_address(bad).has_value()) << bad;
    EXPECT_EQ(parse_address("10.0.0.1"), parse_address("::ffff:10.0.0.1"));
    EXPECT_EQ(parse_address("1::8"), parse_address("1:0:0:0:0:0:0:8"));
    EXPECT_TRUE(parse_address("::ffff:a00:1")->is_v4);
    EXPECT_FALSE(parse_address("::1")->is_v4);
}

TEST(Rules, TheFirstThatMatchesDecides) {
    constexpr std::string_view kText =
        "# TYPE DATABASE USER ADDRESS METHOD\n"
        "local all postgres trust\n"
        "\n"
        "host all evil all reject  # him not\n"
        "hostssl a,\"all\" , b  u1,u2 10.0.0.0/8 scram-sha-256\r\n"
        "hostnossl a all 192.168.1.7 255.255.255.255 md5\n"
        "host sameuser all fd00::/8 scram-sha-256\n"
        "hostssl replication rep 0.0.0.0/0 cert\n"
        "host all all ::1/128 trust\n"
        "host all all ::ffff:172.16.0.0/108 trust\n";
    struct Row {
        int line;
        char const *database, *user, *address;
        bool tls = false, replication = false;
    };
    Row const rows[] = {
        {2, "x", "postgres", ""},
        {0, "x", "other", ""},
        {4, "x", "evil", "10.1.1.1", true},
        {0, "x", "evil", ""},
        {5, "a", "u1", "10.1.1.1", true},
        {5, "b", "u2", "10.255.1.1", true},
        {5, "all", "u2", "10.255.1.1", true},
        {5, "a", "u1", "::ffff:10.1.1.1", true},
        {0, "a", "u1", "10.1.1.1", false},
        {0, "c", "u1", "10.1.1.1", true},
        {0, "a", "u3", "10.1.1.1", true},
        {0, "a", "u1", "11.1.1.1", true},
        {6, "a", "u1", "192.168.1.7"},
        {0, "a", "u1", "192.168.1.7", true},
        {0, "a", "u1", "192.168.1.6"},
        {7, "u", "u", "fdff::1"},
        {0, "u", "w", "fdff::1"},
        {0, "u", "u", "fe00::1"},
        {8, "whatever", "rep", "1.2.3.4", true, true},
        {0, "whatever", "rep", "1.2.3.4", true, false},
        {0, "whatever", "postgres", "", false, true},  // "all" is not replication
        {0, "whatever", "rep", "fd00::1", true, true},
        {9, "x", "y", "::1"},
        {0, "x", "y", "::2"},
        {10, "x", "y", "172.31.0.1"},
        {0, "x", "y", "172.32.0.1"},
    };
    for (auto const& row : rows)
        EXPECT_EQ(line_of(kText, row.database, row.user, row.address, row.tls, row.replication), row.line)
            << row.database << " " << row.user << " " << row.address;
}

TEST(Rules, AGroupIsItsMembersAndItself) {
    auto const rules = parse_rules(
        "host all +staff,w all trust\n"
        "host samerole all all md5\n",
        "hba");
    EXPECT_TRUE(rules.problems.empty());
    auto const line = [&](char const* database, char const* user, std::vector<std::string> groups) {
        auto const* const rule =
            match(rules.rules, {database, user, parse_address("::1"), true, false, std::move(groups)});
        return rule == nullptr ? 0 : rule->line;
    };
    EXPECT_EQ(line("x", "u", {"team", "staff"}), 1);
    EXPECT_EQ(line("x", "staff", {}), 1);
    EXPECT_EQ(line("x", "w", {}), 1);
    EXPECT_EQ(line("x", "u", {"team"}), 0);
    EXPECT_EQ(line("x", "+staff", {}), 0);
    EXPECT_EQ(line("team", "u", {"team"}), 2);
    EXPECT_EQ(line("u", "u", {}), 2);
}

TEST(Rules, ARuleOfOneFamilyDoesNotMeetTheOther) {
    EXPECT_EQ(line_of("host all all ::/0 trust", "a", "u", "10.0.0.1"), 0);
    EXPECT_EQ(line_of("host all all ::/0 trust", "a", "u", "::ffff:10.0.0.1"), 0);
    EXPECT_EQ(line_of("host all all ::/0 trust", "a", "u", "2001::1"), 1);
    EXPECT_EQ(line_of("host all all 0.0.0.0/0 trust", "a", "u", "2001::1"), 0);
    EXPECT_EQ(line_of("host all all 0.0.0.0 0.0.0.0 trust", "a", "u", "9.9.9.9"), 1);
    EXPECT_EQ(line_of("host all all fe80:: ffff:: trust", "a", "u", "fe80:1::1"), 1);
    EXPECT_EQ(line_of("host all all fe80:: ffff:: trust", "a", "u", "fe81::1"), 0);
    EXPECT_EQ(line_of("host all all all trust", "a", "u", "2001::1"), 1);
}

TEST(Rules, AQuotedWordIsNoKeyword) {
    EXPECT_EQ(line_of("host \"all\" all all trust", "x", "u", "::1"), 0);
    EXPECT_EQ(line_of("host \"sameuser\" all all trust", "u", "u", "::1"), 0);
    EXPECT_EQ(line_of("host \"samerole\" all all trust", "u", "u", "::1"), 0);
    EXPECT_EQ(line_of("host \"replication\" all all trust", "replication", "u", "::1"), 1);
    EXPECT_EQ(line_of("host \"replication\" all all trust", "x", "u", "::1", false, true), 0);
    EXPECT_EQ(line_of("host all \"+g\",\"a b\",\"#\" all trust", "x", "a b", "::1"), 1);
    EXPECT_EQ(line_of("host all sameuser all trust", "x", "sameuser", "::1"), 1);  // of users it is a name
}

TEST(Rules, EveryFaultIsSaidWithItsLine) {
    std::pair<char const*, char const*> const rows[] = {
        {"hots all all all trust", "1: \"hots\" is no type of connection"},
        {"\"host\" all all all trust", "1: \"host\" is no type of connection"},
        {"\n\nhost", "3: the rule ends before its database"},
        {"host all", "1: the rule ends before its user"},
        {"host all all", "1: the rule ends before its address"},
        {"host all all all", "1: the rule ends before its method"},
        {"local all all", "1: the rule ends before its method"},
        {"host,local all all all trust", "1: several values for the type"},
        {"host all all 10.0.0.0/8,11.0.0.0/8 trust", "1: several values for the address"},
        {"host all all 10.0.0.0/33 trust", "1: \"/33\" is no length of a prefix"},
        {"host all all 10.0.0.0/-1 trust", "1: \"/-1\" is no length of a prefix"},
        {"host all all 10.0.0.0/ trust", "1: \"/\" is no length of a prefix"},
        {"host all all 10.0.0.0/8x trust", "1: \"/8x\" is no length of a prefix"},
        {"host all all ::/129 trust", "1: \"/129\" is no length of a prefix"},
        {"host all all 10.0.0.0 trust", "1: \"trust\" is no mask for that address"},
        {"host all all 10.0.0.0 255.0.255.0 trust", "1: the mask 255.0.255.0 has a gap"},
        {"host all all 10.0.0.0 ffff:: trust", "1: \"ffff::\" is no mask for that address"},
        {"host all all localhost trust", "1: \"localhost\" is no address"},
        {"host all all samenet trust", "1: \"samenet\" is no address"},
        {"host all all \"all\" trust", "1: \"all\" is no address"},
        {"host all all all ldap", "1: \"ldap\" is no method that is known here"},
        {"host all all all \"trust\"", "1: \"trust\" is no method that is known here"},
        {"host all all all cert", "1: the method cert needs TLS"},
        {"hostssl all all all cert map=x", "1: \"map=x\" behind the method: no option but clientcert is known here"},
        {"hostssl all all all md5 clientcert=verify-ca,x",
         "1: \"clientcert=verify-ca\" behind the method: no option but clientcert is known here"},
        {"hostssl all all all md5 clientcert=1", "1: \"clientcert=1\" is no value of clientcert"},
        {"host all all all md5 clientcert=verify-ca", "1: clientcert needs TLS"},
        {"hostssl all all all cert clientcert=verify-ca", "1: the method cert is always clientcert=verify-full"},
        {"host +admins all all trust",
         "1: \"+admins\" is not known here: no files or regular expressions, groups of users only"},
        {"host all + all trust", "1: \"+\" is not known here: no files or regular expressions, groups of users only"},
        {"host @file all all trust",
         "1: \"@file\" is not known here: no files or regular expressions, groups of users only"},
        {"host /^a all all trust",
         "1: \"/^a\" is not known here: no files or regular expressions, groups of users only"},
        {"host \"all all all trust", "1: a quote is not closed"},
        {"host \"\" all all trust", "1: an empty name"},
        {"host , all all trust", "1: several values for the type"},
        {", host", "1: a comma where a word should be"},
        {"host a,,b all all trust", "1: a comma where a word should be"},
        {"host a,", "1: a comma at the end"},
        // Were these cut in two, the words behind would mean something else.
        {"local \"db\"x trust", "1: a word goes on behind its quote"},
        {"local db\"x\" trust", "1: a quote in the middle of a word"},
        {"local all all trust\nhost\nlocal all all nonsense",
         "2: the rule ends before its database; 3: \"nonsense\" is no method that is known here"},
    };
    for (auto const& [text, said] : rows) EXPECT_EQ(problems(text), said) << text;
    EXPECT_EQ(to_string(parse_rules("\nx", "/etc/hba").problems.at(0)),
              "/etc/hba:2: \"x\" is no type of connection\n    mend: write local, host, hostssl or hostnossl");
    EXPECT_EQ(problems(" \t\r\n# only a comment"), "");
}

TEST(Rules, SayWhichCertificateIsWanted) {
    using enum Rule::Certificate;
    auto const rules = parse_rules(
        "hostssl all all all md5\n"
        "hostssl all all all scram-sha-256 clientcert=verify-ca\n"
        "hostssl all all all trust clientcert=verify-full # both\n"
        "hostssl all all all cert\n"
        "hostssl all all all cert clientcert=verify-full\n",
        "hba");
    ASSERT_TRUE(rules.problems.empty());
    Rule::Certificate const wanted[] = {none, of_authority, of_user, of_user, of_user};
    for (std::size_t i = 0; i < rules.rules.size(); ++i) EXPECT_EQ(rules.rules[i].certificate, wanted[i]) << i;
}

TEST(Rules, WhatCannotBeKeptIsRefused) {
    auto const judged = [](std::string_view text, RulesPlace const& place) {
        auto rules = parse_rules(text, "hba");
        check_rules(rules, "hba", place);
        std::string out;
        for (auto const& one : rules.problems) {
            EXPECT_FALSE(one.mend.empty());
            out += std::to_string(one.line) + ": " + one.text + "; ";
        }
        return out;
    };
    constexpr std::string_view kText =
        "hostssl all all all cert\nhost all all all trust\nhost all all all scram-sha-256\nlocal all all md5\n";
    EXPECT_EQ(judged(kText, {true, true, true}), "");
    EXPECT_EQ(judged(kText, {true, false, true}),
              "1: clients' certificates cannot be checked: no authority is named; ");
    EXPECT_EQ(judged("# nobody\n", {true, true, true}), "1: there is no rule in it; ");
    EXPECT_EQ(judged("hostssl all all all reject\n", {false, false, true}),
              "1: hostssl, but clients are not offered TLS; ");
    // In order of the lines, also with those that could not be read.
    EXPECT_EQ(judged(std::string(kText) + "nonsense\nlocal all all trust\n", {true, true, false}),
              "1: the method cert needs a node's proxy: a proxy host can log in at the servers only with what a "
              "client's password gives it; 2: the method trust needs a node's proxy: a proxy host can log in at the "
              "servers only with what a client's password gives it; 5: \"nonsense\" is no type of connection; 6: the "
              "method trust needs a node's proxy: a proxy host can log in at the servers only with what a client's "
              "password gives it; ");
    EXPECT_EQ(judged("hostssl all all all scram-sha-256 clientcert=verify-full\n", {true, true, false}), "")
        << "a password is there";
}

TEST(Rules, RefusalsAreInPostgresqlsWords) {
    Rule const reject;
    Visitor visitor{"d", "u", parse_address("10.0.0.1"), true};
    EXPECT_EQ(refusal_of(nullptr, visitor, "10.0.0.1"),
              "no pg_hba.conf entry for host \"10.0.0.1\", user \"u\", database \"d\", SSL encryption");
    EXPECT_EQ(refusal_of(&reject, visitor, "10.0.0.1"),
              "pg_hba.conf rejects connection for host \"10.0.0.1\", user \"u\", database \"d\", SSL encryption");
    visitor.replication = true;
    visitor.tls = false;
    EXPECT_EQ(refusal_of(nullptr, visitor, ""),
              "no pg_hba.conf entry for replication connection from host \"[local]\", user \"u\", no encryption");
    EXPECT_EQ(refusal_of(&reject, visitor, ""),
              "pg_hba.conf rejects replication connection for host \"[local]\", user \"u\", no encryption");
}

TEST(Md5, IsPostgresqlsOwn) {
    // md5('pencil' || 'user'), and what a client answers to the salt 01 02 03 04.
    auto const verifier = make_md5_verifier(Secret("pencil"), "user");
    ASSERT_TRUE(verifier.has_value());
    EXPECT_EQ(verifier->reveal(), "md520c46e3762c864548e296b33c3406aa9");
    Md5Salt const salt{1, 2, 3, 4};
    EXPECT_EQ(md5_answer(*verifier, salt).value(), "md54376eb6913b38f9aaff38dc7cf19ca76");
    EXPECT_TRUE(md5_accepts(*verifier, salt, "md54376eb6913b38f9aaff38dc7cf19ca76").value());
    EXPECT_FALSE(md5_accepts(*verifier, {1, 2, 3, 5}, "md54376eb6913b38f9aaff38dc7cf19ca76").value());
    EXPECT_FALSE(md5_accepts(*verifier, salt, "").value());
    EXPECT_FALSE(md5_accepts(*verifier, salt, verifier->reveal()).value());
    for (auto const* bad :
         {"", "md5", "md520c46e3762c864548e296b33c3406aa90", "MD520c46e3762c864548e296b33c3406aa9",
          "SCRAM-SHA-256$1:AAAA$x:y", "md5zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "md5AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
        EXPECT_FALSE(is_md5_verifier(Secret(bad))) << bad;
        EXPECT_FALSE(md5_answer(Secret(bad), salt).has_value()) << bad;
    }
}

TEST(Users, MayLogInAsTheirRoleSays) {
    UserTable table;
    table.put({.name = "a", .valid_until_us = 100, .connection_limit = 2});
    table.put({.name = "group", .can_login = false});
    table.put({.name = "root", .connection_limit = 0, .superuser = true});
    User const& a = *table.find("a");
    auto const code = [](Status const& status) { return status ? std::string("in") : to_string(status.error().code); };
    EXPECT_EQ(code(may_log_in(a, {.now_us = 100, .connections = 1})), "in");
    EXPECT_EQ(code(may_log_in(a, {.now_us = 101})), to_string(Code::denied));
    EXPECT_EQ(code(may_log_in(a, {.now_us = 101, .by_password = false})), "in");
    EXPECT_EQ(code(may_log_in(a, {.connections = 2})), to_string(Code::exhausted));
    EXPECT_EQ(code(may_log_in(*table.find("group"), {})), to_string(Code::denied));
    EXPECT_EQ(code(may_log_in(*table.find("root"), {.connections = 9})), "in");
    EXPECT_EQ(table.find("A"), nullptr);
    table.remove("a");
    table.remove("never");
    EXPECT_EQ(table.find("a"), nullptr);
    EXPECT_EQ(table.size(), 2U);
    table.assign({{.name = "z"}});
    EXPECT_EQ(table.size(), 1U);
    EXPECT_EQ(table.find("root"), nullptr);
}

}  // namespace keel::auth
