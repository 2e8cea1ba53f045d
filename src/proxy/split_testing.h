// For the tests of the split: a session that is logged in, and two servers that the test plays.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "proxy/testing.h"

namespace keel::proxy::testing {

inline std::string error(std::string_view code, std::string_view severity = "ERROR") {
    std::string out;
    protocol::write_report(out, 'E', {severity, code, "no", {}, {}});
    return out;
}
// The types of what a client was sent, and its rows' values in parentheses.
inline std::string story(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        auto const head = protocol::peek_head(bytes);
        out += head.type;
        if (head.type == 'D') out.append("(").append(bytes.substr(11, head.size - 11)).append(")");
        bytes.remove_prefix(head.size);
    }
    return out;
}

struct Splitting : ::testing::Test, Parts {
    std::unique_ptr<Server> primary, standby;
    std::unique_ptr<Session> session;

    Splitting() {
        auto const catalogue = std::make_shared<sql::Catalogue>();
        catalogue->add_function("public", "f", false);
        judges.put("d", catalogue);
        primary = server(1, {});
        standby = server(2, NodeId{"s"});
        session = log_in(1, Reads::split, *primary);
        EXPECT_TRUE(session->is_ready());
        session->out.clear();
    }

    // Gives the session the server that it wants; which one that is.
    Server& serve() {
        EXPECT_EQ(session->need(), Need::server);
        auto& wanted = session->wants_standby() ? *standby : *primary;
        session->attach(wanted);
        return wanted;
    }
    void send(std::string const& bytes) { session->from_client(bytes); }
    std::string sent(Server& to) { return std::exchange(to.out, {}); }
    std::string told() { return story(std::exchange(session->out, {})); }
    // What the relay does when the server is free.
    bool release() {
        if (!session->is_releasable()) return false;
        session->detach();
        session->carry_on();
        return true;
    }
};

}  // namespace keel::proxy::testing
