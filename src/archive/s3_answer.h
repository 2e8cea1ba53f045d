// What an S3 server says, and where it is: answers in XML, errors with their mends, addresses, the file of the key.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/s3_sign.h"
#include "base/result.h"

namespace keel::archive {

// Of "s3://bucket/prefix": the prefix has a slash at its end or is empty.
struct S3Address {
    std::string bucket;
    std::string prefix;
};
bool is_s3(std::string_view repository);
// invalid when it is none.
Result<S3Address> parse_s3_address(std::string_view repository);

// "https://host[:port]"; the host as it stands in the header.
struct S3Endpoint {
    std::string scheme;
    std::string host;
};
Result<S3Endpoint> parse_s3_endpoint(std::string_view url);

// The format of ~/.aws/credentials: aws_access_key_id, aws_secret_access_key and perhaps aws_session_token, each
// `name = value` on a line; a section other than [default] is not read.
Result<S3Key> parse_s3_key(std::string_view text);

// The texts of all elements of this name, decoded; those that have elements in them as they are.
std::vector<std::string> xml_elements(std::string_view xml, std::string_view name);
// Of the first; empty without one.
std::string xml_text(std::string_view xml, std::string_view name);

struct S3List {
    std::vector<std::string> names;
    std::vector<std::string> folders;  // each with a slash at its end
    std::string next;                  // the token of the next page; empty: this was the last
};
// corrupt when it is no ListBucketResult.
Result<S3List> parse_s3_list(std::string_view xml);
struct S3Unfinished {
    std::string name, id;
};
// Answer of ListMultipartUploads: its first page.
Result<std::vector<S3Unfinished>> parse_s3_uploads(std::string_view xml);
std::string complete_text(std::vector<std::string> const& tags);

// Where and when, for the message.
struct S3Context {
    std::string what;           // "s3://bucket/name"
    std::string region;         // that was signed for
    std::string our_date;       // x-amz-date that was signed
    std::string server_date;    // header Date of the answer
    std::string bucket_region;  // header x-amz-bucket-region
};
// Of an answer that is no success; its outcome is unknown where the server may have done it.
Error judge_s3(long status, std::string_view body, S3Context const& context);
// Whether the same request may do better later.
bool may_pass(Error const& error);

}  // namespace keel::archive
