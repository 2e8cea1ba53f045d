// AWS Signature Version 4 of one request (S3 API Reference, "Authenticating Requests: Using the Authorization Header").
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace keel::archive {

struct S3Key {
    std::string id;
    Secret secret;
    std::string session_token;  // of temporary keys; else empty
};

// As it goes over the wire, but for what is encoded in it.
struct S3Request {
    std::string method;
    std::string path;                            // not encoded, begins with '/'
    std::map<std::string, std::string> query;    // not encoded
    std::map<std::string, std::string> headers;  // all that are signed; names in lower case, with host and x-amz-date
    std::string payload_sha256;
};

// RFC 3986: everything but A-Z a-z 0-9 - . _ ~, and '/' where it is kept.
std::string uri_encode(std::string_view text, bool keeps_slash);
// "a=1&b=" in the order that is signed; to be sent as it is.
std::string query_text(std::map<std::string, std::string> const& query);
std::string amz_date(std::int64_t unix_s);  // 20130524T000000Z

// The value of the header Authorization.
std::string authorization(S3Request const& request, S3Key const& key, std::string const& region);

}  // namespace keel::archive
