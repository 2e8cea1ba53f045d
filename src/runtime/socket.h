// One byte stream, plain or TLS, over TCP or a Unix socket; the second and last header that includes Asio, for the
// sources that move bytes.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/asio.h"
#include "runtime/tls.h"

namespace keel::runtime {

// One reader and one writer coroutine at a time. No call throws but for cancellation; after an error only close() is of
// use.
class Stream : public std::enable_shared_from_this<Stream> {
  public:
    using Socket = asio::generic::stream_protocol::socket;
    using Ptr = std::shared_ptr<Stream>;

    explicit Stream(Socket socket);

    // A name is resolved first (on Asio's own thread). unavailable, timeout.
    static Task<Result<Ptr>> connect_tcp(std::string host, std::uint16_t port, Duration limit);
    static Task<Result<Ptr>> connect_unix(std::string path, Duration limit);

    Task<Status> tls_client(TlsContext context, Duration limit);
    Task<Status> tls_server(TlsContext context, Duration limit);
    bool secure() const { return tls_ != nullptr; }
    // Common name of the verified certificate of the far side; empty: none.
    std::string peer_name() const;
    // The far end as "address:port", or "local".
    std::string peer_address() const;
    // The far end of a TCP connection; nothing: closed, or not TCP.
    std::optional<asio::ip::tcp::endpoint> peer_endpoint() const;
    // Key material that only the two ends of this TLS connection can derive (RFC 8446, section 7.5). Empty: no TLS.
    std::string export_key(std::string_view label, std::size_t bytes) const;

    // Segments that TCP had to send more than once so far (tcp(7), TCP_INFO); 0: none, or not TCP.
    std::uint64_t sent_again() const;

    // The first byte without taking it; unavailable at the end.
    Task<Result<unsigned char>> peek();
    // 0: the far side has closed.
    Task<Result<std::size_t>> read_some(std::span<char> into);
    Task<Status> write(std::string_view bytes);

    // After `limit` the stream closes itself, and what waits on it ends with Code::timeout. One at a time; replaced by
    // the next, or lifted.
    void set_deadline(Duration limit);
    void lift_deadline();

    // Everything that waits ends with an error. Callable at any time.
    void close();
    bool closed() const { return closed_; }

    // TCP_NODELAY; keepalive and TCP_USER_TIMEOUT (tcp(7)) so that a dead host is noticed within `limit`; what is lost
    // is sent again without longer and longer pauses.
    void tune_tcp(Duration limit);

  private:
    Task<Status> open(Socket::endpoint_type endpoint, Duration limit);
    Task<Status> handshake(asio::ssl::stream_base::handshake_type side, TlsContext context, Duration limit);
    std::unexpected<Error> failure(boost::system::error_code error, char const* what) const;

    Socket socket_;
    std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
    TlsContext context_;
    asio::steady_timer deadline_;
    std::uint64_t deadline_number_ = 0;
    bool expired_ = false;
    bool closed_ = false;
};

// Listens on an address; port 0: any free one. conflict: in use. invalid: not an address of this host.
Result<asio::ip::tcp::acceptor> listen_tcp(Io& io, std::string const& address, std::uint16_t port);
// Mode 0600; an old socket at the path is replaced.
Result<asio::local::stream_protocol::acceptor> listen_unix(Io& io, std::string const& path);

// "host:port", "[v6]:port".
Result<std::pair<std::string, std::uint16_t>> parse_address(std::string_view text);

}  // namespace keel::runtime
