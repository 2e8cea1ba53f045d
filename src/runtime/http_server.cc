#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/assert.h"
#include "runtime/http_wire.h"
#include "runtime/log.h"
#include "runtime/scope.h"

namespace keel::runtime {

using RequestParser = Watched<http::request_parser<http::string_body>>;

struct HttpServer::State {
    State(Io& io_, HttpHandler handler_, HttpLimits limits_)
        : io(io_), handler(std::move(handler_)), limits(limits_), scope(io_) {}

    Io& io;
    HttpHandler handler;
    HttpLimits limits;
    TlsContext tls;
    std::size_t open = 0;
    std::uint16_t port = 0;
    std::string unix_path;
    Scope scope;
};

namespace {

using State = HttpServer::State;

// Streams to the client in chunks (RFC 9112 section 7.1).
class Chunks : public HttpStream {
  public:
    Chunks(Stream& stream, Duration limit) : stream_(stream), limit_(limit) {}

    Task<bool> write(std::string bytes) override {
        if (bytes.empty()) co_return alive_;
        co_return co_await put(fmt::format("{:x}\r\n", bytes.size()) + bytes + "\r\n");
    }
    Task<bool> put(std::string bytes) {
        if (!alive_) co_return false;
        stream_.set_deadline(limit_);
        alive_ = (co_await stream_.write(bytes)).has_value();
        stream_.lift_deadline();
        co_return alive_;
    }

  private:
    Stream& stream_;
    Duration limit_;
    bool alive_ = true;
};

std::string head_of(HttpResponse const& response, bool keep_alive, bool head_only) {
    std::string text =
        fmt::format("HTTP/1.1 {} {}\r\n", response.status,
                    to_text(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status)))));
    auto const add = [&text](std::string_view name, std::string_view value) {
        // A line break in a value would begin another header.
        if (value.find_first_of("\r\n") == value.npos) text += fmt::format("{}: {}\r\n", name, value);
    };
    if (!response.content_type.empty()) add("Content-Type", response.content_type);
    for (auto const& [name, value] : response.headers) add(name, value);
    bool const bodiless = response.status == 204 || response.status == 304;
    if (response.stream && !head_only)
        add("Transfer-Encoding", "chunked");
    else if (!bodiless)
        add("Content-Length", std::to_string(response.body.size()));
    add("Connection", keep_alive ? "keep-alive" : "close");
    return text + "\r\n";
}

HttpResponse problem(int status, std::string_view text) {
    return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::string(text) + "\n"};
}

Task<HttpResponse> answer(State& state, HttpRequest request) {
    std::exception_ptr thrown;
    auto const what = request.method + " " + request.path;
    try {
        co_return co_await state.handler(std::move(request));
    } catch (...) {
        thrown = std::current_exception();
    }
    if (is_cancelled(thrown) && state.scope.cancelled()) std::rethrow_exception(thrown);
    log::error("http", "{} failed: {}", what, describe(thrown));
    co_return problem(500, "internal error, see the log of this node");
}

// False: the connection ends.
Task<bool> write_response(State& state, Stream& stream, HttpResponse response, bool keep_alive, bool head_only) {
    Chunks chunks(stream, state.limits.write);
    auto const head = head_of(response, keep_alive, head_only);
    if (!response.stream || head_only) {
        co_return co_await chunks.put(head_only ? head : head + response.body) && keep_alive;
    }
    if (!co_await chunks.put(head)) co_return false;
    std::exception_ptr thrown;
    try {
        co_await response.stream(chunks);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown) {
        if (!is_cancelled(thrown)) log::error("http", "a streaming answer failed: {}", describe(thrown));
        co_return false;  // without the last chunk, so that the reader knows
    }
    co_return co_await chunks.put("0\r\n\r\n") && keep_alive;
}

// One request and its answer; false: the connection ends.
Task<bool> serve_one(State& state, Stream& stream, std::string& buffer, HttpRequest request) {
    RequestParser parser;
    parser.header_limit(static_cast<std::uint32_t>(state.limits.header_bytes));
    parser.body_limit(state.limits.body_bytes);
    parser.eager(true);
    stream.set_deadline(state.limits.read);
    bool asked_to_continue = false;
    auto const read = co_await read_message(stream, buffer, parser, [&] {
        if (!parser.is_header_done() || asked_to_continue || parser.is_done()) return true;
        asked_to_continue = boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
        return !asked_to_continue;
    });
    if (read && asked_to_continue) {  // curl asks so before a body over 1 MiB
        if (!co_await stream.write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
        auto const rest = co_await read_message(stream, buffer, parser, [] { return true; });
        if (!rest) co_return false;
    }
    stream.lift_deadline();
    if (!read) {
        if (read.error().code != Code::corrupt && read.error().code != Code::exhausted) co_return false;
        int const status = read.error().code == Code::exhausted ? 413 : 400;
        co_return co_await write_response(state, stream, problem(status, read.error().text), false, false);
    }
    auto message = parser.release();
    bool const keep_alive = message.keep_alive();
    request.method = to_text(message.method_string());
    request.headers = headers_of(message);
    request.body = std::move(message.body());
    bool const head_only = message.method() == http::verb::head;
    if (!parse_request_target({message.target().data(), message.target().size()}, request.path, request.query)) {
        co_return co_await write_response(state, stream, problem(400, "malformed request target"), false, head_only);
    }
    auto response = co_await answer(state, std::move(request));
    co_return co_await write_response(state, stream, std::move(response), keep_alive, head_only);
}

Task<void> serve(std::shared_ptr<State> state, Stream::Ptr stream, bool local) {
    struct Counted {
        State& state;
        explicit Counted(State& one) : state(one) { ++state.open; }
        ~Counted() { --state.open; }
    } const counted(*state);
    HttpRequest origin;
    origin.local = local;
    origin.from = stream->peer_address();
    stream->set_deadline(state->limits.idle);
    if (!local && state->tls) {
        auto const first = co_await stream->peek();
        if (!first) co_return;
        if (*first == 0x16) {  // TLS handshake record (RFC 8446 section 5.1)
            if (auto const status = co_await stream->tls_server(state->tls, state->limits.read); !status) {
                log::debug("http", "{}: {}", origin.from, to_string(status.error()));
                co_return;
            }
            origin.secure = true;
            origin.peer_name = stream->peer_name();
        }
    }
    std::string buffer;
    while (!stream->closed()) {
        if (buffer.empty() && !stream->secure()) {
            stream->set_deadline(state->limits.idle);
            if (!co_await stream->peek()) break;
        } else if (buffer.empty()) {
            stream->set_deadline(state->limits.idle);
            char chunk[4096];
            auto const got = co_await stream->read_some(chunk);
            if (!got || *got == 0) break;
            buffer.assign(chunk, *got);
        }
        if (!co_await serve_one(*state, *stream, buffer, origin)) break;
    }
    stream->close();
}

template <class Acceptor>
Task<void> accept_all(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor, bool local) {
    for (;;) {
        boost::system::error_code failed;
        auto socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, failed));
        if (failed == asio::error::operation_aborted) co_return;
        if (failed) {  // out of descriptors: not a reason to spin
            log::warning("http", "accept: {}", failed.message());
            co_await sleep_for(100ms);
            continue;
        }
        if (state->open >= state->limits.connections) continue;  // closed by its destructor
        auto const stream = std::make_shared<Stream>(Stream::Socket(std::move(socket)));
        if (!local) stream->tune_tcp(10s);
        state->scope.spawn("http connection", [state, stream, local] { return serve(state, stream, local); });
    }
}

}  // namespace

HttpServer::HttpServer(Io& io, HttpHandler handler, HttpLimits limits)
    : state_(std::make_shared<State>(io, std::move(handler), limits)) {}

HttpServer::~HttpServer() {
    state_->scope.drain();
    if (!state_->unix_path.empty()) ::unlink(state_->unix_path.c_str());
}

Status HttpServer::listen_tcp(std::string const& address, std::uint16_t port, TlsContext tls) {
    KEEL_TRY(auto acceptor, runtime::listen_tcp(state_->io, address, port));
    state_->tls = std::move(tls);
    state_->port = acceptor.local_endpoint().port();
    auto const shared = std::make_shared<asio::ip::tcp::acceptor>(std::move(acceptor));
    state_->scope.supervise("http listener", [state = state_, shared] { return accept_all(state, shared, false); });
    return {};
}

Status HttpServer::listen_unix(std::string const& path) {
    KEEL_TRY(auto acceptor, runtime::listen_unix(state_->io, path));
    state_->unix_path = path;
    auto const shared = std::make_shared<asio::local::stream_protocol::acceptor>(std::move(acceptor));
    state_->scope.supervise("http unix listener", [state = state_, shared] { return accept_all(state, shared, true); });
    return {};
}

void HttpServer::set_tls(TlsContext tls) { state_->tls = std::move(tls); }
std::uint16_t HttpServer::port() const { return state_->port; }
std::size_t HttpServer::connections() const { return state_->open; }
Task<void> HttpServer::close() { return state_->scope.close(); }

}  // namespace keel::runtime
