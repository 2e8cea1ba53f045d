#include "runtime/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ssl/context.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/files.h"
#include "runtime/openssl.h"

namespace keel::runtime {

namespace {

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    int family = AF_UNSPEC;
};

Result<Address> address_of(std::string const& text, std::uint16_t port) {
    Address out;
    if (text.starts_with('/')) {
        auto* local = reinterpret_cast<sockaddr_un*>(&out.storage);
        if (text.size() >= sizeof local->sun_path)
            return fail(Code::invalid, text + ": too long for a Unix socket (107 bytes)");
        local->sun_family = AF_UNIX;
        std::memcpy(local->sun_path, text.c_str(), text.size() + 1);
        out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
        out.family = AF_UNIX;
        return out;
    }
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out.size = sizeof *v4;
        out.family = AF_INET;
    } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out.size = sizeof *v6;
        out.family = AF_INET6;
    } else {
        return fail(Code::invalid, text + " is not an IP address", "give an address of this host, or 0.0.0.0");
    }
    return out;
}

void tune(int descriptor) {
    int const on = 1, idle = 5, interval = 2, count = 3, lost_ms = 15'000;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

Result<int> listen_on(Address const& where, std::string const& what) {
    int const descriptor = ::socket(where.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return fail(system_error(errno, what));
    int const on = 1;
    if (where.family != AF_UNIX) ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(descriptor, reinterpret_cast<sockaddr const*>(&where.storage), where.size) == 0 &&
        ::listen(descriptor, 1024) == 0)
        return descriptor;
    Error error = system_error(errno, what);
    ::close(descriptor);
    if (error.code == Code::conflict) error.mend = "stop what listens there (ss -ltnp), or choose another port";
    if (error.code == Code::invalid) error.mend = "give an address of this host, or 0.0.0.0";
    return fail(std::move(error));
}

}  // namespace

struct Wire::Tls {
    TlsContext context;
    SSL* ssl = nullptr;
    explicit Tls(TlsContext given) : context(std::move(given)), ssl(SSL_new(context.context().native_handle())) {}
    Tls(Tls const&) = delete;
    Tls& operator=(Tls const&) = delete;
    ~Tls() { SSL_free(ssl); }
};

Wire::Wire(int descriptor) : descriptor_(descriptor) {}
Wire::Wire(Wire&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      tls_(std::move(other.tls_)),
      wants_write_(other.wants_write_) {}
Wire::~Wire() {
    // Its own word of farewell, where the socket takes it at once: else the far side would think that it was cut off.
    if (tls_ && trouble_.empty() && SSL_is_init_finished(tls_->ssl) == 1) {
        (void)SSL_shutdown(tls_->ssl);
        ERR_clear_error();
    }
    tls_.reset();
    if (descriptor_ >= 0) ::close(descriptor_);
}

Result<Wire> Wire::dial(std::string const& address, std::uint16_t port) {
    KEEL_TRY(auto const where, address_of(address, port));
    int const descriptor = ::socket(where.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return fail(system_error(errno, "socket"));
    Wire out(descriptor);
    if (where.family != AF_UNIX) tune(descriptor);
    if (::connect(descriptor, reinterpret_cast<sockaddr const*>(&where.storage), where.size) != 0 &&
        errno != EINPROGRESS)
        return fail(system_error(errno, "connect to " + address));
    return out;
}

std::string Wire::connect_trouble() const {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    return error == 0 ? std::string() : std::strerror(error);
}

Wire::Moved Wire::tls_moved(int got) {
    if (got > 0) return {State::done, static_cast<std::size_t>(got)};
    int const why = SSL_get_error(tls_->ssl, got);
    wants_write_ = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {State::again, 0};
    if (why == SSL_ERROR_ZERO_RETURN) return {State::ended, 0};
    char text[160] = "the connection was cut";
    bool const cut = why == SSL_ERROR_SYSCALL && errno == 0;
    if (auto const error = ERR_get_error(); error != 0) {
        // PostgreSQL's processes end without TLS's farewell: what TCP says counts.
        bool const eof =
            ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        ERR_error_string_n(error, text, sizeof text);
        ERR_clear_error();
        trouble_ = text;
        if (eof) return {State::ended, 0};
    }
    trouble_ = text;
    return {cut ? State::ended : State::failed, 0};
}

Wire::Moved Wire::read(std::span<char> into) {
    if (tls_) {
        ERR_clear_error();
        return tls_moved(SSL_read(tls_->ssl, into.data(), static_cast<int>(into.size())));
    }
    for (;;) {
        auto const got = ::recv(descriptor_, into.data(), into.size(), 0);
        if (got > 0) return {State::done, static_cast<std::size_t>(got)};
        if (got == 0) return {State::ended, 0};
        if (errno == EINTR) continue;
        return {errno == EAGAIN ? State::again : State::failed, 0};
    }
}

Wire::Moved Wire::write(std::string_view bytes) {
    if (tls_) {
        ERR_clear_error();
        return tls_moved(
            SSL_write(tls_->ssl, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1U << 30U))));
    }
    for (;;) {
        auto const sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) return {State::done, static_cast<std::size_t>(sent)};
        if (errno == EINTR) continue;
        return {errno == EAGAIN ? State::again : State::failed, 0};
    }
}

bool Wire::has_pending() const { return tls_ && SSL_has_pending(tls_->ssl) == 1; }

Status Wire::begin_tls(TlsContext const& context, bool server) {
    tls_ = std::make_unique<Tls>(context);
    if (tls_->ssl == nullptr || SSL_set_fd(tls_->ssl, descriptor_) != 1)
        return openssl_failure(Code::internal, "begin TLS");
    SSL_set_mode(tls_->ssl,
                 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(tls_->ssl, 1);
    if (server)
        SSL_set_accept_state(tls_->ssl);
    else
        SSL_set_connect_state(tls_->ssl);
    return {};
}

Wire::State Wire::handshake() {
    ERR_clear_error();
    auto const moved = tls_moved(SSL_do_handshake(tls_->ssl));
    if (moved.state == State::failed || moved.state == State::ended) {
        if (auto const verified = SSL_get_verify_result(tls_->ssl); verified != X509_V_OK)
            trouble_ = X509_verify_cert_error_string(verified);
        return State::failed;
    }
    return moved.state;
}

bool Wire::peer_is_certified() const {
    return tls_ && SSL_get0_peer_certificate(tls_->ssl) != nullptr && SSL_get_verify_result(tls_->ssl) == X509_V_OK;
}

std::string Wire::peer_name() const {
    if (!tls_ || SSL_get_verify_result(tls_->ssl) != X509_V_OK) return {};
    CertificatePtr const certificate(SSL_get1_peer_certificate(tls_->ssl));
    return certificate ? common_name_of(certificate.get()) : std::string();
}

std::string Wire::own_certificate_hash() const {
    X509* const certificate = tls_ ? SSL_get_certificate(tls_->ssl) : nullptr;
    int digest = NID_undef;
    if (certificate == nullptr || X509_get_signature_info(certificate, &digest, nullptr, nullptr, nullptr) != 1)
        return {};
    if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
    auto const* const method = EVP_get_digestbynid(digest);
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    if (method == nullptr || X509_digest(certificate, method, bytes, &count) != 1) return {};
    return {reinterpret_cast<char const*>(bytes), count};
}

std::string Wire::peer_ip() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    char text[INET6_ADDRSTRLEN] = "";
    if (::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "a closed connection";
    if (storage.ss_family == AF_INET)
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in const*>(&storage)->sin_addr, text, sizeof text);
    else if (storage.ss_family == AF_INET6)
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6 const*>(&storage)->sin6_addr, text, sizeof text);
    else
        return "local";
    return text;
}

std::string Wire::peer_address() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "a closed connection";
    if (storage.ss_family == AF_INET)
        return peer_ip() + ":" + std::to_string(ntohs(reinterpret_cast<sockaddr_in const*>(&storage)->sin_port));
    if (storage.ss_family == AF_INET6)
        return "[" + peer_ip() +
               "]:" + std::to_string(ntohs(reinterpret_cast<sockaddr_in6 const*>(&storage)->sin6_port));
    return "local";
}

Result<int> listen_tcp_socket(std::string const& address, std::uint16_t port) {
    auto const what = "listen on " + address + ":" + std::to_string(port);
    auto const where = address_of(address, port);
    if (!where) return fail(Error(where.error()).in(what));
    return listen_on(*where, what);
}

Result<int> listen_unix_socket(std::string const& path, unsigned mode) {
    auto const what = "listen on " + path;
    KEEL_TRY(auto const where, address_of(path, 0));
    struct stat seen{};
    if (::lstat(path.c_str(), &seen) == 0) {
        if (!S_ISSOCK(seen.st_mode)) return fail(Code::conflict, path + ": is there and not a socket", "move it away");
        ::unlink(path.c_str());
    }
    KEEL_TRY(int const descriptor, listen_on(where, what));
    if (::chmod(path.c_str(), mode) != 0) {
        ::close(descriptor);
        return fail(system_error(errno, what));
    }
    return descriptor;
}

int accept_socket(int listener) {
    for (;;) {
        int const descriptor = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (descriptor >= 0) tune(descriptor);
        return descriptor;
    }
}

}  // namespace keel::runtime
