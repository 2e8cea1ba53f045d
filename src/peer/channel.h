// The channel between the nodes of a cluster: mutual TLS 1.3, one connection dialled to each peer, best effort and
// fast.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "peer/frame.h"
#include "runtime/asio.h"
#include "runtime/tls.h"

namespace keel::peer {

struct ChannelOptions {
    NodeId node;
    std::uint64_t incarnation = 0;               // random, one per process
    std::string cluster;                         // cluster id
    std::string address;                         // to listen on
    std::uint16_t port = 0;                      // 0: any free one, see Channel::port()
    runtime::TlsContext server;                  // runtime::server_mutual
    runtime::TlsContext client;                  // runtime::client_mutual
    std::size_t queue_bytes = 16 * 1024 * 1024;  // per peer; the oldest is dropped first
    Duration stale_after = 1s;  // a queued message older than this is dropped instead of sent (not calls)
    Duration double_for = 30s;  // datagrams go, too, so long after a connection has begun or has lost something
};

struct PeerLink {
    bool connected = false;  // our outgoing connection stands
    bool heard = false;      // an incoming connection of theirs stands
    std::uint64_t sent = 0;  // messages
    std::uint64_t received = 0;
    std::uint64_t dropped = 0;  // too old, or the queue was full
    std::uint64_t connects = 0;
    std::string problem;  // why it is not connected, for people
};

// Lives on the one thread of `io`. The callbacks run there too, never inside a call of this class.
class Channel {
  public:
    struct Callbacks {
        // `body` is valid during the call only. Only from verified members.
        std::function<void(NodeId const& from, Topic topic, std::string_view body)> on_message;
        std::function<runtime::Task<Result<std::string>>(NodeId from, std::string method, std::string argument)>
            on_call;
        // Asked at the hello and for every frame: a removed member is cut off at once. Empty: only those of set_peers.
        std::function<bool(NodeId const&)> is_member;
        // A peer refused our connection: "duplicate" means another live process has our identity.
        std::function<void(NodeId const& by, Refused const& why)> on_refused;
        // Our outgoing connection to the peer came up or went down.
        std::function<void(NodeId const&, bool up)> on_link;
    };

    Channel(runtime::Io& io, ChannelOptions options, Callbacks callbacks);
    // As of runtime::Scope: co_await close() first, or destroy it when io no longer runs.
    ~Channel();
    Channel(Channel const&) = delete;
    Channel& operator=(Channel const&) = delete;

    // Begins to listen. conflict: port in use.
    Status listen();
    std::uint16_t port() const;
    // Whom to be connected to ("host:port"); own id is ignored. Adds, removes, re-addresses while running.
    void set_peers(std::map<NodeId, std::string> const& peers);
    // Best effort, leaves at once, never blocks or throws. Unknown peer: dropped.
    void send(NodeId const& to, Topic topic, std::string body);
    // unavailable: not connected (outcome not_done) or the connection broke (outcome unknown); timeout (unknown).
    runtime::Task<Result<std::string>> call(NodeId to, std::string method, std::string argument, Duration timeout);
    // New connections use them: renewed certificates.
    void set_tls(runtime::TlsContext server, runtime::TlsContext client);
    std::map<NodeId, PeerLink> links() const;
    runtime::Task<void> close();

    struct State;

  private:
    std::shared_ptr<State> state_;
};

}  // namespace keel::peer
