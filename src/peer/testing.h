// One node's channel on loopback, for tests.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "peer/channel.h"
#include "runtime/socket.h"
#include "runtime/testing.h"

namespace keel::peer::testing {

using runtime::Io;
using runtime::Task;
using runtime::testing::identity;
using runtime::testing::must;

struct Received {
    NodeId from;
    Topic topic;
    std::string body;
};

struct Peer {
    Peer(Io& io_, runtime::Pair const& authority, std::string const& name, std::uint64_t incarnation = 1,
         std::string const& cluster = "c1", std::uint16_t port = 0, Duration double_for = 30s)
        : io(io_) {
        auto const own = identity(authority, name);
        ChannelOptions options;
        options.node = NodeId{name};
        options.incarnation = incarnation;
        options.cluster = cluster;
        options.address = "127.0.0.1";
        options.port = port;
        options.server = must(runtime::server_mutual(own));
        options.client = must(runtime::client_mutual(own));
        options.queue_bytes = 6 * 1024 * 1024;
        options.double_for = double_for;
        channel = std::make_unique<Channel>(io, options, callbacks());
        auto const status = channel->listen();
        EXPECT_TRUE(status) << to_string(status.error());
        here = "127.0.0.1:" + std::to_string(channel->port());
    }

    Channel::Callbacks callbacks() {
        Channel::Callbacks calls;
        calls.on_message = [this](NodeId const& from, Topic topic, std::string_view body) {
            received.push_back({from, topic, std::string(body)});
        };
        calls.on_call = [](NodeId from, std::string method, std::string argument) -> Task<Result<std::string>> {
            if (method == "fail") co_return fail(Code::conflict, "no", "try again");
            if (method == "never") co_await runtime::sleep_for(1h);
            co_return from.value + " " + method + " " + argument;
        };
        calls.is_member = [this](NodeId const& node) { return !strangers.contains(node.value); };
        calls.on_refused = [this](NodeId const&, Refused const& why) { refused.push_back(why.reason); };
        calls.on_link = [this](NodeId const& node, bool up) { ups[node.value] += up ? 1 : 0; };
        return calls;
    }
    bool connected(std::string const& to) const {
        auto const links = channel->links();
        auto const found = links.find(NodeId{to});
        return found != links.end() && found->second.connected;
    }

    Io& io;
    std::vector<Received> received;
    std::vector<std::string> refused;
    std::set<std::string> strangers;
    std::map<std::string, int> ups;
    std::unique_ptr<Channel> channel;
    std::string here;
};

inline void connect(Peer& one, std::string const& name, Peer& other, std::string const& other_name) {
    one.channel->set_peers({{NodeId{other_name}, other.here}});
    other.channel->set_peers({{NodeId{name}, one.here}});
}

}  // namespace keel::peer::testing
