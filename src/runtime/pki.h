// The cluster's certificates: one authority (EC P-256), one certificate per node whose common name is the node's UUID.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

namespace keel::runtime {

// A certificate and its private key, both PEM.
struct Pair {
    std::string certificate;
    Secret key;
};

// What a node's certificate says besides its UUID.
struct Subject {
    NodeId node;
    std::vector<std::string> names;  // addresses and host names: the SAN
    bool client_only = false;        // nobody takes its holder for a server of the cluster
};

inline constexpr int kDaysOfAuthority = 3650;
inline constexpr int kDaysOfNode = 825;

// A self-signed authority named "pgkeel <cluster_id>".
Result<Pair> make_authority(std::string const& cluster_id, int days = kDaysOfAuthority);
// For TLS server and client.
Result<Pair> issue_node(Pair const& authority, Subject const& subject, int days = kDaysOfNode);

// A joining node's side: the request goes out, the key stays.
struct SigningRequest {
    std::string pem;
    Secret key;
};
Result<SigningRequest> make_request(Subject const& subject);
// The same for a key that is there already: a renewal, where only the certificate changes.
Result<std::string> make_request(Subject const& subject, Secret const& key);
// The authority's side: a certificate for the key in the request, when the request is signed by that key and names
// `subject.node`; the SAN is `subject.names`, not what the request asks for.
Result<std::string> sign_request(Pair const& authority, std::string const& request_pem, Subject const& subject,
                                 int days = kDaysOfNode);

// SHA-256 of the certificate's DER, 64 lower-case hex digits.
Result<std::string> fingerprint(std::string const& certificate_pem);
// Not after, Unix milliseconds.
Result<std::int64_t> expires_unix_ms(std::string const& certificate_pem);
// Not before and not after, Unix milliseconds.
struct Validity {
    std::int64_t from_unix_ms = 0;
    std::int64_t until_unix_ms = 0;
};
Result<Validity> validity(std::string const& certificate_pem);
// Two thirds of its life are over.
bool is_renewal_due(Validity const& validity, std::int64_t unix_ms);
Result<std::string> common_name(std::string const& certificate_pem);
// invalid, saying what does not fit, unless `certificate` was signed by `authority`, is in its time and belongs to
// `key`.
Status check_pair(std::string const& authority_pem, Pair const& pair);

}  // namespace keel::runtime
