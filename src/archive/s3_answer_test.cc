#include "archive/s3_answer.h"

#include <gtest/gtest.h>

namespace keel::archive {

namespace {

TEST(S3Answer, AddressesOfBuckets) {
    auto const good = parse_s3_address("s3://bucket/some/prefix/");
    ASSERT_TRUE(good);
    EXPECT_EQ(good->bucket, "bucket");
    EXPECT_EQ(good->prefix, "some/prefix/");
    EXPECT_EQ(parse_s3_address("s3://bucket")->prefix, "");
    for (auto const* bad : {"/mnt/backup", "s3://", "s3:///x", "s3://a?b/x", "s3://bucket//x", "s3://bucket/a b"})
        EXPECT_FALSE(parse_s3_address(bad)) << bad;
}

TEST(S3Answer, EndpointsKeepPortsThatMeanSomething) {
    EXPECT_EQ(parse_s3_endpoint("https://store:9000/")->host, "store:9000");
    EXPECT_EQ(parse_s3_endpoint("https://store:443")->host, "store");
    EXPECT_EQ(parse_s3_endpoint("http://[::1]:80")->host, "[::1]");
    for (auto const* bad : {"store:9000", "ftp://store", "https://", "https://store/path", "https://user@store"})
        EXPECT_FALSE(parse_s3_endpoint(bad)) << bad;
}

TEST(S3Answer, TheKeyIsReadAsTheOtherToolsReadIt) {
    auto const key = parse_s3_key(
        "# mine\n[other]\naws_access_key_id = WRONG\n[default]\r\naws_access_key_id=AKIA\r\n"
        "aws_secret_access_key = a/b+c=\naws_session_token=t\nregion = x\n");
    ASSERT_TRUE(key);
    EXPECT_EQ(key->id, "AKIA");
    EXPECT_EQ(key->secret.reveal(), "a/b+c=");
    EXPECT_EQ(key->session_token, "t");
    for (auto const* bad : {"", "aws_access_key_id = A\n", "[p]\naws_access_key_id=A\naws_secret_access_key=b\n"}) {
        auto const none = parse_s3_key(bad);
        ASSERT_FALSE(none) << bad;
        EXPECT_TRUE(none.error().mend.contains("aws_secret_access_key"));
    }
}

TEST(S3Answer, ListsAreReadWithTheirNextPage) {
    auto const list = parse_s3_list(
        "<?xml version='1.0'?><ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>"
        "<NextContinuationToken>a&amp;b</NextContinuationToken><Contents><Key>1/wal/x&#x2D;y</Key><Size>3</Size>"
        "</Contents><Contents><Key>1/wal/z&lt;</Key></Contents><CommonPrefixes><Prefix>1/tail/</Prefix>"
        "</CommonPrefixes></ListBucketResult>");
    ASSERT_TRUE(list);
    EXPECT_EQ(list->names, (std::vector<std::string>{"1/wal/x-y", "1/wal/z<"}));
    EXPECT_EQ(list->folders, std::vector<std::string>{"1/tail/"});
    EXPECT_EQ(list->next, "a&b");
}

TEST(S3Answer, AListThatMayBeCutOffIsNone) {
    for (auto const* bad :
         {"", "<html>hello</html>", "<ListBucketResult></ListBucketResult>",
          "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
          "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key></Key></Contents></ListBucketResult>",
          "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>"})
        EXPECT_FALSE(parse_s3_list(bad)) << bad;
}

struct Judged {
    char const* sentence;
    long status;
    char const* body;
    Code code;
    char const* says;
    bool passes;
};

TEST(S3Answer, EveryRefusalSaysWhatToDo) {
    Judged const all[] = {
        {"unknown access key", 403, "<Error><Code>InvalidAccessKeyId</Code></Error>", Code::denied, "aws_access_key_id",
         false},
        {"wrong secret", 403, "<Error><Code>SignatureDoesNotMatch</Code><Message>m</Message></Error>", Code::denied,
         "aws_secret_access_key", false},
        {"no permission", 403, "<Error><Code>AccessDenied</Code></Error>", Code::denied, "allow it", false},
        {"skew", 403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", Code::denied,
         "ours said 2013, the server's Fri", false},
        {"wrong region, named in the body", 400,
         "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>", Code::invalid,
         "backup.s3_region = \"eu-west-3\"", false},
        {"wrong region, named in a header", 301, "<Error><Code>PermanentRedirect</Code></Error>", Code::invalid,
         "backup.s3_region = \"eu-north-1\"", false},
        {"no bucket", 404, "<Error><Code>NoSuchBucket</Code></Error>", Code::invalid, "create it", false},
        {"absent", 404, "<Error><Code>NoSuchKey</Code></Error>", Code::not_found, "no such object", false},
        {"an absence that nothing says is no absence", 404, "<html>nginx</html>", Code::invalid, "s3_endpoint", false},
        {"full", 507, "", Code::exhausted, "full", false},
        {"quota", 403, "<Error><Code>QuotaExceeded</Code></Error>", Code::exhausted, "quota", false},
        {"there already", 412, "", Code::conflict, "already", false},
        {"slow down", 503, "<Error><Code>SlowDown</Code></Error>", Code::unavailable, "fewer", true},
        {"a fault of the server", 500, "<Error><Code>InternalError</Code></Error>", Code::unavailable, "500", true},
        {"a proxy in between", 502, "<html>", Code::unavailable, "502", true},
        {"unknown refusals are not tried again", 418, "", Code::invalid, "418", false},
    };
    S3Context const context{"s3://bucket/x", "us-east-1", "2013", "Fri", "eu-north-1"};
    for (auto const& one : all) {
        auto const error = judge_s3(one.status, one.body, context);
        EXPECT_EQ(error.code, one.code) << one.sentence;
        EXPECT_TRUE(to_string(error).contains(one.says)) << one.sentence << ": " << to_string(error);
        EXPECT_TRUE(error.text.starts_with("s3://bucket/x: ")) << error.text;
        EXPECT_EQ(may_pass(error), one.passes) << one.sentence;
    }
}

}  // namespace

}  // namespace keel::archive
