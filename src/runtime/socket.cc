#include "runtime/socket.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "runtime/files.h"
#include "runtime/openssl.h"
#include "runtime/scope.h"

namespace keel::runtime {

namespace {

using boost::system::error_code;
using tcp = asio::ip::tcp;

Error error_of(error_code error, std::string const& what) {
    if (error.category() == boost::system::system_category()) return system_error(error.value(), what);
    return Error{Code::unavailable, what + ": " + error.message()};
}

// Asio resolves on a thread of its own and cannot be interrupted there: the answer may come after the wait has ended.
struct Lookup {
    explicit Lookup(asio::any_io_executor const& executor) : resolver(executor), done(executor) {}
    tcp::resolver resolver;
    Event done;
    error_code error = asio::error::timed_out;
    std::vector<tcp::endpoint> found;
};

Task<Result<std::vector<tcp::endpoint>>> resolve(std::string host, std::uint16_t port, Duration limit) {
    error_code not_numeric;
    auto const address = asio::ip::make_address(host, not_numeric);
    if (!not_numeric) co_return std::vector{tcp::endpoint(address, port)};
    auto const lookup = std::make_shared<Lookup>(co_await asio::this_coro::executor);
    lookup->resolver.async_resolve(host, std::to_string(port), tcp::resolver::numeric_service,
                                   [lookup](error_code error, tcp::resolver::results_type const& results) {
                                       lookup->error = error;
                                       for (auto const& one : results) lookup->found.push_back(one.endpoint());
                                       lookup->done.notify();
                                   });
    co_await lookup->done.wait_for(limit);
    if (lookup->error) co_return fail(Code::unavailable, "host " + host + ": " + lookup->error.message());
    co_return std::move(lookup->found);
}

}  // namespace

Stream::Stream(Socket socket) : socket_(std::move(socket)), deadline_(socket_.get_executor()) {}

Task<Result<Stream::Ptr>> Stream::connect_tcp(std::string host, std::uint16_t port, Duration limit) {
    auto const endpoints = co_await resolve(host, port, limit);
    if (!endpoints) co_return fail(endpoints.error());
    auto const what = host + ":" + std::to_string(port);
    Result<Ptr> last = fail(Code::unavailable, what + ": no address");
    for (auto const& endpoint : *endpoints) {
        auto const stream = std::make_shared<Stream>(Socket(co_await asio::this_coro::executor));
        auto const status = co_await stream->open(endpoint, limit);
        if (status) co_return stream;
        last = fail(Error(status.error()).in(what));
    }
    co_return last;
}

Task<Result<Stream::Ptr>> Stream::connect_unix(std::string path, Duration limit) {
    if (path.size() >= 108) co_return fail(Code::invalid, path + ": too long for a Unix socket (107 bytes)");
    auto const stream = std::make_shared<Stream>(Socket(co_await asio::this_coro::executor));
    auto const status = co_await stream->open(asio::local::stream_protocol::endpoint(path), limit);
    if (!status) co_return fail(Error(status.error()).in(path));
    co_return stream;
}

Task<Status> Stream::open(Socket::endpoint_type endpoint, Duration limit) {
    set_deadline(limit);
    error_code failed;
    co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, failed));
    lift_deadline();
    if (failed) co_return failure(failed, "connect");
    co_return Status{};
}

Task<Status> Stream::tls_client(TlsContext context, Duration limit) {
    return handshake(asio::ssl::stream_base::client, std::move(context), limit);
}

Task<Status> Stream::tls_server(TlsContext context, Duration limit) {
    return handshake(asio::ssl::stream_base::server, std::move(context), limit);
}

Task<Status> Stream::handshake(asio::ssl::stream_base::handshake_type side, TlsContext context, Duration limit) {
    context_ = std::move(context);
    tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context_.context());
    // Asio asks for the buffers to be given back after each record, which saves memory where thousands of connections
    // are idle. Here there are few, and each heartbeat would take 17 KB from the heap.
    SSL_clear_mode(tls_->native_handle(), SSL_MODE_RELEASE_BUFFERS);
    set_deadline(limit);
    error_code failed;
    co_await tls_->async_handshake(side, asio::redirect_error(asio::use_awaitable, failed));
    lift_deadline();
    if (!failed) co_return Status{};
    auto const verified = SSL_get_verify_result(tls_->native_handle());
    if (!expired_ && verified != X509_V_OK) {
        co_return fail(Code::denied, "TLS with " + peer_address() + ": the far side's certificate is not accepted: " +
                                         X509_verify_cert_error_string(verified));
    }
    co_return failure(failed, "TLS handshake");
}

std::string Stream::peer_name() const {
    if (!tls_ || SSL_get_verify_result(tls_->native_handle()) != X509_V_OK) return {};
    CertificatePtr const certificate(SSL_get1_peer_certificate(tls_->native_handle()));
    return certificate ? common_name_of(certificate.get()) : std::string();
}

std::string Stream::peer_address() const {
    error_code failed;
    auto const endpoint = socket_.remote_endpoint(failed);
    if (failed) return "a closed connection";
    if (endpoint.protocol().family() == AF_UNIX) return "local";
    auto const address = *peer_endpoint();
    return address.address().to_string() + ":" + std::to_string(address.port());
}

Task<Result<unsigned char>> Stream::peek() {
    for (;;) {
        error_code failed;
        co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return failure(failed, "read");
        unsigned char byte = 0;
        ssize_t const got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got == 1) co_return byte;
        if (got == 0) co_return fail(Code::unavailable, "closed by the far side");
        if (errno != EAGAIN && errno != EINTR) co_return fail(system_error(errno, "read"));
    }
}

Task<Result<std::size_t>> Stream::read_some(std::span<char> into) {
    error_code failed;
    auto const buffer = asio::buffer(into.data(), into.size());
    std::size_t got = 0;
    if (tls_)
        got = co_await tls_->async_read_some(buffer, asio::redirect_error(asio::use_awaitable, failed));
    else
        got = co_await socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, failed));
    // A TLS peer that just closes TCP is at its end too: both our protocols know their lengths.
    if (failed == asio::error::eof || failed == asio::ssl::error::stream_truncated) co_return std::size_t{0};
    if (failed) co_return failure(failed, "read");
    co_return got;
}

Task<Status> Stream::write(std::string_view bytes) {
    error_code failed;
    auto const buffer = asio::buffer(bytes.data(), bytes.size());
    if (tls_)
        co_await asio::async_write(*tls_, buffer, asio::redirect_error(asio::use_awaitable, failed));
    else
        co_await asio::async_write(socket_, buffer, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return failure(failed, "write");
    co_return Status{};
}

std::optional<tcp::endpoint> Stream::peer_endpoint() const {
    error_code failed;
    auto const endpoint = socket_.remote_endpoint(failed);
    if (failed || endpoint.protocol().family() == AF_UNIX) return std::nullopt;
    tcp::endpoint address;
    address.resize(endpoint.size());
    std::memcpy(address.data(), endpoint.data(), endpoint.size());
    return address;
}

std::string Stream::export_key(std::string_view label, std::size_t bytes) const {
    std::string out(bytes, '\0');
    bool const ok =
        tls_ && SSL_export_keying_material(tls_->native_handle(), reinterpret_cast<unsigned char*>(out.data()),
                                           out.size(), label.data(), label.size(), nullptr, 0, 0) == 1;
    return ok ? out : std::string();
}

std::uint64_t Stream::sent_again() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    bool const known = !closed_ && ::getsockopt(const_cast<Socket&>(socket_).native_handle(), IPPROTO_TCP, TCP_INFO,
                                                &info, &size) == 0;
    return known ? info.tcpi_total_retrans : 0;
}

void Stream::set_deadline(Duration limit) {
    auto const number = ++deadline_number_;
    deadline_.expires_after(limit);
    deadline_.async_wait([weak = weak_from_this(), number](error_code cancelled) {
        auto const self = weak.lock();
        if (cancelled || !self || self->deadline_number_ != number) return;
        self->expired_ = true;
        self->close();
    });
}

void Stream::lift_deadline() {
    ++deadline_number_;
    deadline_.cancel();
}

void Stream::close() {
    closed_ = true;
    lift_deadline();
    error_code ignored;
    socket_.close(ignored);
}

void Stream::tune_tcp(Duration limit) {
    int const descriptor = socket_.native_handle();
    auto const set = [&](int level, int option, int value) {
        ::setsockopt(descriptor, level, option, &value, sizeof value);
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(to_ms(limit)));
    set(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

std::unexpected<Error> Stream::failure(error_code error, char const* what) const {
    if (expired_) return fail(Code::timeout, std::string(what) + ": not done in time");
    return fail(error_of(error, what));
}

Result<asio::ip::tcp::acceptor> listen_tcp(Io& io, std::string const& address, std::uint16_t port) {
    auto const what = "listen on " + address + ":" + std::to_string(port);
    error_code failed;
    auto const where = asio::ip::make_address(address, failed);
    if (failed) return fail(Code::invalid, what + ": not an IP address", "give an address of this host, or 0.0.0.0");
    tcp::endpoint const endpoint(where, port);
    tcp::acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), failed);
    // A restarted agent must not wait for connections in TIME_WAIT.
    if (!failed) acceptor.set_option(asio::socket_base::reuse_address(true), failed);
    if (!failed) acceptor.bind(endpoint, failed);
    if (!failed) acceptor.listen(asio::socket_base::max_listen_connections, failed);
    if (!failed) return acceptor;
    Error error = error_of(failed, what);
    if (error.code == Code::conflict) error.mend = "stop what listens there (ss -ltnp), or choose another port";
    if (error.code == Code::invalid) error.mend = "give an address of this host, or 0.0.0.0";
    return fail(std::move(error));
}

Result<asio::local::stream_protocol::acceptor> listen_unix(Io& io, std::string const& path) {
    if (path.size() >= 108)
        return fail(Code::invalid, path + ": too long for a Unix socket (107 bytes)", "choose a shorter --dir");
    struct stat seen{};
    if (::lstat(path.c_str(), &seen) == 0) {
        if (!S_ISSOCK(seen.st_mode)) return fail(Code::conflict, path + ": is there and not a socket", "move it away");
        ::unlink(path.c_str());
    }
    error_code failed;
    asio::local::stream_protocol::acceptor acceptor(io);
    acceptor.open(asio::local::stream_protocol(), failed);
    mode_t const before = ::umask(0177);
    if (!failed) acceptor.bind(path, failed);
    ::umask(before);
    if (!failed) acceptor.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) return fail(error_of(failed, "listen on " + path));
    return acceptor;
}

Result<std::pair<std::string, std::uint16_t>> parse_address(std::string_view text) {
    auto const wrong =
        fail(Code::invalid, "\"" + std::string(text) + "\" is not host:port", "write it as db1:7432 or [::1]:7432");
    auto const colon = text.rfind(':');
    if (colon == text.npos) return wrong;
    auto host = text.substr(0, colon);
    auto const digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    auto const [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (problem != std::errc() || end != digits.data() + digits.size() || port == 0) return wrong;
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != host.npos)
        return wrong;
    if (host.empty()) return wrong;
    return std::pair{std::string(host), port};
}

}  // namespace keel::runtime
