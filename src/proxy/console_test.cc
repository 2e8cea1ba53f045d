#include "proxy/console.h"

#include <gtest/gtest.h>

#include "proxy/testing.h"

namespace keel::proxy {
namespace {

using Verb = Command::Verb;

TEST(ConsoleCommand, UnderstandsWhatItOffers) {
    struct Row {
        char const* text;
        Verb verb;
        char const* object;
    };
    for (auto const& row : {Row{"SHOW POOLS", Verb::show, "POOLS"}, Row{" show  clients ; ", Verb::show, "CLIENTS"},
                            Row{"help", Verb::show, "HELP"}, Row{"", Verb::nothing, ""}, Row{";", Verb::nothing, ""},
                            Row{"PAUSE", Verb::pause, ""}, Row{"pause shop;", Verb::pause, "shop"},
                            Row{"Resume \"My \"\"db\"\" ; x\"", Verb::resume, "My \"db\" ; x"},
                            Row{"KILL Shop", Verb::kill, "Shop"}, Row{"KILL_CLIENT 17", Verb::kill_client, "17"},
                            Row{"RECONNECT", Verb::reconnect, ""}, Row{"RELOAD", Verb::reload, ""}}) {
        auto const command = parse_command(row.text);
        ASSERT_TRUE(command) << row.text << ": " << command.error().text;
        EXPECT_EQ(command->verb, row.verb) << row.text;
        EXPECT_EQ(command->object, row.object) << row.text;
    }
    EXPECT_EQ(parse_command("KILL_CLIENT 17")->client, 17U);
}

TEST(ConsoleCommand, WhatItDoesNotKnowIsSaidWithWhatToDo) {
    struct Row {
        char const* text;
        char const* problem;
        char const* mend;
    };
    for (auto const& row :
         {Row{"SHUTDOWN", "\"SHUTDOWN\" is no command", "PAUSE"}, Row{"FOO", "\"FOO\" is no command", "SHOW HELP"},
          Row{"SELECT 1", "no command", "no SQL"}, Row{"BEGIN", "no command", "autocommit"},
          Row{"SHOW", "SHOW what", "HELP"}, Row{"SHOW POOL", "nothing to show named \"POOL\"", "POOLS"},
          Row{"SHOW POOLS now", "too much", "SHOW POOLS"}, Row{"KILL", "form KILL database", "Write"},
          Row{"RELOAD x", "form RELOAD", "Write"}, Row{"PAUSE a b", "form PAUSE", "double quotes"},
          Row{"PAUSE \"\"", "has a name", "PAUSE"}, Row{"KILL pgkeel", "console itself", "database"},
          Row{"KILL_CLIENT x", "no number", "SHOW CLIENTS"}, Row{"KILL_CLIENT 1x", "no number", "id"},
          Row{"PAUSE \"a", "does not end", "Close"}, Row{"SHOW POOLS; SHOW STATS", "one command", "after the other"},
          Row{"\"SHOW\" POOLS", "no command", "HELP"}}) {
        auto const command = parse_command(row.text);
        ASSERT_FALSE(command) << row.text;
        EXPECT_NE(command.error().text.find(row.problem), std::string::npos)
            << row.text << ": " << command.error().text;
        EXPECT_NE(command.error().mend.find(row.mend), std::string::npos) << row.text << ": " << command.error().mend;
    }
}

TEST(ConsoleCommand, HelpNamesNothingThatIsNotUnderstood) {
    for (auto const& line : help_lines()) {
        std::string text = line.command;
        if (auto const form = text.find(" database"); form != std::string::npos) text = text.substr(0, form) + " x";
        if (auto const form = text.find(" number"); form != std::string::npos) text = text.substr(0, form) + " 1";
        if (auto const form = text.find(" ["); form != std::string::npos) text.resize(form);
        EXPECT_TRUE(parse_command(text)) << line.command;
    }
}

TEST(ConsoleCommand, MonitorsLookAndSuperusersChange) {
    auth::User user;
    user.name = "u";
    auto const show = *parse_command("SHOW POOLS"), pause = *parse_command("PAUSE");
    EXPECT_FALSE(may_look(user));
    EXPECT_FALSE(may_use(user, show));
    user.monitor = true;
    EXPECT_TRUE(may_look(user));
    EXPECT_TRUE(may_use(user, show));
    EXPECT_FALSE(may_use(user, pause));
    user.monitor = false;
    user.superuser = true;
    EXPECT_TRUE(may_use(user, show));
    EXPECT_TRUE(may_use(user, pause));
}

TEST(ConsoleTable, IsWhatTheProtocolAsks) {
    Table table({{"name"}, {"count", true}});
    table.row({"a", "7"});
    table.row({std::string(), std::nullopt});
    std::string out;
    table.write(out);
    std::string types;
    std::vector<std::string> bodies;
    for (std::string_view rest = out; !rest.empty();) {
        auto const head = protocol::peek_head(rest);
        ASSERT_EQ(head.kind, protocol::Head::Kind::message);
        types += head.type;
        bodies.emplace_back(rest.substr(protocol::kHead, head.size - protocol::kHead));
        rest.remove_prefix(head.size);
    }
    EXPECT_EQ(types, "TDDC");
    protocol::Reader names(bodies[0]);
    EXPECT_EQ(names.u16(), 2U);
    EXPECT_EQ(names.text(), "name");
    EXPECT_EQ(names.bytes(18).size(), 18U);
    EXPECT_EQ(names.text(), "count");
    EXPECT_EQ(names.u32(), 0U);
    EXPECT_EQ(names.u16(), 0U);
    EXPECT_EQ(names.u32(), 20U) << "int8";
    protocol::Reader second(bodies[2]);
    EXPECT_EQ(second.u16(), 2U);
    EXPECT_EQ(second.u32(), 0U) << "an empty text";
    EXPECT_EQ(second.u32(), 0xffffffffU) << "NULL";
    EXPECT_TRUE(second.good() && second.at_end());
}

// ---- a session ----

using testing::message;

std::string types(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        auto const head = protocol::peek_head(bytes);
        out += head.type;
        bytes.remove_prefix(head.size);
    }
    return out;
}

struct ConsoleSession : ::testing::Test, testing::Parts {
    ConsoleSession() { shared.version = "1.2"; }
    std::unique_ptr<Session> begin(std::string database, std::string crowded = {}) {
        Session::Seed seed;
        seed.crowded = std::move(crowded);
        auto session = std::make_unique<Session>(shared, std::move(seed));
        std::string hello;
        protocol::write_startup(hello, {{"user", "u"}, {"database", database}});
        session->from_client(hello);
        return session;
    }
    std::unique_ptr<Session> log_in() {
        auto const verifier = *auth::make_md5_verifier(Secret("secret"), "u");
        users.put({"u", verifier});
        auto session = begin("pgkeel");
        session->users_known();
        auto const answer = auth::md5_answer(verifier, {});
        session->from_client(message('p', *answer + '\0'));
        EXPECT_EQ(session->need(), Session::Need::login);
        session->admit();
        return session;
    }
};

TEST_F(ConsoleSession, IsWelcomedWithoutAServer) {
    auto const session = log_in();
    EXPECT_EQ(session->need(), Session::Need::nothing);
    EXPECT_TRUE(session->is_ready());
    EXPECT_TRUE(types(session->out).ends_with("SSSSSSSKZ")) << types(session->out);
    EXPECT_NE(session->out.find("1.2/pgkeel"), std::string::npos);
}

TEST_F(ConsoleSession, AnswersOneCommandAfterTheOther) {
    auto const session = log_in();
    session->out.clear();
    session->from_client(message('Q', std::string_view("SHOW POOLS\0", 11)) +
                         message('Q', std::string_view("PAUSE\0", 6)));
    EXPECT_EQ(session->need(), Session::Need::console);
    EXPECT_EQ(session->command(), "SHOW POOLS");
    session->answer_console(message('C', std::string_view("SHOW\0", 5)));
    EXPECT_EQ(types(session->out), "CZ");
    EXPECT_EQ(session->need(), Session::Need::console);
    EXPECT_EQ(session->command(), "PAUSE");
    session->answer_console({});
    session->from_client(message('X'));
    EXPECT_EQ(session->need(), Session::Need::close);
}

TEST_F(ConsoleSession, RefusesTheExtendedProtocolOncePerBatch) {
    auto const session = log_in();
    session->out.clear();
    session->from_client(message('P', std::string_view("\0SHOW POOLS\0\0\0", 14)) +
                         message('D', std::string_view("S\0", 2)) + message('S'));
    EXPECT_EQ(types(session->out), "EZ");
    session->from_client(message('B') + message('E') + message('S'));
    EXPECT_EQ(types(session->out), "EZEZ");
}

TEST_F(ConsoleSession, TakesNoLongMessages) {
    auto const session = log_in();
    session->from_client(message('Q', std::string(9000, 'x')));
    EXPECT_EQ(session->need(), Session::Need::close);
}

TEST_F(ConsoleSession, IsLetInWhenThereIsNoRoom) {
    EXPECT_EQ(begin("pgkeel", "full")->need(), Session::Need::users);
    EXPECT_EQ(begin("shop", "full")->need(), Session::Need::close);
    EXPECT_EQ(shared.figures.totals.errors_of_proxy.by_class().at("53"), 1U);
}

}  // namespace
}  // namespace keel::proxy
