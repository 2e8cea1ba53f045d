// A connected socket that never blocks, plain or TLS, for users of a Poller; and the sockets that such connections come
// from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/tls.h"

namespace keel::runtime {

class Wire {
  public:
    enum class State {
        done,
        again,  // would block
        ended,  // the far side has closed in order
        failed
    };
    struct Moved {
        State state = State::again;
        std::size_t bytes = 0;
    };

    // Owns the descriptor from here on.
    explicit Wire(int descriptor);
    ~Wire();
    Wire(Wire&& other) noexcept;
    Wire& operator=(Wire&&) = delete;

    // Begins to connect to an IP address ("10.0.0.1", "::1") or a Unix socket's path; ready to write when it is done.
    static Result<Wire> dial(std::string const& address, std::uint16_t port);
    // Empty when it is connected; else why not.
    std::string connect_trouble() const;

    Moved read(std::span<char> into);
    Moved write(std::string_view bytes);
    // More can be read although the socket has nothing new.
    bool has_pending() const;

    // From here on the bytes are TLS's. handshake() is to be called until it is done.
    Status begin_tls(TlsContext const& context, bool server);
    State handshake();
    // While again: what the handshake waits for is to be able to write, not to read.
    bool wants_write() const { return wants_write_; }
    bool secure() const { return tls_ != nullptr; }
    // After ended: nothing that the far side sent is missing. Behind TLS only its own farewell proves that.
    bool ended_in_order() const { return !tls_ || trouble_.empty(); }
    // The far side has shown a certificate of an authority that is trusted here.
    bool peer_is_certified() const;
    // Common name of the far side's certificate.
    std::string peer_name() const;
    // Of the certificate that this side has shown, as bytes: what a client binds its login to (tls-server-end-point,
    // RFC 5929). Empty without one, or when its signature has no digest (Ed25519).
    std::string own_certificate_hash() const;
    std::string tls_trouble() const { return trouble_; }

    int descriptor() const { return descriptor_; }
    // "address:port", or "local".
    std::string peer_address() const;
    std::string peer_ip() const;

  private:
    struct Tls;
    Moved tls_moved(int got);

    int descriptor_;
    std::unique_ptr<Tls> tls_;
    bool wants_write_ = false;
    std::string trouble_;
};

// Listening sockets; accept() gives -1 when there is nobody, or no descriptor left for one.
Result<int> listen_tcp_socket(std::string const& address, std::uint16_t port);
Result<int> listen_unix_socket(std::string const& path, unsigned mode);
int accept_socket(int listener);

}  // namespace keel::runtime
