#include "peer/channel.h"

#include "peer/channel_state.h"
#include "runtime/log.h"

namespace keel::peer {

namespace log = runtime::log;

Channel::State::State(runtime::Io& io_, ChannelOptions options_, Callbacks callbacks_)
    : io(io_),
      options(std::move(options_)),
      callbacks(std::move(callbacks_)),
      next_call(runtime::random_u64()),  // an answer to a predecessor's call finds no call of ours
      scope(io_) {}

bool Channel::State::is_member(NodeId const& node) const {
    return callbacks.is_member ? callbacks.is_member(node) : links.contains(node);
}

void Channel::State::enqueue(Link& link, Topic topic, std::uint64_t call, std::string_view body) {
    auto const now = runtime::boot_now();
    auto& queue = link.queue;
    queue.push_back({topic, call, make_frame(topic, call, body), now});
    link.queue_bytes += queue.back().frame.size();
    auto const stale = [&](Queued const& one) {
        bool const patient = one.topic == Topic::call || one.topic == Topic::answer;
        return now - one.since > (patient ? kCallStaleAfter : options.stale_after);
    };
    while (queue.size() > 1 && (link.queue_bytes > options.queue_bytes || stale(queue.front()))) {
        link.queue_bytes -= queue.front().frame.size();
        queue.pop_front();
        ++link.sight.dropped;
    }
    link.queued.notify();
}

// A healthy connection carries alone: every datagram wakes two processes. What is lost shows itself within some 200 ms,
// when TCP sends it again.
bool Channel::State::is_doubtful(Link& link) const {
    if (!link.stream) return true;
    auto const now = runtime::boot_now();
    auto const again = link.stream->sent_again();
    if (std::exchange(link.sent_again, again) != again) link.double_until = now + options.double_for;
    return now < link.double_until;
}

void Channel::State::send_surely(Link& link, std::string_view body) {
    auto const number = link.next_number++;
    bool const doubtful = is_doubtful(link);
    enqueue(link, Topic::cluster, number, body);
    if (!doubtful || !datagrams || !link.route) return;
    auto const datagram = make_datagram(link.route->key, number, make_frame(Topic::cluster, number, body));
    if (!datagram.empty()) datagrams->send(link.route->to, datagram);
}

std::shared_ptr<Source> Channel::State::source_of(Hello const& hello, Stream const& stream) {
    auto const now = runtime::boot_now();
    std::erase_if(sources, [&](auto const& entry) {
        auto const& one = *entry.second;
        return one.node == hello.node || (one.closed != Instant{} && now - one.closed > kKeyOutlives);
    });
    auto source = std::make_shared<Source>(hello.node, hello.incarnation);
    if (auto const material = stream.export_key(kKeyLabel, kKeyMaterial); !material.empty()) {
        source->key.emplace(material);
        sources[source->key->id] = source;
    }
    return source;
}

std::string Channel::State::next_batch(Link& link) {
    std::string batch;
    auto const now = runtime::boot_now();
    while (!link.queue.empty()) {
        auto& first = link.queue.front();
        bool const patient = first.topic == Topic::call || first.topic == Topic::answer;
        bool const stale = now - first.since > (patient ? kCallStaleAfter : options.stale_after);
        if (!stale && !batch.empty() && batch.size() + first.frame.size() > kBatchBytes) break;
        link.queue_bytes -= first.frame.size();
        if (stale) {
            ++link.sight.dropped;
        } else {
            ++link.sight.sent;
            if (auto const call = pending.find(first.call); first.topic == Topic::call && call != pending.end()) {
                call->second->written = true;
            }
            if (batch.empty())
                batch = std::move(first.frame);
            else
                batch += first.frame;
        }
        link.queue.pop_front();
    }
    return batch;
}

void Channel::State::fail_calls(NodeId const& to) {
    for (auto const& [id, call] : pending) {
        if (call->to != to || call->result) continue;
        Error error{Code::unavailable, "the connection to node " + to.value + " broke"};
        error.outcome = call->written ? Outcome::unknown : Outcome::not_done;
        call->result = fail(std::move(error));
        call->done.notify();
    }
}

void Channel::State::take_answer(NodeId const& from, std::uint64_t call, std::string_view body) {
    auto const found = pending.find(call);
    if (found == pending.end() || found->second->to != from || found->second->result) return;
    found->second->result = parse_answer(body);
    found->second->done.notify();
}

Task<void> Channel::State::serve_call(NodeId from, std::uint64_t call, std::string method, std::string argument) {
    struct Counted {
        std::size_t& count;
        explicit Counted(std::size_t& one) : count(one) { ++count; }
        ~Counted() { --count; }
    } const counted(calls_served);
    Result<std::string> answer = fail(Code::not_found, "this node answers no calls");
    if (calls_served > kCallsMost) {
        answer = fail(Code::exhausted, "this node serves " + std::to_string(kCallsMost) + " calls already");
    } else if (callbacks.on_call) {
        std::exception_ptr thrown;
        try {
            answer = co_await callbacks.on_call(from, method, std::move(argument));
        } catch (...) {
            thrown = std::current_exception();
        }
        if (thrown && scope.cancelled()) std::rethrow_exception(thrown);
        if (thrown) answer = fail(Code::internal, "call " + method + " failed: " + runtime::describe(thrown));
    }
    auto body = write_answer(answer);
    if (body.size() > kBodyLimit)
        body = write_answer(fail(Code::exhausted, "the answer to " + method + " is too long"));
    if (auto const link = links.find(from); link != links.end()) enqueue(*link->second, Topic::answer, call, body);
}

void Channel::State::complain(std::string const& key, std::string const& text) {
    auto const now = runtime::boot_now();
    if (complaints.size() > 1000) complaints.clear();
    auto& last = complaints[key];
    if (last.first == text && now - last.second < 60s) return;
    last = {text, now};
    log::warning("peer", "{}", text);
}

Channel::Channel(runtime::Io& io, ChannelOptions options, Callbacks callbacks)
    : state_(std::make_shared<State>(io, std::move(options), std::move(callbacks))) {}

Channel::~Channel() { state_->scope.drain(); }

Status Channel::listen() {
    KEEL_TRY(auto acceptor, runtime::listen_tcp(state_->io, state_->options.address, state_->options.port));
    state_->port = acceptor.local_endpoint().port();
    auto const shared = std::make_shared<runtime::asio::ip::tcp::acceptor>(std::move(acceptor));
    state_->scope.supervise("peer listener", [state = state_, shared] { return accept_peers(state, shared); });
    if (auto opened = runtime::Datagrams::open(state_->io, state_->options.address, state_->port)) {
        state_->datagrams = std::move(*opened);
        state_->scope.supervise("peer datagrams", [state = state_] { return take_datagrams(state); });
    } else {
        log::warning("peer", "{}: heartbeats go by TCP alone, which bears less loss", opened.error().text);
    }
    log::info("peer", "listening for peers on {}:{}", state_->options.address, state_->port);
    return {};
}

std::uint16_t Channel::port() const { return state_->port; }

void Channel::set_peers(std::map<NodeId, std::string> const& peers) {
    auto& links = state_->links;
    for (auto at = links.begin(); at != links.end();) {
        auto const link = at->second;
        auto const wanted = peers.find(link->node);
        bool const stays = wanted != peers.end();
        if (stays && wanted->second == link->address) {
            ++at;
            continue;
        }
        if (stays) link->address = wanted->second;
        link->removed = !stays;
        if (link->stream) link->stream->close();
        link->queued.notify();
        link->retry.notify();
        if (!stays) {
            log::info("peer", "node {} is no longer a peer", link->node.value);
            if (auto const one = state_->incoming.find(link->node);
                one != state_->incoming.end() && !state_->is_member(link->node)) {
                one->second.stream->close();
            }
        }
        at = stays ? std::next(at) : links.erase(at);
    }
    for (auto const& [node, address] : peers) {
        if (node == state_->options.node || links.contains(node)) continue;
        auto const link = std::make_shared<Link>(state_->io, node, address);
        links[node] = link;
        state_->scope.spawn("peer " + node.value, [state = state_, link] { return keep_dialling(state, link); });
    }
}

void Channel::send(NodeId const& to, Topic topic, std::string body) {
    auto const link = state_->links.find(to);
    if (link == state_->links.end()) return;
    if (body.size() > kBodyLimit) {
        log::error("peer", "a message of {} bytes to node {} is over the limit of {} and is dropped", body.size(),
                   to.value, kBodyLimit);
        return;
    }
    if (topic == Topic::cluster)
        state_->send_surely(*link->second, body);
    else
        state_->enqueue(*link->second, topic, 0, body);
}

Task<Result<std::string>> Channel::call(NodeId to, std::string method, std::string argument, Duration timeout) {
    auto const state = state_;
    auto const link = state->links.find(to);
    if (link == state->links.end() || !link->second->sight.connected) {
        auto const why = link == state->links.end() ? "it is not a known peer" : link->second->sight.problem;
        co_return fail(Code::unavailable, "node " + to.value + " is not connected" + (why.empty() ? "" : ": " + why));
    }
    auto const body = write_call(method, argument);
    if (body.size() > kBodyLimit) co_return fail(Code::invalid, "the argument of " + method + " is too long");
    auto const id = state->next_call++;
    auto const call = std::make_shared<Pending>(state->io, to);
    state->pending[id] = call;
    state->enqueue(*link->second, Topic::call, id, body);
    co_await call->done.wait_quietly(timeout);
    state->pending.erase(id);
    if (call->result) co_return std::move(*call->result);
    Error error{Code::timeout,
                "node " + to.value + " did not answer " + method + " within " + std::to_string(to_ms(timeout)) + " ms"};
    error.outcome = call->written ? Outcome::unknown : Outcome::not_done;
    co_return fail(std::move(error));
}

void Channel::set_tls(runtime::TlsContext server, runtime::TlsContext client) {
    state_->options.server = std::move(server);
    state_->options.client = std::move(client);
}

std::map<NodeId, PeerLink> Channel::links() const {
    std::map<NodeId, PeerLink> out;
    for (auto const& [node, link] : state_->links) {
        out[node] = link->sight;
        out[node].heard = state_->incoming.contains(node);
    }
    return out;
}

Task<void> Channel::close() {
    auto const state = state_;
    co_await state->scope.close();
}

}  // namespace keel::peer
