#include "runtime/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>

#include "runtime/files.h"
#include "runtime/openssl.h"

namespace keel::runtime {

namespace ssl = boost::asio::ssl;

namespace {

constexpr std::size_t kPemLimit = 256 * 1024;

Status add_own(SSL_CTX* context, TlsIdentity const& identity, bool with_authority) {
    if (identity.own.certificate.empty()) return {};
    KEEL_TRY(auto const certificate, parse_certificate(identity.own.certificate));
    KEEL_TRY(auto const key, parse_key(identity.own.key));
    if (SSL_CTX_use_certificate(context, certificate.get()) != 1 || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return openssl_failure(Code::invalid, "use the node's certificate and key");
    }
    if (with_authority) {
        KEEL_TRY(auto const authority, parse_certificate(identity.authority));
        if (SSL_CTX_add1_chain_cert(context, authority.get()) != 1) {
            return openssl_failure(Code::internal, "use the cluster's authority");
        }
    }
    return {};
}

Status trust(SSL_CTX* context, std::string const& authority_pem) {
    KEEL_TRY(auto const authority, parse_certificate(authority_pem));
    // Nothing but this authority: the system's are not loaded.
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) {
        return openssl_failure(Code::internal, "trust the cluster's authority");
    }
    return {};
}

std::shared_ptr<ssl::context> make_context(bool server) {
    auto made = std::make_shared<ssl::context>(server ? ssl::context::tlsv13_server : ssl::context::tlsv13_client);
    SSL_CTX* const context = made->native_handle();
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    // Each connection proves itself in full; no tickets that nobody reads.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return made;
}

Result<TlsContext> make(bool server, TlsIdentity const& identity, bool with_authority, int verify) {
    auto made = make_context(server);
    SSL_CTX* const context = made->native_handle();
    KEEL_CHECK(add_own(context, identity, with_authority));
    KEEL_CHECK(trust(context, identity.authority));
    SSL_CTX_set_verify(context, verify, nullptr);
    return TlsContext(std::move(made));
}

// Each certificate of `pem`; there must be one at least.
Status ask_for_client(SSL_CTX* context, std::string const& pem) {
    BioPtr const bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    int count = 0;
    for (;; ++count) {
        CertificatePtr const one(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
        if (!one) break;
        // The names go to the client, so that it can choose among its certificates.
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get()) != 1 ||
            SSL_CTX_add_client_CA(context, one.get()) != 1)
            return openssl_failure(Code::invalid, "use an authority of clients' certificates");
    }
    bool const at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (count == 0 || !at_end)
        return fail(Code::invalid, "no certificates of authorities in PEM", "write them one behind the other");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    // A ticket would bring back a client whose certificate nobody looks at any more.
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    return {};
}

bool chain_ends_in(X509_STORE_CTX* incoming, X509* authority) {
    StorePtr const store(X509_STORE_new());
    StoreContextPtr const context(X509_STORE_CTX_new());
    if (!store || !context || X509_STORE_add_cert(store.get(), authority) != 1) return false;
    if (X509_STORE_CTX_init(context.get(), store.get(), X509_STORE_CTX_get0_cert(incoming), nullptr) != 1) return false;
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
    return X509_verify_cert(context.get()) == 1;
}

// Replaces OpenSSL's verification: among the certificates shown, the one of the fingerprint must be the issuer.
int verify_pinned(X509_STORE_CTX* incoming, void* argument) {
    auto const& wanted = *static_cast<std::string const*>(argument);
    STACK_OF(X509)* const shown = X509_STORE_CTX_get0_untrusted(incoming);
    for (int i = 0; i < sk_X509_num(shown); ++i) {
        X509* const candidate = sk_X509_value(shown, i);
        auto const seen = fingerprint_of(candidate);
        if (seen && *seen == wanted && chain_ends_in(incoming, candidate)) {
            X509_STORE_CTX_set_error(incoming, X509_V_OK);
            return 1;
        }
    }
    ERR_clear_error();
    X509_STORE_CTX_set_error(incoming, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
}

}  // namespace

Result<TlsIdentity> load_identity(std::string const& directory) {
    TlsIdentity identity;
    auto const key_path = directory + "/node.key";
    KEEL_TRY(identity.authority, read_file(directory + "/ca.crt", kPemLimit));
    KEEL_TRY(identity.own.certificate, read_file(directory + "/node.crt", kPemLimit));
    struct stat seen{};
    if (::stat(key_path.c_str(), &seen) == 0 && (seen.st_mode & 077) != 0) {
        return fail(Code::denied, key_path + ": a private key that others may read is not used",
                    "chmod 0600 it, and renew the certificate if others could have read it");
    }
    KEEL_TRY(auto key, read_file(key_path, kPemLimit));
    identity.own.key = Secret(std::move(key));
    if (auto status = check_pair(identity.authority, identity.own); !status) {
        return fail(std::move(status.error()).in(directory + "/node.crt"));
    }
    return identity;
}

Result<TlsContext> server_mutual(TlsIdentity const& identity) {
    return make(true, identity, false, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
}

Result<TlsContext> client_mutual(TlsIdentity const& identity) { return make(false, identity, false, SSL_VERIFY_PEER); }

Result<TlsContext> server_optional_client(TlsIdentity const& identity) {
    return make(true, identity, true, SSL_VERIFY_PEER);
}

Result<TlsContext> server_for_applications(Pair const& own, std::string const& client_authorities) {
    auto made = std::make_shared<ssl::context>(ssl::context::tls_server);
    SSL_CTX* const context = made->native_handle();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    KEEL_CHECK(add_own(context, {{}, own}, false));
    BioPtr const bio(BIO_new_mem_buf(own.certificate.data(), static_cast<int>(own.certificate.size())));
    CertificatePtr const first(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
        if (SSL_CTX_add0_chain_cert(context, next) == 1) continue;
        X509_free(next);
        return openssl_failure(Code::invalid, "use the certificate's chain");
    }
    ERR_clear_error();
    if (!client_authorities.empty()) KEEL_CHECK(ask_for_client(context, client_authorities));
    return TlsContext(std::move(made));
}

Result<TlsContext> client_pinned(std::string const& authority_fingerprint) {
    auto const wanted = std::make_shared<std::string const>([&] {
        std::string text;
        for (char const byte : authority_fingerprint) {
            if (byte != ':') text += static_cast<char>(byte >= 'A' && byte <= 'F' ? byte + 32 : byte);
        }
        return text;
    }());
    if (wanted->size() != 64 || wanted->find_first_not_of("0123456789abcdef") != wanted->npos) {
        return fail(Code::invalid, "\"" + authority_fingerprint + "\" is not a SHA-256 fingerprint (64 hex digits)",
                    "copy it from `pgkeel init` or the join token");
    }
    auto made = make_context(false);
    SSL_CTX* const context = made->native_handle();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context, verify_pinned, const_cast<std::string*>(wanted.get()));
    // The fingerprint lives as long as the context.
    return TlsContext(
        std::shared_ptr<ssl::context>(made.get(), [made, wanted](ssl::context*) mutable { made.reset(); }));
}

}  // namespace keel::runtime
