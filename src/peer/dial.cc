#include "peer/channel_state.h"
#include "runtime/log.h"

namespace keel::peer {

namespace log = runtime::log;

namespace {

// TCP, TLS, hello and welcome; the error says which of them failed.
Task<Result<Stream::Ptr>> dial(Channel::State& state, Link& link) {
    auto const address = runtime::parse_address(link.address);
    if (!address) co_return fail(address.error());
    auto stream = co_await Stream::connect_tcp(address->first, address->second, kDialLimit);
    if (!stream) co_return stream;
    (*stream)->tune_tcp(kDeadHostAfter);
    if (auto status = co_await (*stream)->tls_client(state.options.client, kDialLimit); !status) {
        co_return fail(std::move(status.error()).in(link.address));
    }
    if (auto const name = (*stream)->peer_name(); name != link.node.value) {
        co_return fail(Code::denied, link.address + " is node " + name + ", not " + link.node.value,
                       "check the addresses of the members");
    }
    (*stream)->set_deadline(kDialLimit);
    if (auto status = co_await (*stream)->write(make_frame(Topic::hello, 0, write_hello(state.own_hello()))); !status) {
        co_return fail(std::move(status.error()).in(link.address));
    }
    FrameReader reader(*stream);
    auto const reply = co_await reader.next();
    (*stream)->lift_deadline();
    if (!reply)
        co_return fail(
            Error(reply.error()).in(link.address + " did not welcome us (is our certificate accepted there?)"));
    if (reply->topic == Topic::welcome) co_return stream;
    auto const refused = parse_refused(reply->body);
    if (reply->topic != Topic::refused || !refused) co_return fail(Code::corrupt, link.address + ": no welcome");
    link.refused = true;
    if (state.callbacks.on_refused) state.callbacks.on_refused(link.node, *refused);
    co_return fail(Code::denied, link.address + " refused us: " + refused->reason + ": " + refused->text);
}

// A peer sends nothing on our connection after its welcome: a read ends when the connection does.
Task<void> watch_end(std::shared_ptr<Link> link, Stream::Ptr stream) {
    char byte = 0;
    for (;;) {
        auto const got = co_await stream->read_some({&byte, 1});
        if (!got || *got == 0) {
            if (link->stream == stream && link->sight.problem.empty()) {
                link->sight.problem = got ? "closed by the far side" : got.error().text;
            }
            break;
        }
    }
    stream->close();
    link->queued.notify();
}

Task<void> send_queued(Channel::State& state, Link& link, Stream& stream) {
    while (!stream.closed()) {
        auto const batch = state.next_batch(link);
        if (batch.empty()) {
            co_await link.queued.wait();
            continue;
        }
        stream.set_deadline(kWriteLimit);
        auto const status = co_await stream.write(batch);
        stream.lift_deadline();
        if (!status) {
            link.sight.problem = to_string(status.error());
            stream.close();
        }
    }
}

Task<bool> run_connection(std::shared_ptr<Channel::State> state, std::shared_ptr<Link> link) {
    link->refused = false;
    auto const address = link->address;
    auto const dialled = co_await dial(*state, *link);
    if (link->removed || link->address != address) co_return false;
    if (!dialled) {
        link->sight.problem = to_string(dialled.error());
        state->complain("dial " + link->node.value, "node " + link->node.value + ": " + link->sight.problem);
        co_return false;
    }
    link->stream = *dialled;
    auto const material = (*dialled)->export_key(kKeyLabel, kKeyMaterial);
    if (auto const far = (*dialled)->peer_endpoint(); far && !material.empty())
        link->route.emplace(DatagramKey(material), runtime::Datagrams::Endpoint(far->address(), far->port()));
    link->sent_again = 0;
    link->double_until = runtime::boot_now() + state->options.double_for;
    link->sight.connected = true;
    link->sight.problem.clear();
    ++link->sight.connects;
    state->complaints.erase("dial " + link->node.value);
    log::info("peer", "connected to node {} at {}", link->node.value, link->address);
    if (state->callbacks.on_link) state->callbacks.on_link(link->node, true);
    state->scope.spawn("peer watch " + link->node.value, [link, stream = *dialled] { return watch_end(link, stream); });
    co_await send_queued(*state, *link, **dialled);
    link->stream.reset();
    link->sight.connected = false;
    if (link->sight.problem.empty()) link->sight.problem = "the connection ended";
    state->fail_calls(link->node);
    if (state->scope.cancelled()) co_return true;
    log::info("peer", "lost the connection to node {} at {}: {}", link->node.value, link->address, link->sight.problem);
    if (state->callbacks.on_link) state->callbacks.on_link(link->node, false);
    co_return true;
}

}  // namespace

Task<void> keep_dialling(std::shared_ptr<Channel::State> state, std::shared_ptr<Link> link) {
    Duration wait = kFirstRetry;
    while (!link->removed && !state->scope.cancelled()) {
        bool const was_connected = co_await run_connection(state, link);
        if (link->removed) break;
        if (was_connected) wait = kFirstRetry;
        if (link->refused) wait = kLastRetry;
        bool const at_once = co_await link->retry.wait_for(wait);
        wait = at_once ? kFirstRetry : std::min(wait * 2, kLastRetry);
    }
    state->fail_calls(link->node);
}

}  // namespace keel::peer
