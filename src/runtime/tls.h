// TLS contexts: who may speak to whom is decided here. 1.3 only, but for applications.
#pragma once

#include <memory>
#include <string>

#include "runtime/pki.h"

namespace boost::asio::ssl {
class context;
}

namespace keel::runtime {

// A node's own side: the authority's certificate, and its own pair (empty: none).
struct TlsIdentity {
    std::string authority;
    Pair own;
};
// ca.crt, node.crt and node.key of a node's pki directory. A key that others may read is refused.
Result<TlsIdentity> load_identity(std::string const& directory);

// Shared, cheap to copy, empty by default.
class TlsContext {
  public:
    TlsContext() = default;
    explicit TlsContext(std::shared_ptr<boost::asio::ssl::context> context) : context_(std::move(context)) {}
    explicit operator bool() const { return context_ != nullptr; }
    boost::asio::ssl::context& context() const { return *context_; }

  private:
    std::shared_ptr<boost::asio::ssl::context> context_;
};

// Peer channel: both sides must show a certificate of the authority.
Result<TlsContext> server_mutual(TlsIdentity const& identity);
Result<TlsContext> client_mutual(TlsIdentity const& identity);
// API: shows the node's certificate and the authority's (so that a joining node can pin it); a client certificate is
// optional, but one that is shown must be of the authority.
Result<TlsContext> server_optional_client(TlsIdentity const& identity);
// For applications, which have libraries of every age: TLS 1.2 too. The certificate may be followed by its chain.
// `client_authorities`: clients are asked for a certificate, and one that is shown must be of one of these; empty: none
// is asked for.
Result<TlsContext> server_for_applications(Pair const& own, std::string const& client_authorities = {});
// A client without certificate that knows only the authority's fingerprint (hex, as of fingerprint()).
Result<TlsContext> client_pinned(std::string const& authority_fingerprint);

}  // namespace keel::runtime
