#include "peer/channel_state.h"
#include "runtime/log.h"

namespace keel::peer {

namespace log = runtime::log;
namespace asio = runtime::asio;

Task<Result<Frame>> FrameReader::next() {
    for (;;) {
        auto const step = next_frame(std::string_view(buffer_).substr(begin_, end_ - begin_));
        if (auto const* frame = std::get_if<Frame>(&step)) {
            begin_ += frame->size;
            co_return *frame;
        }
        if (auto const* malformed = std::get_if<Malformed>(&step)) co_return fail(Code::corrupt, malformed->reason);
        buffer_.erase(0, begin_);
        end_ -= begin_;
        begin_ = 0;
        constexpr std::size_t kUsual = 16 * 1024;
        auto const room = std::max(kUsual, std::get<NeedMore>(step).bytes);
        if (end_ == 0 && buffer_.capacity() > 16 * kUsual && room == kUsual) buffer_ = {};
        if (buffer_.size() < room) {
            // Memory follows what really came: a length field alone reserves nothing.
            buffer_.resize(std::min(room, std::max(kUsual, end_ * 2)));
        }
        auto const got = co_await stream_->read_some({buffer_.data() + end_, buffer_.size() - end_});
        if (!got) co_return fail(got.error());
        if (*got == 0) co_return fail(Code::unavailable, "closed by the far side");
        end_ += *got;
    }
}

namespace {

// Why this hello is not welcome; empty reason: it is.
Refused judge(Channel::State const& state, Hello const& hello, std::string const& certified) {
    if (hello.node.value != certified) {
        return {"wrong certificate", "the certificate is of node " + certified + ", the hello of " + hello.node.value};
    }
    if (hello.cluster != state.options.cluster) {
        return {"wrong cluster", "this is cluster " + state.options.cluster + ", not " + hello.cluster};
    }
    if (hello.protocol < 1)
        return {"protocol", "peer protocol " + std::to_string(hello.protocol) + " is not spoken here"};
    if (hello.node == state.options.node && hello.incarnation != state.options.incarnation) {
        return {"duplicate", "another live process, on the node that you called, has your identity"};
    }
    if (!state.is_member(hello.node)) return {"not a member", "node " + hello.node.value + " is not a member here"};
    auto const before = state.incoming.find(hello.node);
    if (before != state.incoming.end() && before->second.incarnation != hello.incarnation &&
        !before->second.stream->closed() && runtime::boot_now() - before->second.heard < kDuplicateWithin) {
        return {"duplicate",
                "another live process with your identity is connected from " + before->second.stream->peer_address()};
    }
    return {};
}

// Reads and judges the hello, answers it. Empty: the connection ends.
Task<std::optional<Hello>> welcome(Channel::State& state, Stream& stream, FrameReader& reader,
                                   std::string const& from) {
    stream.set_deadline(kDialLimit);
    auto const frame = co_await reader.next();
    if (!frame) {
        state.complain("hello " + from.substr(0, from.rfind(':')),
                       "connection from " + from + ": no hello: " + to_string(frame.error()));
        co_return std::nullopt;
    }
    auto const hello =
        frame->topic == Topic::hello ? parse_hello(frame->body) : Result<Hello>(fail(Code::corrupt, "no hello"));
    auto const certified = stream.peer_name();
    Refused const refused = hello ? judge(state, *hello, certified) : Refused{"protocol", to_string(hello.error())};
    if (!refused.reason.empty()) {
        state.complain("refused " + certified,
                       "refused node " + certified + " from " + from + ": " + refused.reason + ": " + refused.text);
        (void)co_await stream.write(make_frame(Topic::refused, 0, write_refused(refused)));
        co_return std::nullopt;
    }
    if (!co_await stream.write(make_frame(Topic::welcome, 0, write_hello(state.own_hello())))) co_return std::nullopt;
    stream.lift_deadline();
    co_return *hello;
}

void dispatch(Channel::State& state, Source& source, Frame const& frame) {
    NodeId const& from = source.node;
    switch (frame.topic) {
        case Topic::cluster:
            if (!source.window.first(frame.call)) break;  // it came the other way already
            [[fallthrough]];
        case Topic::store:
            if (state.callbacks.on_message) state.callbacks.on_message(from, frame.topic, frame.body);
            break;
        case Topic::call:
            if (auto const call = parse_call(frame.body)) {
                state.scope.spawn(
                    "peer call",
                    [self = state.shared_from_this(), from, id = frame.call, method = std::string(call->method),
                     argument = std::string(call->argument)] { return self->serve_call(from, id, method, argument); });
            }
            break;
        case Topic::answer:
            state.take_answer(from, frame.call, frame.body);
            break;
        case Topic::hello:
        case Topic::welcome:
        case Topic::refused:
            break;
    }
}

// The entry in `incoming`, for as long as this connection is the peer's newest.
class Registered {
  public:
    Registered(Channel::State& state, Hello const& hello, Stream::Ptr stream)
        : state_(state), node_(hello.node), stream_(stream), source_(state.source_of(hello, *stream)) {
        auto& entry = state_.incoming[node_];
        if (entry.stream) entry.stream->close();
        entry = {hello.incarnation, std::move(stream), runtime::boot_now()};
    }
    Registered(Registered const&) = delete;
    Registered& operator=(Registered const&) = delete;
    ~Registered() {
        source_->closed = runtime::boot_now();
        if (current()) state_.incoming.erase(node_);
    }
    Source& source() { return *source_; }
    bool current() const {
        auto const found = state_.incoming.find(node_);
        return found != state_.incoming.end() && found->second.stream == stream_;
    }
    void heard() { state_.incoming[node_].heard = runtime::boot_now(); }

  private:
    Channel::State& state_;
    NodeId node_;
    Stream::Ptr stream_;
    std::shared_ptr<Source> source_;
};

Task<void> receive(Channel::State& state, Stream::Ptr stream) {
    auto const from = stream->peer_address();
    if (auto const status = co_await stream->tls_server(state.options.server, kDialLimit); !status) {
        state.complain("tls " + from.substr(0, from.rfind(':')),
                       "connection from " + from + ": " + to_string(status.error()));
        co_return;
    }
    FrameReader reader(stream);
    auto const hello = co_await welcome(state, *stream, reader, from);
    if (!hello) co_return;
    auto const node = hello->node;
    Registered registered(state, *hello, stream);
    log::debug("peer", "node {} is connected from {}", node.value, from);
    // It lives: no need to wait for the next try of ours.
    if (auto const link = state.links.find(node); link != state.links.end() && !link->second->sight.connected) {
        link->second->retry.notify();
    }
    for (;;) {
        auto const frame = co_await reader.next();
        if (!registered.current()) co_return;  // a newer connection of the same peer has taken over
        if (!frame) {
            if (frame.error().code == Code::corrupt) {
                log::warning("peer", "node {} from {}: {}; closed", node.value, from, frame.error().text);
            }
            co_return;
        }
        if (!state.is_member(node)) {
            log::warning("peer", "node {} from {} is no longer a member; closed", node.value, from);
            co_return;
        }
        registered.heard();
        if (auto const link = state.links.find(node); link != state.links.end()) ++link->second->sight.received;
        dispatch(state, registered.source(), *frame);
    }
}

Task<void> receive_and_close(std::shared_ptr<Channel::State> state, Stream::Ptr stream) {
    struct Counted {
        std::size_t& count;
        explicit Counted(std::size_t& one) : count(one) { ++count; }
        ~Counted() { --count; }
    } const counted(state->incoming_open);
    co_await receive(*state, stream);
    stream->close();
}

void take_datagram(Channel::State& state, std::string_view datagram) {
    auto const head = read_head(datagram);
    if (!head) return;
    auto const found = state.sources.find(head->key);
    if (found == state.sources.end()) return;
    auto const source = found->second;  // what is delivered may end it
    bool const over = source->closed != Instant{} && runtime::boot_now() - source->closed > kKeyOutlives;
    if (over || !state.is_member(source->node)) return;
    auto const opened = open_datagram(*source->key, datagram);
    if (!opened) return;
    auto const step = next_frame(*opened);
    auto const* frame = std::get_if<Frame>(&step);
    if (frame == nullptr || frame->topic != Topic::cluster || frame->call != head->number) return;
    if (auto const link = state.links.find(source->node); link != state.links.end()) ++link->second->sight.received;
    dispatch(state, *source, *frame);
}

}  // namespace

Task<void> take_datagrams(std::shared_ptr<Channel::State> state) {
    for (;;) {
        auto const datagram = co_await state->datagrams->next();
        if (datagram.empty()) co_return;
        take_datagram(*state, datagram);
    }
}

Task<void> accept_peers(std::shared_ptr<Channel::State> state, std::shared_ptr<asio::ip::tcp::acceptor> acceptor) {
    for (;;) {
        boost::system::error_code failed;
        auto socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, failed));
        if (failed == asio::error::operation_aborted) co_return;
        if (failed) {
            log::warning("peer", "accept: {}", failed.message());
            co_await runtime::sleep_for(100ms);
            continue;
        }
        if (state->incoming_open >= kIncomingMost) continue;
        auto const stream = std::make_shared<Stream>(Stream::Socket(std::move(socket)));
        stream->tune_tcp(kDeadHostAfter);
        state->scope.spawn("peer connection", [state, stream] { return receive_and_close(state, stream); });
    }
}

}  // namespace keel::peer
