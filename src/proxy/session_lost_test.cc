// A server is lost in the middle of a transaction: what the client is told, by what was on its way.
#include <gtest/gtest.h>

#include "proxy/testing.h"

namespace keel::proxy {
namespace {

using Need = Session::Need;
using testing::message;
using testing::parameter;
using testing::q;
using testing::ready;
using testing::tag;

// Parse, Bind and Execute of the unnamed statement and portal.
std::string run(std::string_view text) {
    using namespace std::string_literals;
    return message('P', "\0"s + std::string(text) + "\0\0\0"s) + message('B', "\0\0\0\0\0\0\0\0"s) +
           message('E', "\0\0\0\0\0"s);
}

struct LosingAServer : ::testing::Test, testing::Parts {
    // In an open transaction that wrote, with `batch` on its way and the xid of the newest write told.
    Need after(std::string const& batch) {
        auto const server = this->server(1, {});
        session = log_in(++sessions_, Reads::primary, *server);
        session->from_client(q("BEGIN"));
        session->attach(*server);
        session->from_server(tag("BEGIN") + ready('T'));
        session->from_client(batch);
        session->from_server(parameter("pgkeel.xid", "77"));
        session->out.clear();
        session->lost(false);
        return session->need();
    }
    // "40001 Nothing of it is stored", as the client reads it.
    std::string told() const {
        std::string out;
        for (auto rest = std::string_view(session->out); !rest.empty();) {
            auto const head = protocol::peek_head(rest);
            if (head.type == 'E') {
                auto const body = rest.substr(protocol::kHead, head.size - protocol::kHead);
                out += body.substr(body.find(std::string_view("\0C", 2)) + 2, 5);
            }
            if (head.type == 'C') out += rest.substr(protocol::kHead, head.size - protocol::kHead - 1);
            if (head.type == 'Z') out += " ";
            rest.remove_prefix(head.size);
        }
        return out;
    }

    std::unique_ptr<Session> session;
    std::uint64_t sessions_ = 0;
};

TEST_F(LosingAServer, AnOpenTransactionIsLost) {
    EXPECT_EQ(after(q("INSERT INTO t VALUES (1)")), Need::nothing);
    EXPECT_EQ(told(), "40001 ");
    EXPECT_EQ(after(q("ROLLBACK")), Need::nothing);
    EXPECT_EQ(told(), "40001 ");
    EXPECT_EQ(after(q("ROLLBACK TO a; INSERT INTO t VALUES (1)")), Need::nothing);
    EXPECT_EQ(told(), "40001 ");
}

// What stands behind the end of the transaction commits by itself: nobody may say that nothing of it is stored.
TEST_F(LosingAServer, WhatComesBehindARollbackIsNotKnown) {
    for (auto const& batch : {q("ROLLBACK; INSERT INTO t VALUES (1)"), q("ROLLBACK") + q("INSERT INTO t VALUES (1)"),
                              run("ROLLBACK") + run("INSERT INTO t VALUES (1)") + message('S'),
                              run("ROLLBACK") + message('S') + run("INSERT INTO t VALUES (1)") + message('S'),
                              q("ROLLBACK AND CHAIN; INSERT INTO t VALUES (1); COMMIT")}) {
        EXPECT_EQ(after(batch), Need::nothing);
        EXPECT_EQ(told().substr(0, 5), "08007") << batch;
    }
}

TEST_F(LosingAServer, ACommitIsAskedFor) {
    ASSERT_EQ(after(q("COMMIT")), Need::fate);
    session->fate_known(Fate::committed);
    EXPECT_EQ(told(), "COMMIT ");
    ASSERT_EQ(after(run("COMMIT") + message('S')), Need::fate);
    session->fate_known(Fate::committed);
    EXPECT_EQ(told(), "COMMIT ");
    ASSERT_EQ(after(q("COMMIT")), Need::fate);
    session->fate_known(Fate::not_committed);
    EXPECT_EQ(told(), "40001 ");
}

// Its rows went down with the server; nothing is made up in their place.
TEST_F(LosingAServer, TheResultBeforeACommitIsNotMadeUp) {
    ASSERT_EQ(after(run("UPDATE t SET a = 1 RETURNING a") + run("COMMIT") + message('S')), Need::fate);
    session->fate_known(Fate::committed);
    EXPECT_EQ(told(), "08006 ");
}

}  // namespace
}  // namespace keel::proxy
