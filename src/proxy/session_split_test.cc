// A session of the split between a client and two servers that the test plays.
#include "proxy/split_testing.h"

namespace keel::proxy::testing {
namespace {

TEST_F(Splitting, AReadIsDoneByAStandbyAndAWriteByThePrimary) {
    send(q("SELECT f()"));
    EXPECT_EQ(&serve(), standby.get());
    EXPECT_EQ(sent(*standby), q("SELECT f()"));
    session->from_server(message('T') + row("1"));
    EXPECT_EQ(told(), "") << "held: it may still fail";
    session->from_server(tag("SELECT 1") + ready());
    EXPECT_EQ(told(), "TD(1)CZ");
    EXPECT_TRUE(release());
    send(q("INSERT INTO t VALUES (1)"));
    EXPECT_EQ(&serve(), primary.get());
    session->from_server(tag("INSERT 0 1") + ready());
    EXPECT_EQ(told(), "CZ");
    EXPECT_TRUE(release());
}

TEST_F(Splitting, WhatAStandbyRefusesThePrimaryDoesAndItIsRemembered) {
    for (auto const* code : {"25006", "40001", "0A000", "42P01"}) {
        std::string const text = std::string("SELECT f() -- ") + code;
        send(q(text));
        ASSERT_EQ(&serve(), standby.get()) << code;
        session->from_server(message('T') + row("1") + error(code));
        EXPECT_EQ(session->server(), standby.get());
        session->from_server(ready());
        EXPECT_EQ(told(), "") << code;
        EXPECT_TRUE(release());
        EXPECT_EQ(&serve(), primary.get()) << code;
        EXPECT_EQ(sent(*primary), q(text));
        session->from_server(message('T') + row("2") + tag("SELECT 1") + ready());
        EXPECT_EQ(told(), "TD(2)CZ");
        EXPECT_TRUE(release());
        send(q(text));
        bool const remembered = std::string_view(code) == "25006" || std::string_view(code) == "0A000";
        EXPECT_EQ(&serve() == primary.get(), remembered) << code;
        session->from_server(tag("SELECT 1") + ready());
        (void)told();
        EXPECT_TRUE(release());
        primary->out.clear();
        standby->out.clear();
    }
}

TEST_F(Splitting, AClientsOwnErrorIsItsOwn) {
    send(q("SELECT f()"));
    (void)serve();
    session->from_server(message('T') + error("22012") + ready());
    EXPECT_EQ(told(), "TEZ");
    EXPECT_TRUE(release());
    EXPECT_EQ(session->need(), Need::nothing);
}

TEST_F(Splitting, WhatWentOutCannotBeTakenBack) {
    send(q("SELECT f()"));
    (void)serve();
    session->from_server(message('T') + row(std::string(9000, 'x')));
    EXPECT_NE(told(), "") << "too long to be held";
    session->from_server(error("40001") + ready());
    EXPECT_EQ(told(), "EZ");
}

TEST_F(Splitting, AStandbyThatIsLostIsReplacedWhereverItWas) {
    // The fault loop: after every byte of its answer.
    auto const answer = message('T') + row("1") + tag("SELECT 1") + ready();
    for (std::size_t bytes = 0; bytes < answer.size(); ++bytes) {
        send(q("SELECT f()"));
        ASSERT_EQ(&serve(), standby.get());
        session->from_server(answer.substr(0, bytes));
        session->lost(false);
        standby = server(2, NodeId{"s"});
        EXPECT_EQ(told(), "") << bytes;
        ASSERT_EQ(&serve(), primary.get()) << bytes;
        EXPECT_EQ(sent(*primary), q("SELECT f()")) << bytes;
        session->from_server(answer);
        EXPECT_EQ(told(), "TD(1)CZ") << bytes;
        ASSERT_TRUE(release());
    }
    send(q("SELECT f()"));
    (void)serve();
    session->from_server(error("57P01", "FATAL"));
    EXPECT_EQ(told(), "");
    EXPECT_EQ(&serve(), primary.get());
}

TEST_F(Splitting, StatementsArePreparedOnceMore) {
    std::string parse, bind, close;
    protocol::Message(parse, 'P').text("mine").text("SELECT f()").u16(0);
    protocol::Message(bind, 'B').text("").text("mine").u16(0).u16(0).u16(0);
    protocol::Message(close, 'C').u8('S').text("mine");
    auto const run = bind + message('E', std::string("\0\0\0\0\0", 5));
    send(parse + run + close + message('S'));
    ASSERT_EQ(&serve(), standby.get());
    session->from_server(message('1') + message('2') + error("40001") + ready());
    EXPECT_EQ(told(), "");
    EXPECT_TRUE(release());
    ASSERT_EQ(&serve(), primary.get());
    EXPECT_EQ(story(sent(*primary)), "PBECS") << "the name is free, as it was";
    session->from_server(message('1') + message('2') + tag("SELECT 0") + message('3') + ready());
    EXPECT_EQ(told(), "12C3Z");
    EXPECT_TRUE(release());
    send(run + message('S'));
    EXPECT_EQ(&serve(), primary.get()) << "it is closed: nobody knows what it was";
}

TEST_F(Splitting, BatchesThatComeTogetherAreDoneOneByOne) {
    send(q("SELECT f()") + q("INSERT INTO t VALUES (1)") + q("SELECT f()"));
    ASSERT_EQ(&serve(), standby.get());
    EXPECT_EQ(sent(*standby), q("SELECT f()"));
    session->from_server(tag("SELECT 1") + ready());
    EXPECT_EQ(sent(*standby), "") << "a write does not follow it there";
    EXPECT_TRUE(release());
    EXPECT_EQ(&serve(), primary.get());
    EXPECT_EQ(sent(*primary), q("INSERT INTO t VALUES (1)") + q("SELECT f()"));
}

TEST_F(Splitting, ATransactionOfReadsStaysWhereItIs) {
    send(q("BEGIN READ ONLY"));
    ASSERT_EQ(&serve(), standby.get());
    session->from_server(tag("BEGIN") + ready('T'));
    EXPECT_EQ(told(), "CZ");
    EXPECT_FALSE(release());
    send(q("INSERT INTO t VALUES (1)"));
    EXPECT_EQ(sent(*standby), q("BEGIN READ ONLY") + q("INSERT INTO t VALUES (1)"));
    session->from_server(error("25006") + ready('E'));
    EXPECT_EQ(told(), "EZ") << "that is the client's error";
    send(q("ROLLBACK") + q("INSERT INTO t VALUES (1)"));
    EXPECT_EQ(sent(*standby), q("ROLLBACK"));
    session->from_server(tag("ROLLBACK") + ready());
    EXPECT_EQ(told(), "CZ");
    EXPECT_TRUE(release());
    EXPECT_EQ(&serve(), primary.get());
    session->from_server(tag("INSERT 0 1") + ready());
    EXPECT_TRUE(release());
    send(q("BEGIN READ ONLY"));
    (void)serve();
    session->from_server(tag("BEGIN") + ready('T'));
    send(q("SELECT f()"));
    (void)told();
    session->lost(false);
    EXPECT_EQ(told(), "EZ") << "its snapshot is lost with the standby";
    EXPECT_EQ(session->need(), Need::nothing);
}

TEST_F(Splitting, AStandbyIsAskedHowFarItIsBeforeItIsAskedToRead) {
    send(q("INSERT INTO t VALUES (1)"));
    (void)serve();
    session->from_server(parameter("pgkeel.commit_lsn", "0/100") + tag("INSERT 0 1") + ready());
    EXPECT_EQ(told(), "CZ");
    EXPECT_TRUE(release());
    EXPECT_EQ(session->sight().token, (Token{Timeline{1}, Lsn{0x100}}));
    send(q("SELECT f()"));
    ASSERT_TRUE(session->wants_standby());
    session->attach_to_check(*standby, Lsn{0x100});
    EXPECT_EQ(sent(*standby), q("SELECT pg_catalog.pg_last_wal_replay_lsn()")) << "and nothing else";
    session->from_server(message('T') + row("0/FF") + tag("SELECT 1") + ready());
    EXPECT_EQ(session->take_replayed(), Lsn{0xFF});
    EXPECT_EQ(sent(*standby), "");
    EXPECT_EQ(session->need(), Need::server) << "not yet";
    EXPECT_TRUE(session->wants_standby());
    EXPECT_TRUE(release());
    session->attach_to_check(*standby, Lsn{0x100});
    (void)sent(*standby);
    session->from_server(message('T') + row("0/100") + tag("SELECT 1") + ready());
    EXPECT_EQ(sent(*standby), q("SELECT f()"));
    session->from_server(message('T') + row("1") + tag("SELECT 1") + ready());
    EXPECT_EQ(told(), "TD(1)CZ");
    EXPECT_TRUE(release());
    // It was promoted, or cannot say.
    for (auto const& answer : {row("") + tag("SELECT 1"), error("42501"), tag("SELECT 0")}) {
        send(q("SELECT f()"));
        session->attach_to_check(*standby, Lsn{0x100});
        session->from_server(answer + ready());
        EXPECT_EQ(session->need(), Need::server);
        EXPECT_EQ(told(), "");
        EXPECT_TRUE(release());
        session->attach(*primary);
        session->from_server(tag("SELECT 1") + ready());
        EXPECT_EQ(told(), "CZ");
        EXPECT_TRUE(release());
        (void)sent(*standby);
    }
}

TEST_F(Splitting, WhatIsNotToldWhereItEndedOnlyThePrimaryHas) {
    send(q("COMMIT PREPARED 'x'"));
    (void)serve();
    session->from_server(tag("COMMIT PREPARED") + ready());
    EXPECT_TRUE(session->sight().blind);
    EXPECT_TRUE(shared.newest_blind);
    shared.newest_blind = false;
    primary->tells_xids = false;
    release();
    send(q("INSERT INTO t VALUES (1)"));
    (void)serve();
    EXPECT_TRUE(shared.newest_blind) << "no extension there";
}

// Nobody has told where it ended; others too may not read at a server that is behind the next epoch.
TEST_F(Splitting, ACommitThatWasLostSightOfIsForOthersToSeeToo) {
    shared.causal = Causal::global;
    send(q("INSERT INTO t VALUES (1)"));
    (void)serve();
    session->from_server(parameter("pgkeel.xid", "77"));
    session->lost(false);
    ASSERT_EQ(session->need(), Need::fate);
    EXPECT_EQ(shared.newest_since, Epoch{});
    session->fate_known(Fate::committed);
    EXPECT_EQ(shared.newest_since, Epoch{2});
}

TEST_F(Splitting, ALostCommitIsSaidOnce) {
    send(q("INSERT INTO t VALUES (1)"));
    (void)serve();
    session->from_server(parameter("pgkeel.commit_lsn", "0/100") + tag("INSERT 0 1") + ready());
    (void)told();
    session->token_lost();
    EXPECT_EQ(told(), "N");
    EXPECT_FALSE(session->sight().token.is_set());
}

TEST_F(Splitting, CopyDataGoesOnWhereverItIsCut) {
    std::string data;
    for (std::size_t i = 0; i < 30; ++i) data += message('d', std::string(i, 'x'));
    data += message('c');
    for (std::size_t piece = 1; piece < 70; ++piece) {
        send(q("copy t from stdin"));
        auto& to = serve();
        EXPECT_EQ(&to, primary.get());
        EXPECT_EQ(sent(to), q("copy t from stdin"));
        session->from_server(message('G', std::string("\0\0\0", 3)));
        for (std::size_t at = 0; at < data.size(); at += piece) send(data.substr(at, piece));
        EXPECT_EQ(sent(to), data) << piece;
        EXPECT_FALSE(session->is_releasable());
        session->from_server(tag("COPY 30") + ready());
        EXPECT_EQ(told(), "GCZ");
        EXPECT_TRUE(release());
    }
}

TEST_F(Splitting, ANotificationIsTheClientsAlsoWhileItsServerIsAskedSomething) {
    send(q("LISTEN c"));
    EXPECT_EQ(&serve(), primary.get());
    session->from_server(tag("LISTEN") + ready());
    EXPECT_EQ(told(), "CZ");
    auto const notification = message('A', std::string("\0\0\0\1c\0\0", 7));
    session->from_server(notification + ready());
    EXPECT_EQ(told(), "A") << "and not the end of our own question";
}

}  // namespace
}  // namespace keel::proxy::testing
