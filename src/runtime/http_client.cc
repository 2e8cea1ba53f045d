#include "base/assert.h"
#include "runtime/http_wire.h"
#include "runtime/scope.h"

namespace keel::runtime {

namespace {

using ResponseParser = Watched<http::response_parser<http::string_body>>;

std::string request_text(HttpTarget const& target, HttpCall const& call) {
    auto const host =
        target.unix_path.empty() ? fmt::format("{}:{}", target.host, target.port) : std::string("localhost");
    std::string text =
        fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pgkeel\r\n", call.method, call.path, host);
    for (auto const& [name, value] : call.headers) text += fmt::format("{}: {}\r\n", name, value);
    if (!call.body.empty() || call.method == "POST" || call.method == "PUT" || call.method == "PATCH") {
        text += fmt::format("Content-Length: {}\r\n", call.body.size());
    }
    return text + "Connection: close\r\n\r\n" + call.body;
}

bool has_line_break(HttpCall const& call) {
    auto const breaks = [](std::string const& text) { return text.find_first_of("\r\n") != text.npos; };
    bool found = breaks(call.path) || breaks(call.method) || call.path.find(' ') != call.path.npos;
    for (auto const& [name, value] : call.headers) found = found || breaks(name) || breaks(value);
    return found;
}

Task<Result<Stream::Ptr>> connect(HttpTarget const& target, Duration limit) {
    auto stream = target.unix_path.empty() ? co_await Stream::connect_tcp(target.host, target.port, limit)
                                           : co_await Stream::connect_unix(target.unix_path, limit);
    if (!stream) co_return stream;
    if (!target.tls) co_return stream;
    auto const where = fmt::format("{}:{}", target.host, target.port);
    if (auto status = co_await (*stream)->tls_client(target.tls, limit); !status) {
        co_return fail(std::move(status.error()).in(where));
    }
    auto const name = (*stream)->peer_name();
    if (!target.expected_peer.empty() && name != target.expected_peer) {
        co_return fail(Code::denied, fmt::format("{} is node {}, not {}", where, name, target.expected_peer));
    }
    co_return stream;
}

std::unexpected<Error> with_outcome(Error error, Outcome outcome) {
    error.outcome = outcome;
    return fail(std::move(error));
}

Task<Result<HttpResponse>> exchange(HttpTarget target, HttpCall call, bool& sent) {
    auto const connected = co_await connect(target, call.timeout);
    if (!connected) co_return fail(connected.error());
    Stream& stream = **connected;
    sent = true;
    if (auto const written = co_await stream.write(request_text(target, call)); !written)
        co_return fail(written.error());
    ResponseParser parser;
    parser.eager(true);
    parser.body_limit(call.body_limit);
    if (call.method == "HEAD") parser.skip(true);
    std::string buffer;
    auto const read = co_await read_message(stream, buffer, parser, [] { return true; });
    if (!read) co_return fail(read.error());
    auto message = parser.release();
    HttpResponse response;
    response.status = static_cast<int>(message.result_int());
    response.headers = headers_of(message);
    response.content_type = response.headers["content-type"];
    response.body = std::move(message.body());
    co_return response;
}

}  // namespace

Task<Result<HttpResponse>> http_call(HttpTarget target, HttpCall call) {
    if (has_line_break(call)) co_return fail(Code::invalid, "line break or space in an HTTP request's head");
    bool sent = false;
    auto const limit = call.timeout;
    auto const where = target.unix_path.empty() ? fmt::format("{}:{}", target.host, target.port) : target.unix_path;
    auto response = co_await with_timeout(limit, exchange(std::move(target), std::move(call), sent));
    if (response) co_return response;
    auto error = std::move(response.error());
    // Not `error = std::move(error).in(where)`: a string that is moved to itself is empty afterwards.
    if (error.text.find(where) == error.text.npos) error.text = where + ": " + error.text;
    co_return with_outcome(std::move(error), sent ? Outcome::unknown : Outcome::not_done);
}

Task<Status> http_follow(HttpTarget target, HttpCall call, std::function<bool(std::string_view)> on_bytes) {
    if (has_line_break(call)) co_return fail(Code::invalid, "line break or space in an HTTP request's head");
    auto const connected = co_await connect(target, call.timeout);
    if (!connected) co_return fail(connected.error());
    Stream& stream = **connected;
    if (auto const written = co_await stream.write(request_text(target, call)); !written) co_return written;
    ResponseParser parser;
    parser.eager(true);
    parser.body_limit(boost::none);
    std::string buffer;
    Status refused;
    stream.set_deadline(call.timeout);  // for the head
    auto const read = co_await read_message(stream, buffer, parser, [&] {
        if (!parser.is_header_done()) return true;
        if (call.silence > Duration::zero())
            stream.set_deadline(call.silence);
        else
            stream.lift_deadline();
        if (auto const result = parser.get().result(); result != http::status::ok) {
            refused = fail(result == http::status::not_found ? Code::not_found : Code::unavailable,
                           fmt::format("status {} for {}", parser.get().result_int(), call.path));
            return false;
        }
        auto const bytes = std::exchange(parser.get().body(), {});
        return bytes.empty() || on_bytes(bytes);
    });
    stream.close();
    co_return refused ? read : refused;
}

}  // namespace keel::runtime
