// Logins by rules: who is asked for what, and what is said to whom none of them lets in.
#include <gtest/gtest.h>

#include "proxy/testing.h"

namespace keel::proxy {
namespace {

struct ByRules : ::testing::Test, testing::Parts {
    auth::Rules rules;

    ByRules() {
        rules = auth::parse_rules(
            "hostssl all all 10.9.0.0/16 cert\n"
            "hostssl all all 10.8.0.0/16 md5 clientcert=verify-ca\n"
            "hostssl all all 10.7.0.0/16 md5 clientcert=verify-full\n"
            "host all evil all reject\n"
            "local all u trust\n"
            "host all all 10.1.0.0/16 scram-sha-256\n"
            "hostnossl sameuser all 10.2.0.0/16 md5\n",
            "hba");
        EXPECT_TRUE(rules.problems.empty());
        shared.rules = &rules.rules;
    }

    struct Visit {
        std::string from = {};
        bool tls = false;
        ClientCertificate certificate = {};
        std::string user = "u";
        std::string database = "d";
    };
    // What comes of it: the text of a refusal with its code, what is asked for, or the kind of its login.
    std::string visit(Visit const& visit) {
        Session::Seed seed;
        seed.id = 7;
        seed.from = visit.from;
        seed.tls_offered = true;
        Session session(shared, std::move(seed));
        if (visit.tls) {
            std::string request;
            protocol::write_ssl_request(request);
            session.from_client(request);
            EXPECT_EQ(session.need(), Session::Need::tls);
            session.out.clear();
            session.tls_done({}, visit.certificate);
        }
        std::string first;
        protocol::write_startup(first, {{"user", visit.user}, {"database", visit.database}});
        session.from_client(first);
        if (session.need() == Session::Need::users) session.users_known();
        if (session.need() == Session::Need::close) {
            auto const report = protocol::parse_report(std::string_view(session.out).substr(protocol::kHead));
            return std::string(report.code) + ": " + std::string(report.message);
        }
        if (session.need() == Session::Need::login) {
            EXPECT_TRUE(session.out.empty()) << "nothing is asked for";
            EXPECT_TRUE(session.credentials().by_node);
            return session.by_password() ? "by password" : "without password";
        }
        EXPECT_EQ(session.out.at(0), 'R');
        return session.out.at(8) == 5 ? "md5" : session.out.at(8) == 10 ? "scram" : "?";
    }
};

TEST_F(ByRules, TheFirstThatFitsSaysHow) {
    ClientCertificate const own{true, "u"}, others{true, "v"};
    std::string const no_entry = "28000: no pg_hba.conf entry for host ";
    std::string const no_certificate = "28000: connection requires a valid client certificate";
    std::string const not_his = "28000: certificate authentication failed for user \"u\"";
    std::pair<Visit, std::string> const rows[] = {
        {{"10.9.0.1", true, own}, "without password"},
        {{"10.9.0.1", true, others}, not_his},
        {{"10.9.0.1", true, {}}, no_certificate},
        // A name without an authority that vouches for it is nobody's.
        {{"10.9.0.1", true, {false, "u"}}, no_certificate},
        {{"10.9.0.1", false}, no_entry + "\"10.9.0.1\", user \"u\", database \"d\", no encryption"},
        {{"10.8.0.1", true, others}, "md5"},
        {{"10.8.0.1", true, {}}, no_certificate},
        {{"10.7.0.1", true, own}, "md5"},
        {{"10.7.0.1", true, others}, not_his},
        {{"10.1.0.1", true, {}, "evil"},
         "28000: pg_hba.conf rejects connection for host \"10.1.0.1\", user \"evil\", database \"d\", SSL encryption"},
        {{""}, "without password"},
        {{"", false, {}, "w"}, no_entry + "\"[local]\", user \"w\", database \"d\", no encryption"},
        // u has an md5 verifier: a rule for SCRAM asks for nothing weaker.
        {{"10.1.0.1"}, "scram"},
        {{"10.2.0.1", false, {}, "u", "u"}, "md5"},
        {{"10.2.0.1"}, no_entry + "\"10.2.0.1\", user \"u\", database \"d\", no encryption"},
        {{"10.2.0.1", true, {}, "u", "u"}, no_entry + "\"10.2.0.1\", user \"u\", database \"u\", SSL encryption"},
        {{"a closed connection"}, "28000: the client's address is not known"},
    };
    for (auto const& [one, said] : rows) EXPECT_EQ(visit(one), said) << one.from << " " << one.certificate.name;
}

TEST_F(ByRules, WithoutRulesNothingIsAskedOfTheAddress) {
    shared.rules = nullptr;
    EXPECT_EQ(visit({"a closed connection"}), "md5");
    EXPECT_EQ(visit({"10.9.0.1", true}), "md5");
    rules.rules.clear();
    shared.rules = &rules.rules;
    EXPECT_EQ(visit({"10.9.0.1"}),
              "28000: no pg_hba.conf entry for host \"10.9.0.1\", user \"u\", database \"d\", no "
              "encryption")
        << "an empty file lets nobody in";
}

TEST_F(ByRules, AServerThatWantsAPasswordOfWhoShowedNone) {
    Server::Seed seed;
    seed.key = {"d", "u", {}};
    seed.credentials.by_node = true;
    Server server(std::move(seed), settings);
    server.begin();
    std::string in;
    protocol::Message(in, 'R').u32(10).text(auth::kScram).u8(0);
    server.login(in);
    ASSERT_EQ(server.phase(), Server::Phase::broken);
    auto const report = protocol::parse_report(server.refusal());
    EXPECT_EQ(report.code, "28000");
    EXPECT_NE(report.message.find("GRANT pgkeel_proxied"), std::string::npos);
}

}  // namespace
}  // namespace keel::proxy
