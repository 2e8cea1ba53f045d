// Ownership of OpenSSL objects, and PEM in and out; for pki.cc and tls.cc only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace keel::runtime {

template <auto Free>
struct Releaser {
    void operator()(auto* object) const noexcept { Free(object); }
};
using BioPtr = std::unique_ptr<BIO, Releaser<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Releaser<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Releaser<X509_REQ_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Releaser<X509_STORE_CTX_free>>;

// `what` and OpenSSL's own words; empties its error queue.
std::unexpected<Error> openssl_failure(Code code, std::string const& what);

Result<CertificatePtr> parse_certificate(std::string const& pem);
Result<KeyPtr> parse_key(Secret const& pem);
// SHA-256 of the DER, lower-case hex.
Result<std::string> fingerprint_of(X509 const* certificate);
// Empty when there is none.
std::string common_name_of(X509 const* certificate);

}  // namespace keel::runtime
