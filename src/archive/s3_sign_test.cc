#include "archive/s3_sign.h"

#include <gtest/gtest.h>

#include "archive/bytes.h"

namespace keel::archive {

namespace {

// S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk",
// examples with this key, date and bucket.
S3Key example_key() { return {"AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}}; }

struct Example {
    char const* sentence;
    std::string method, path;
    std::map<std::string, std::string> query, headers;
    std::string payload;
    char const* signature;
};

TEST(S3Sign, PublishedExamplesGetThePublishedSignatures) {
    Example const examples[] = {
        {"GET of an object with a range",
         "GET",
         "/test.txt",
         {},
         {{"range", "bytes=0-9"}},
         "",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT of an object whose name is encoded",
         "PUT",
         "/test$file.text",
         {},
         {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         "Welcome to Amazon S3.",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"a query without a value",
         "GET",
         "/",
         {{"lifecycle", ""}},
         {},
         "",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list of a bucket",
         "GET",
         "/",
         {{"max-keys", "2"}, {"prefix", "J"}},
         {},
         "",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    for (auto const& one : examples) {
        S3Request request{one.method, one.path, one.query, one.headers, sha256_hex(one.payload)};
        request.headers["host"] = "examplebucket.s3.amazonaws.com";
        request.headers["x-amz-date"] = amz_date(1'369'353'600);
        request.headers["x-amz-content-sha256"] = request.payload_sha256;
        auto const value = authorization(request, example_key(), "us-east-1");
        EXPECT_TRUE(value.ends_with(std::string(",Signature=") + one.signature)) << one.sentence << ": " << value;
        EXPECT_TRUE(value.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="));
    }
}

TEST(S3Sign, HeadersAreTrimmedAndQueriesSortedByTheirEncodedNames) {
    EXPECT_EQ(query_text({{"b", "x y"}, {"a/", "+"}, {"a0", ""}}), "a%2F=%2B&a0=&b=x%20y");
    EXPECT_EQ(uri_encode("/a b/%\xC3\xA4~", true), "/a%20b/%25%C3%A4~");
    S3Request one{"GET", "/", {}, {{"host", "h"}, {"x-amz-date", "20130524T000000Z"}, {"x-amz-meta", "  a   b "}}, ""};
    auto two = one;
    two.headers["x-amz-meta"] = "a b";
    EXPECT_EQ(authorization(one, example_key(), "r"), authorization(two, example_key(), "r"));
    two.headers["x-amz-meta"] = "ab";
    EXPECT_NE(authorization(one, example_key(), "r"), authorization(two, example_key(), "r"));
}

}  // namespace

}  // namespace keel::archive
