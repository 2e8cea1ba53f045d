// A small HTTP/1.1 server (TLS and plain on one port, and a Unix socket) and client for the API, etcd-sized bodies.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/asio.h"
#include "runtime/tls.h"

namespace keel::runtime {

struct HttpRequest {
    std::string method;                          // "GET", as sent
    std::string path;                            // decoded, without the query
    std::map<std::string, std::string> query;    // decoded; the last of equal names
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    bool secure = false;    // came over TLS
    bool local = false;     // came over the Unix socket
    std::string peer_name;  // common name of the verified client certificate; empty: none
    std::string from;       // address:port, or "local"
    std::string log_in;     // never from the wire: the handler's note of whose log-in it found
};

// The body of a response that is written as it comes (server-sent events).
class HttpStream {
  public:
    virtual ~HttpStream() = default;
    // One chunk; false when the reader is gone or slower than the write limit: then end. Throws when cancelled.
    virtual Task<bool> write(std::string bytes) = 0;
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::string body = {};
    std::map<std::string, std::string> headers = {};
    // When set, body is ignored: chunked, until the task ends. It is cancelled when the server closes.
    std::function<Task<void>(HttpStream&)> stream = {};
};

using HttpHandler = std::function<Task<HttpResponse>(HttpRequest)>;

struct HttpLimits {
    std::size_t header_bytes = 16 * 1024;
    std::size_t body_bytes = 4 * 1024 * 1024;
    Duration read = 10s;   // one request, from its first byte; TLS handshake
    Duration write = 10s;  // one response, or one chunk of a stream
    Duration idle = 30s;   // between requests of one connection
    std::size_t connections = 128;
};

class HttpServer {
  public:
    HttpServer(Io& io, HttpHandler handler, HttpLimits limits = {});
    // As of runtime::Scope: co_await close() first, or destroy it when `io` no longer runs.
    ~HttpServer();

    // Address and port (0: any free one; see port()). With a TLS context a first byte 0x16 begins TLS, anything else is
    // plain HTTP with secure = false: the handler decides what plain callers may do. Errors: conflict (port in use).
    Status listen_tcp(std::string const& address, std::uint16_t port, TlsContext tls);
    // A Unix socket of mode 0600; an old one at the path is replaced.
    Status listen_unix(std::string const& path);
    // New connections use it: a renewed certificate.
    void set_tls(TlsContext tls);
    std::uint16_t port() const;
    std::size_t connections() const;
    // Stops accepting, cancels every connection, waits for their end.
    Task<void> close();

    struct State;

  private:
    std::shared_ptr<State> state_;
};

// Where a client call goes: a TCP address with TLS, one without, or a Unix socket.
struct HttpTarget {
    std::string host;
    std::uint16_t port = 0;
    TlsContext tls;             // empty: plain
    std::string unix_path;      // non-empty: this instead of host and port
    std::string expected_peer;  // non-empty: the server's certificate must have this common name

    static HttpTarget plain(std::string host, std::uint16_t port) { return {std::move(host), port, {}, {}, {}}; }
    static HttpTarget secure(std::string host, std::uint16_t port, TlsContext tls) {
        return {std::move(host), port, std::move(tls), {}, {}};
    }
    static HttpTarget local(std::string unix_path) { return {{}, 0, {}, std::move(unix_path), {}}; }
};

struct HttpCall {
    std::string method = "GET";
    std::string path = "/";  // with the query, already encoded
    std::string body = {};
    std::map<std::string, std::string> headers = {};
    Duration timeout = 5s;
    std::size_t body_limit = 64 * 1024 * 1024;
    Duration silence = Duration::zero();  // of http_follow: it ends when nothing has come for so long; 0: never
};

// Any status is an answer, not an error. unavailable: not reached; timeout: outcome unknown once the request was sent;
// denied: the certificate does not fit.
Task<Result<HttpResponse>> http_call(HttpTarget target, HttpCall call);
// The same with a response body handed over piece by piece (server-sent events); ends when `on_bytes` says false. A
// status other than 200 is an error: not_found for 404, unavailable for every other.
Task<Status> http_follow(HttpTarget target, HttpCall call, std::function<bool(std::string_view)> on_bytes);

// Splits "/a/b?x=1&y=%20" into path and query, decoded. Pure; false when an escape is malformed.
bool parse_request_target(std::string_view target, std::string& path, std::map<std::string, std::string>& query);

}  // namespace keel::runtime
