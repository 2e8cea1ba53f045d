// The inside of a Channel, shared by channel.cc (queues and calls), dial.cc (outgoing) and receive.cc (incoming).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "peer/channel.h"
#include "peer/datagram.h"
#include "runtime/clock.h"
#include "runtime/datagrams.h"
#include "runtime/scope.h"
#include "runtime/socket.h"

namespace keel::peer {

using runtime::Event;
using runtime::Stream;
using runtime::Task;

inline constexpr Duration kDialLimit = 1s;          // TCP connect, TLS handshake, welcome: each
inline constexpr Duration kDeadHostAfter = 1500ms;  // TCP_USER_TIMEOUT
inline constexpr Duration kWriteLimit = 2s;         // a peer that does not read for so long loses the connection
inline constexpr Duration kFirstRetry = 50ms;
inline constexpr Duration kLastRetry = 1s;
inline constexpr Duration kDuplicateWithin = 1s;
inline constexpr Duration kCallStaleAfter = 10s;
inline constexpr std::size_t kBatchBytes = 256 * 1024;
inline constexpr std::size_t kIncomingMost = 256;
inline constexpr std::size_t kCallsMost = 64;  // served at one time

inline constexpr Duration kKeyOutlives = 10s;  // datagrams go on while a lost connection is dialled anew

struct Queued {
    Topic topic = Topic::cluster;
    std::uint64_t call = 0;
    std::string frame;
    Instant since;
};

// Where datagrams go, and under which key.
struct Route {
    DatagramKey key;
    runtime::Datagrams::Endpoint to;
};

// Our side of the way to one peer.
struct Link {
    Link(runtime::Io& io, NodeId id, std::string where)
        : node(std::move(id)), address(std::move(where)), queued(io), retry(io) {}

    NodeId node;
    std::string address;
    std::deque<Queued> queue;
    std::size_t queue_bytes = 0;
    Event queued;  // something in the queue, or the connection has ended
    Event retry;   // dial now: a new address, or removed
    Stream::Ptr stream;
    std::uint64_t next_number = 1;  // of messages that go both ways
    std::optional<Route> route;     // of datagrams, by the newest connection
    std::uint64_t sent_again = 0;   // segments of the connection, when looked at last
    Instant double_until;           // datagrams go, too
    bool removed = false;
    bool refused = false;
    PeerLink sight;
};

// A peer's connection to us.
struct Incoming {
    std::uint64_t incarnation = 0;
    Stream::Ptr stream;
    Instant heard;
};

// Whose datagrams a key opens.
struct Source {
    NodeId node;
    std::uint64_t incarnation = 0;
    std::optional<DatagramKey> key;  // none: the connection gave none
    Window window;
    Instant closed;  // its connection; Instant{}: it stands
};

struct Pending {
    explicit Pending(runtime::Io& io, NodeId id) : to(std::move(id)), done(io) {}
    NodeId to;
    Event done;
    std::optional<Result<std::string>> result;
    bool written = false;
};

struct Channel::State : std::enable_shared_from_this<Channel::State> {
    State(runtime::Io& io_, ChannelOptions options_, Callbacks callbacks_);

    bool is_member(NodeId const& node) const;
    // One of the cluster's messages, as a datagram, too, while the connection gives reason to doubt it.
    void send_surely(Link& link, std::string_view body);
    bool is_doubtful(Link& link) const;
    // The source of a new connection; older ones of the same node, and those whose time is over, are forgotten.
    std::shared_ptr<Source> source_of(Hello const& hello, Stream const& stream);
    void enqueue(Link& link, Topic topic, std::uint64_t call, std::string_view body);
    // What one write may carry, stale messages left out; empty: nothing to send.
    std::string next_batch(Link& link);
    // The connection to `to` has ended: its calls have no answer.
    void fail_calls(NodeId const& to);
    void take_answer(NodeId const& from, std::uint64_t call, std::string_view body);
    Task<void> serve_call(NodeId from, std::uint64_t call, std::string method, std::string argument);
    // A warning once a minute for the same key, or when the text changes.
    void complain(std::string const& key, std::string const& text);
    Hello own_hello() const { return {options.node, options.incarnation, options.cluster, kProtocol}; }

    runtime::Io& io;
    ChannelOptions options;
    Callbacks callbacks;
    std::uint16_t port = 0;
    std::map<NodeId, std::shared_ptr<Link>> links;
    std::map<NodeId, Incoming> incoming;
    std::optional<runtime::Datagrams> datagrams;
    std::map<std::uint64_t, std::shared_ptr<Source>> sources;  // by key id
    std::size_t incoming_open = 0;
    std::size_t calls_served = 0;
    std::uint64_t next_call;
    std::map<std::uint64_t, std::shared_ptr<Pending>> pending;
    std::map<std::string, std::pair<std::string, Instant>> complaints;
    runtime::Scope scope;
};

// Reads frame after frame; a frame's body is valid until the next call.
class FrameReader {
  public:
    explicit FrameReader(Stream::Ptr stream) : stream_(std::move(stream)) {}
    // unavailable at the end of the stream; corrupt when the bytes are not frames.
    Task<Result<Frame>> next();

  private:
    Stream::Ptr stream_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

// Dials the peer again and again until the link is removed.
Task<void> keep_dialling(std::shared_ptr<Channel::State> state, std::shared_ptr<Link> link);
// Takes in what comes as datagrams.
Task<void> take_datagrams(std::shared_ptr<Channel::State> state);
// Accepts and serves incoming connections.
Task<void> accept_peers(std::shared_ptr<Channel::State> state,
                        std::shared_ptr<runtime::asio::ip::tcp::acceptor> acceptor);

}  // namespace keel::peer
