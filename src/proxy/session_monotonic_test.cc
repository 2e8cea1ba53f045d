// Monotonic reads: what a session asks its servers, and what it wants to see afterwards.
#include "proxy/split_testing.h"

namespace keel::proxy::testing {
namespace {

std::string const kAnswer = message('T') + row("1") + tag("SELECT 1") + ready();
std::string shown(std::string_view lsn) { return message('T') + row(lsn) + tag("SELECT 1") + ready(); }
Token token(std::uint32_t timeline, std::uint64_t lsn) { return {Timeline{timeline}, Lsn{lsn}}; }

struct Monotonic : Splitting {
    Monotonic() { shared.monotonic = true; }
    // One statement and its answer; what the server is asked behind it.
    std::string run(std::string_view text, Server& wanted) {
        send(q(text));
        auto& to = serve();
        EXPECT_EQ(&to, &wanted);
        EXPECT_EQ(sent(to), q(text));
        session->from_server(kAnswer);
        EXPECT_EQ(told(), "TD(1)CZ") << "the client does not wait for the question";
        return sent(to);
    }
};

TEST_F(Monotonic, EachServerIsAskedBehindItsAnswerAndTheLaterPlaceCounts) {
    EXPECT_NE(run("SELECT f()", *standby).find("pg_last_wal_replay_lsn"), std::string::npos);
    EXPECT_FALSE(release()) << "it is still asked";
    EXPECT_TRUE(session->sight().blind) << "until it has answered, nobody knows";
    session->from_server(shown("0/100"));
    EXPECT_EQ(told(), "");
    EXPECT_TRUE(release());
    EXPECT_FALSE(session->sight().blind);
    EXPECT_EQ(session->sight().shown, token(1, 0x100));
    EXPECT_FALSE(session->sight().token.is_set()) << "it is no commit of its own";

    EXPECT_NE(run("/* keel: primary */ SELECT f()", *primary).find("pg_current_wal_insert_lsn"), std::string::npos);
    session->from_server(shown("0/200"));
    EXPECT_TRUE(release());
    EXPECT_EQ(session->sight().shown, token(1, 0x200));

    standby->follow(Timeline{2});
    (void)run("SELECT f()", *standby);
    session->from_server(shown("0/150"));
    EXPECT_TRUE(release());
    EXPECT_EQ(session->sight().shown, token(2, 0x150)) << "it has gone on to another timeline";
}

TEST_F(Monotonic, AServerThatIsLostBeforeItHasAnsweredLeavesNothingButThePrimary) {
    (void)run("SELECT f()", *standby);
    session->lost(false);
    EXPECT_EQ(session->need(), Need::nothing);
    EXPECT_EQ(told(), "");
    EXPECT_TRUE(session->sight().blind);
    standby = server(2, NodeId{"s"});
    (void)run("/* keel: primary */ SELECT f()", *primary);
    session->from_server(shown("0/300"));
    EXPECT_TRUE(release());
    EXPECT_FALSE(session->sight().blind) << "the primary has said it";
}

TEST_F(Monotonic, WithoutATimelineAPlaceSaysNothing) {
    standby->follow(Timeline{});
    (void)run("SELECT f()", *standby);
    session->from_server(shown("0/100"));
    EXPECT_TRUE(release());
    EXPECT_TRUE(session->sight().blind);
}

TEST_F(Monotonic, IsOffUnlessSomebodyWantsIt) {
    shared.monotonic = false;
    EXPECT_EQ(run("SELECT f()", *standby), "");
    EXPECT_TRUE(release());
    EXPECT_FALSE(session->sight().blind);
    EXPECT_FALSE(session->sight().shown.is_set());
}

TEST_F(Monotonic, ATransactionIsAskedForAtItsEnd) {
    send(q("BEGIN READ ONLY"));
    auto& to = serve();
    EXPECT_EQ(&to, standby.get());
    (void)sent(to);
    session->from_server(tag("BEGIN") + ready('T'));
    EXPECT_EQ(told(), "CZ");
    EXPECT_EQ(sent(to), "");
    send(q("COMMIT"));
    (void)sent(to);
    session->from_server(tag("COMMIT") + ready());
    EXPECT_EQ(told(), "CZ");
    EXPECT_NE(sent(to), "");
    session->from_server(shown("0/100"));
    EXPECT_TRUE(release());
}

}  // namespace
}  // namespace keel::proxy::testing
