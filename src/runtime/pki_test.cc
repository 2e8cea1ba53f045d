#include "runtime/pki.h"

#include "runtime/files.h"
#include "runtime/testing.h"

namespace keel::runtime {
namespace {

using testing::Directory;
using testing::must;

TEST(Pki, ANodesCertificateIsOfItsAuthorityAndNamesTheNode) {
    auto const authority = must(make_authority("c1"));
    auto const node = must(issue_node(authority, {NodeId{"node-1"}, {"10.0.0.1", "db1.example", "::1"}}, 10));
    EXPECT_EQ(must(common_name(node.certificate)), "node-1");
    EXPECT_EQ(must(common_name(authority.certificate)), "pgkeel c1");
    EXPECT_TRUE(check_pair(authority.certificate, node));
    EXPECT_EQ(must(fingerprint(authority.certificate)).size(), 64u);
    auto const left = must(expires_unix_ms(node.certificate)) - unix_ms_now();
    EXPECT_NEAR(static_cast<double>(left), 10.0 * 86400e3, 60e3);
}

TEST(Pki, ACertificateOfAnotherAuthorityOrAnotherKeyIsRefused) {
    auto const authority = must(make_authority("c1"));
    auto const foreign = must(make_authority("c1"));
    auto const node = must(issue_node(authority, {NodeId{"node-1"}, {}}));
    auto const other = must(issue_node(authority, {NodeId{"node-1"}, {}}));
    EXPECT_EQ(check_pair(foreign.certificate, node).error().code, Code::invalid);
    EXPECT_EQ(check_pair(authority.certificate, {node.certificate, other.key}).error().code, Code::invalid);
    EXPECT_EQ(check_pair("nonsense", node).error().code, Code::corrupt);
}

TEST(Pki, AnExpiredCertificateIsRefused) {
    auto const authority = must(make_authority("c1"));
    auto const node = must(issue_node(authority, {NodeId{"node-1"}, {}}, -1));
    auto const status = check_pair(authority.certificate, node);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().text.find("expired"), std::string::npos) << status.error().text;
}

TEST(Pki, AJoiningNodeGetsACertificateForItsOwnKey) {
    auto const authority = must(make_authority("c1"));
    Subject const subject{NodeId{"node-2"}, {"10.0.0.2"}};
    auto const request = must(make_request(subject));
    auto const certificate = must(sign_request(authority, request.pem, subject));
    EXPECT_TRUE(check_pair(authority.certificate, {certificate, request.key}));
    EXPECT_EQ(sign_request(authority, request.pem, {NodeId{"node-3"}, {}}).error().code, Code::invalid);
    EXPECT_EQ(sign_request(authority, "nonsense", subject).error().code, Code::invalid);
    auto forged = request.pem;
    auto const middle = forged.find('\n', 120) + 5;
    forged[middle] = forged[middle] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(sign_request(authority, forged, subject));
}

TEST(Pki, ARenewalKeepsTheKey) {
    auto const authority = must(make_authority("c1"));
    Subject const subject{NodeId{"node-2"}, {"10.0.0.2"}};
    auto const node = must(issue_node(authority, subject, 1));
    auto const request = must(make_request(subject, node.key));
    auto const renewed = must(sign_request(authority, request, subject));
    EXPECT_TRUE(check_pair(authority.certificate, {renewed, node.key}));
    EXPECT_GT(must(expires_unix_ms(renewed)), must(expires_unix_ms(node.certificate)));
    EXPECT_FALSE(make_request(subject, Secret("nonsense")));
}

TEST(Pki, TwoThirdsOfALifeAreEnough) {
    Validity const year{0, 365'000};
    EXPECT_FALSE(is_renewal_due(year, 1));
    EXPECT_FALSE(is_renewal_due(year, 243'000));
    EXPECT_TRUE(is_renewal_due(year, 243'400));
    EXPECT_TRUE(is_renewal_due(year, 400'000));
    auto const authority = must(make_authority("c1"));
    auto const now = unix_ms_now();
    EXPECT_FALSE(is_renewal_due(must(validity(must(issue_node(authority, {NodeId{"n"}, {}})).certificate)), now));
    auto const read = must(validity(must(issue_node(authority, {NodeId{"n"}, {}}, 2)).certificate));
    EXPECT_NEAR(static_cast<double>(read.until_unix_ms - read.from_unix_ms), 2 * 86400e3 + 3600e3, 2e3);
}

TEST(Pki, ANameThatWouldAddAnotherEntryIsRefused) {
    auto const authority = must(make_authority("c1"));
    for (auto const* name : {"a,DNS:b", "", "a b", "a\nb", "email:x"}) {
        EXPECT_EQ(issue_node(authority, {NodeId{"node-1"}, {name}}).error().code, Code::invalid) << name;
    }
}

TEST(Tls, AnIdentityIsLoadedOnlyWithASecretKey) {
    Directory const directory;
    auto const authority = must(make_authority("c1"));
    auto const node = must(issue_node(authority, {NodeId{"node-1"}, {}}));
    ASSERT_TRUE(write_atomically(directory / "ca.crt", authority.certificate, 0644));
    ASSERT_TRUE(write_atomically(directory / "node.crt", node.certificate, 0644));
    ASSERT_TRUE(write_atomically(directory / "node.key", node.key.reveal(), 0644));
    EXPECT_EQ(load_identity(directory.path()).error().code, Code::denied);
    ASSERT_TRUE(write_atomically(directory / "node.key", node.key.reveal(), 0600));
    EXPECT_TRUE(load_identity(directory.path()));
    EXPECT_EQ(load_identity(directory / "none").error().code, Code::not_found);
    EXPECT_EQ(client_pinned("abc").error().code, Code::invalid);
}

}  // namespace
}  // namespace keel::runtime
