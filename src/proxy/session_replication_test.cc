// A replication connection: a session whose server is its own.
#include <gtest/gtest.h>

#include "proxy/testing.h"

namespace keel::proxy {
namespace {

using Need = Session::Need;
using testing::message;

struct Replicating : ::testing::Test, testing::Parts {
    std::unique_ptr<Session> session(std::string_view replication, Reads reads = Reads::split,
                                     std::string_view database = "d") {
        Session::Seed seed;
        seed.id = 7;
        seed.reads = reads;
        auto out = std::make_unique<Session>(shared, std::move(seed));
        std::string first;
        protocol::write_startup(
            first,
            {{"user", "u"}, {"database", database}, {"replication", replication}, {"options", "-c work_mem=3MB"}});
        out->from_client(first);
        if (out->need() != Need::users) return out;
        out->users_known();
        out->from_client(proof());
        out->admit();
        return out;
    }
    Server own(Session const& session) {
        Server::Seed seed;
        seed.key = {session.database(), "u", {}, session.id()};
        seed.credentials.by_node = true;
        seed.startup = session.startup_of_own();
        Server out(std::move(seed), settings);
        out.begin();
        EXPECT_NE(out.out.find(std::string("replication\0", 12)), std::string::npos);
        EXPECT_NE(out.out.find(std::string("work_mem\0003MB\0", 13)), std::string::npos);
        EXPECT_EQ(out.out.find("pgkeel.report"), std::string::npos);
        std::string in;
        protocol::Message(in, 'R').u32(0);
        in += message('K', "12345678") + message('Z', "I");
        out.login(in);
        EXPECT_EQ(out.phase(), Server::Phase::ready) << "it is not asked anything: not every one takes SQL";
        out.out.clear();
        return out;
    }
};

TEST_F(Replicating, HasAServerOfItsOwnFromTheFirstPacketOn) {
    for (int i = 0; i < 2; ++i) {
        auto const one = session("true");
        EXPECT_TRUE(one->is_replication());
        EXPECT_EQ(one->database(), "replication") << "it is in no database";
        ASSERT_EQ(one->need(), Need::server) << "also when it is known what a login is answered";
        EXPECT_FALSE(one->wants_standby());
        auto server = own(*one);
        one->attach(server);
        EXPECT_TRUE(one->is_ready());
        EXPECT_FALSE(one->is_releasable());
        EXPECT_TRUE(server.retire) << "nobody gets it afterwards";
        one->from_client(message('Q', std::string("IDENTIFY_SYSTEM\0", 16)));
        EXPECT_EQ(server.out, message('Q', std::string("IDENTIFY_SYSTEM\0", 16)));
        server.out.clear();
        one->from_server(message('C', std::string("IDENTIFY_SYSTEM\0", 16)) + message('Z', "I"));
        EXPECT_EQ(server.out, "") << "what it has become is not asked";
        EXPECT_FALSE(one->is_releasable());
        one->lost(false);
        EXPECT_EQ(one->need(), Need::close);
        EXPECT_NE(one->out.find("57P01"), std::string::npos);
    }
}

TEST_F(Replicating, TheParameterIsReadAsPostgreSQLReadsIt) {
    for (auto const* text : {"true", "1", "on", "YES", "t", "database"})
        EXPECT_TRUE(session(text)->is_replication()) << text;
    EXPECT_EQ(session("database")->database(), "d");
    for (auto const* text : {"false", "0", "off", "n", ""}) {
        auto const one = session(text);
        EXPECT_FALSE(one->is_replication()) << text;
        EXPECT_NE(one->need(), Need::close) << text;
    }
    for (auto const* text : {"o", "2", "Database", "truely"}) {
        auto const one = session(text);
        EXPECT_EQ(one->need(), Need::close) << text;
        EXPECT_NE(one->out.find("22023"), std::string::npos) << text;
    }
}

TEST_F(Replicating, GoesToThePrimaryOnly) {
    EXPECT_NE(session("true", Reads::standby)->out.find("go to the primary"), std::string::npos);
    EXPECT_NE(session("database", Reads::primary, kConsole)->out.find("the console takes no"), std::string::npos);
}

}  // namespace
}  // namespace keel::proxy
