#include "runtime/pki.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "runtime/openssl.h"

namespace keel::runtime {

namespace {

BioPtr bio_of(std::string const& bytes) {
    return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    long const length = BIO_get_mem_data(bio, &data);
    return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : std::string();
}

KeyPtr make_key() { return KeyPtr(EVP_EC_gen("P-256")); }

Result<Secret> write_key(EVP_PKEY* key) {
    BioPtr const out(BIO_new(BIO_s_secmem()));
    if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return openssl_failure(Code::internal, "write a private key");
    }
    return Secret(text_of(out.get()));
}

Result<std::string> write_certificate(X509* certificate) {
    BioPtr const out(BIO_new(BIO_s_mem()));
    if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) {
        return openssl_failure(Code::internal, "write a certificate");
    }
    return text_of(out.get());
}

bool set_name(X509_NAME* name, std::string const& common_name) {
    auto const* bytes = reinterpret_cast<unsigned char const*>(common_name.c_str());
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, static_cast<int>(common_name.size()), -1, 0) ==
           1;
}

bool add_extension(X509* certificate, X509* issuer, int kind, std::string const& value) {
    X509V3_CTX context{};
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    bool const added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

// "IP:10.0.0.1,DNS:db1". A name that could smuggle in another entry is refused.
Result<std::string> alternative_names(std::vector<std::string> const& names) {
    std::string text;
    for (auto const& name : names) {
        unsigned char address[sizeof(in6_addr)];
        bool const is_address =
            ::inet_pton(AF_INET, name.c_str(), address) == 1 || ::inet_pton(AF_INET6, name.c_str(), address) == 1;
        auto const allowed = std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*");
        if (!is_address && (name.empty() || name.find_first_not_of(allowed) != name.npos)) {
            return fail(Code::invalid, "\"" + name + "\" is neither an address nor a host name");
        }
        text += (text.empty() ? "" : ",") + std::string(is_address ? "IP:" : "DNS:") + name;
    }
    return text;
}

bool set_serial(X509* certificate) {
    BIGNUM* number = BN_new();
    bool const ok = number != nullptr && BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
    BN_free(number);
    return ok;
}

// Everything but the extensions and the signature. It begins an hour ago: clocks of nodes differ.
CertificatePtr draft(EVP_PKEY* key, std::string const& common_name, int days) {
    CertificatePtr certificate(X509_new());
    bool const ok = certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                    set_serial(certificate.get()) && X509_set_pubkey(certificate.get(), key) == 1 &&
                    set_name(X509_get_subject_name(certificate.get()), common_name) &&
                    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400L * days) != nullptr;
    return ok ? std::move(certificate) : nullptr;
}

Result<std::string> certify(Pair const& authority, EVP_PKEY* key, Subject const& subject, int days) {
    KEEL_TRY(auto const issuer, parse_certificate(authority.certificate));
    KEEL_TRY(auto const issuer_key, parse_key(authority.key));
    KEEL_TRY(auto const names, alternative_names(subject.names));
    auto const made = draft(key, subject.node.value, days);
    X509* const certificate = made.get();
    bool const ok = made && X509_set_issuer_name(certificate, X509_get_subject_name(issuer.get())) == 1 &&
                    add_extension(certificate, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                    add_extension(certificate, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
                    add_extension(certificate, issuer.get(), NID_ext_key_usage,
                                  subject.client_only ? "clientAuth" : "serverAuth,clientAuth") &&
                    (names.empty() || add_extension(certificate, issuer.get(), NID_subject_alt_name, names)) &&
                    add_extension(certificate, issuer.get(), NID_subject_key_identifier, "hash") &&
                    add_extension(certificate, issuer.get(), NID_authority_key_identifier, "keyid") &&
                    X509_sign(certificate, issuer_key.get(), EVP_sha256()) > 0;
    if (!ok) return openssl_failure(Code::internal, "make the certificate of node " + subject.node.value);
    return write_certificate(certificate);
}

Result<std::string> request_of(Subject const& subject, EVP_PKEY* key) {
    RequestPtr const request(X509_REQ_new());
    bool const ok = request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    set_name(X509_REQ_get_subject_name(request.get()), subject.node.value) &&
                    X509_REQ_set_pubkey(request.get(), key) == 1 && X509_REQ_sign(request.get(), key, EVP_sha256()) > 0;
    BioPtr const out(BIO_new(BIO_s_mem()));
    if (!ok || !out || PEM_write_bio_X509_REQ(out.get(), request.get()) != 1) {
        return openssl_failure(Code::internal, "make a certificate request");
    }
    return text_of(out.get());
}

Result<std::int64_t> unix_ms_of(ASN1_TIME const* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return openssl_failure(Code::corrupt, "a time in a certificate");
    return static_cast<std::int64_t>(::timegm(&parts)) * 1000;
}

}  // namespace

std::unexpected<Error> openssl_failure(Code code, std::string const& what) {
    char reason[256] = "unknown reason";
    if (unsigned long const number = ERR_peek_last_error(); number != 0)
        ERR_error_string_n(number, reason, sizeof reason);
    ERR_clear_error();
    return fail(code, what + ": " + reason);
}

Result<CertificatePtr> parse_certificate(std::string const& pem) {
    CertificatePtr certificate(PEM_read_bio_X509(bio_of(pem).get(), nullptr, nullptr, nullptr));
    if (!certificate) return openssl_failure(Code::corrupt, "not a PEM certificate");
    return certificate;
}

Result<KeyPtr> parse_key(Secret const& pem) {
    // The empty passphrase keeps OpenSSL from asking at a terminal.
    KeyPtr key(PEM_read_bio_PrivateKey(bio_of(pem.reveal()).get(), nullptr, nullptr, const_cast<char*>("")));
    if (!key) return openssl_failure(Code::corrupt, "not a PEM private key");
    return key;
}

Result<std::string> fingerprint_of(X509 const* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1) {
        return openssl_failure(Code::internal, "fingerprint of a certificate");
    }
    std::string text;
    for (unsigned i = 0; i < length; ++i) {
        text += "0123456789abcdef"[digest[i] >> 4];
        text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
}

std::string common_name_of(X509 const* certificate) {
    X509_NAME const* name = X509_get_subject_name(certificate);
    int const at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) return {};
    unsigned char* bytes = nullptr;
    int const length = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (length < 0) return {};
    std::string text(reinterpret_cast<char const*>(bytes), static_cast<std::size_t>(length));
    OPENSSL_free(bytes);
    return text;
}

Result<Pair> make_authority(std::string const& cluster_id, int days) {
    auto const key = make_key();
    if (!key) return openssl_failure(Code::internal, "make a key");
    auto const made = draft(key.get(), "pgkeel " + cluster_id, days);
    X509* const certificate = made.get();
    bool const ok = made && X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
                    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                    add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
                    X509_sign(certificate, key.get(), EVP_sha256()) > 0;
    if (!ok) return openssl_failure(Code::internal, "make the cluster's certificate authority");
    Pair pair;
    KEEL_TRY(pair.certificate, write_certificate(certificate));
    KEEL_TRY(pair.key, write_key(key.get()));
    return pair;
}

Result<Pair> issue_node(Pair const& authority, Subject const& subject, int days) {
    auto const key = make_key();
    if (!key) return openssl_failure(Code::internal, "make a key");
    Pair pair;
    KEEL_TRY(pair.certificate, certify(authority, key.get(), subject, days));
    KEEL_TRY(pair.key, write_key(key.get()));
    return pair;
}

Result<SigningRequest> make_request(Subject const& subject) {
    auto const key = make_key();
    if (!key) return openssl_failure(Code::internal, "make a key");
    SigningRequest made;
    KEEL_TRY(made.pem, request_of(subject, key.get()));
    KEEL_TRY(made.key, write_key(key.get()));
    return made;
}

Result<std::string> make_request(Subject const& subject, Secret const& key_pem) {
    KEEL_TRY(auto const key, parse_key(key_pem));
    return request_of(subject, key.get());
}

Result<std::string> sign_request(Pair const& authority, std::string const& request_pem, Subject const& subject,
                                 int days) {
    RequestPtr const request(PEM_read_bio_X509_REQ(bio_of(request_pem).get(), nullptr, nullptr, nullptr));
    if (!request) return openssl_failure(Code::invalid, "not a PEM certificate request");
    EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
    if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
        return openssl_failure(Code::invalid, "the certificate request is not signed by its own key");
    }
    if (!EVP_PKEY_is_a(key, "EC")) return fail(Code::invalid, "the certificate request's key is not an EC key");
    X509_NAME const* name = X509_REQ_get_subject_name(request.get());
    char asked[128]{};
    if (X509_NAME_get_text_by_NID(name, NID_commonName, asked, sizeof asked) < 0 || subject.node.value != asked) {
        return fail(Code::invalid,
                    "the certificate request names \"" + std::string(asked) + "\", not node " + subject.node.value);
    }
    return certify(authority, key, subject, days);
}

Result<std::string> fingerprint(std::string const& certificate_pem) {
    KEEL_TRY(auto const certificate, parse_certificate(certificate_pem));
    return fingerprint_of(certificate.get());
}

Result<std::int64_t> expires_unix_ms(std::string const& certificate_pem) {
    KEEL_TRY(auto const certificate, parse_certificate(certificate_pem));
    return unix_ms_of(X509_get0_notAfter(certificate.get()));
}

Result<Validity> validity(std::string const& certificate_pem) {
    KEEL_TRY(auto const certificate, parse_certificate(certificate_pem));
    Validity out;
    KEEL_TRY(out.from_unix_ms, unix_ms_of(X509_get0_notBefore(certificate.get())));
    KEEL_TRY(out.until_unix_ms, unix_ms_of(X509_get0_notAfter(certificate.get())));
    return out;
}

bool is_renewal_due(Validity const& validity, std::int64_t unix_ms) {
    return unix_ms >= validity.until_unix_ms - (validity.until_unix_ms - validity.from_unix_ms) / 3;
}

Result<std::string> common_name(std::string const& certificate_pem) {
    KEEL_TRY(auto const certificate, parse_certificate(certificate_pem));
    return common_name_of(certificate.get());
}

Status check_pair(std::string const& authority_pem, Pair const& pair) {
    KEEL_TRY(auto const authority, parse_certificate(authority_pem));
    KEEL_TRY(auto const certificate, parse_certificate(pair.certificate));
    KEEL_TRY(auto const key, parse_key(pair.key));
    if (X509_check_private_key(certificate.get(), key.get()) != 1) {
        ERR_clear_error();
        return fail(Code::invalid, "the private key does not belong to the certificate");
    }
    StorePtr const store(X509_STORE_new());
    StoreContextPtr const context(X509_STORE_CTX_new());
    if (!store || !context || X509_STORE_add_cert(store.get(), authority.get()) != 1 ||
        X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
        return openssl_failure(Code::internal, "check a certificate");
    }
    if (X509_verify_cert(context.get()) != 1) {
        auto const* reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
        ERR_clear_error();
        return fail(Code::invalid, std::string("the certificate is not of this cluster's authority: ") + reason,
                    "check the node's clock, or join the node again");
    }
    return {};
}

}  // namespace keel::runtime
