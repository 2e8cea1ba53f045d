// For the tests of this folder: what sessions share, and messages of the protocol.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "protocol/frame.h"
#include "proxy/session.h"

namespace keel::proxy::testing {

using Need = Session::Need;

inline std::string message(char type, std::string_view body = {}) {
    std::string out;
    protocol::Message(out, type).bytes(body);
    return out;
}

inline std::string q(std::string_view text) { return message('Q', std::string(text) + '\0'); }
inline std::string ready(char status = 'I') { return message('Z', std::string(1, status)); }
inline std::string tag(std::string_view text) { return message('C', std::string(text) + '\0'); }
inline std::string row(std::string_view value) {
    std::string out;
    protocol::Message(out, 'D').u16(1).u32(static_cast<std::uint32_t>(value.size())).bytes(value);
    return out;
}
inline std::string parameter(std::string_view name, std::string_view value) {
    std::string out;
    protocol::write_parameter(out, name, value);
    return out;
}
struct Parts {
    Secret const verifier = *auth::make_md5_verifier(Secret("secret"), "u");  // of the user u
    Policy policy;
    SettingsPool settings;
    PreparedPool prepared;
    TextCache texts{{1, 2}};
    auth::UserTable users;
    Welcomes welcomes;
    Judges judges;
    Shared shared;

    Parts() {
        shared.policy = &policy;
        shared.settings = &settings;
        shared.prepared = &prepared;
        shared.texts = &texts;
        shared.users = &users;
        shared.welcomes = &welcomes;
        shared.judges = &judges;
        shared.mock = Secret("mock");
        users.put({"u", verifier});
    }
    Parts(Parts const&) = delete;
    Parts& operator=(Parts const&) = delete;

    // Of the user u in the database d, ready; without a node: the primary.
    std::unique_ptr<Server> server(std::uint64_t id, NodeId node) {
        Server::Seed seed;
        seed.id = id;
        seed.key = {"d", "u", node};
        seed.node = NodeId{node.value.empty() ? "p" : node.value};
        seed.epoch = Epoch{1};
        seed.timeline = Timeline{1};
        seed.credentials.by_node = true;
        auto out = std::make_unique<Server>(std::move(seed), settings);
        out->begin();
        std::string in;
        protocol::Message(in, 'R').u32(0);
        in += parameter("standard_conforming_strings", "on") + parameter("client_encoding", "UTF8");
        in += parameter("in_hot_standby", node.value.empty() ? "off" : "on");
        in += message('K', "12345678") + ready() + row("t") + tag("SELECT 1") + ready();
        out->login(in);
        EXPECT_EQ(out->phase(), Server::Phase::ready);
        out->out.clear();
        return out;
    }
    // Its answer to the question for the password.
    std::string proof() const { return message('p', *auth::md5_answer(verifier, {}) + '\0'); }
    // Of the same user, without a server again.
    std::unique_ptr<Session> log_in(std::uint64_t id, Reads reads, Server& first_server) {
        Session::Seed seed;
        seed.id = id;
        seed.reads = reads;
        auto out = std::make_unique<Session>(shared, std::move(seed));
        std::string first;
        protocol::write_startup(first, {{"user", "u"}, {"database", "d"}});
        out->from_client(first);
        out->users_known();
        out->from_client(proof());
        out->admit();
        out->attach(first_server);
        out->detach();
        return out;
    }
};

}  // namespace keel::proxy::testing
