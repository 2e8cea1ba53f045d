#include "auth/scram.h"

#include <gtest/gtest.h>

#include "auth/digest.h"
#include "auth/saslprep.h"

namespace keel::auth {

namespace {

// RFC 7677, section 3.
constexpr char const* kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr char const* kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr char const* kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr char const* kClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr char const* kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

ScramVerifier pencil(int iterations = 4096) {
    return *make_scram_verifier(Secret("pencil"), *from_base64("W22ZaJ0SNY7soEsUEjb6gQ=="), iterations);
}

ScramServer rfc_server() { return ScramServer(pencil(), kServerNonce); }

template <class T>
Code code_of(Result<T> const& result) {
    EXPECT_FALSE(result.has_value());
    return result ? Code::internal : result.error().code;
}

// One login; the code of the first failure, or "in".
std::string login(ScramClient& client, ScramServer& server) {
    auto const first = server.first(client.mechanism(), client.first());
    if (!first) return "server first: " + first.error().text;
    auto const answer = client.answer(*first);
    if (!answer) return "client: " + answer.error().text;
    auto const last = server.last(*answer);
    if (!last) return "server last: " + last.error().text;
    auto const done = client.finish(last->server_final);
    return done ? "in" : "client last: " + done.error().text;
}

}  // namespace

TEST(Scram, TheServerSpeaksTheExchangeOfRfc7677) {
    auto server = rfc_server();
    EXPECT_EQ(server.first(kScram, kClientFirst).value(), kServerFirst);
    auto const finished = server.last(kClientFinal);
    ASSERT_TRUE(finished.has_value());
    EXPECT_EQ(finished->server_final, kServerFinal);
    EXPECT_EQ(*sha256(finished->client_key.reveal()), pencil().stored_key.reveal());
}

TEST(Scram, BothSidesAgree) {
    for (auto const* password : {"pencil", "", "p\xc3\xa4ss \xe2\x85\xa8", "\xff\xfe"}) {
        auto const verifier = *make_scram_verifier(Secret(password), "0123456789abcdef", 1000);
        ScramServer server(verifier, "servernonce");
        ScramClient client(Secret(password), "clientnonce");
        EXPECT_EQ(login(client, server), "in");
        ScramServer again(verifier, "servernonce");
        ScramClient wrong(Secret("other"), "clientnonce");
        EXPECT_EQ(login(wrong, again), "server last: the password is wrong, or the user is not known");
    }
}

TEST(Scram, TheRecoveredKeyLogsInElsewhere) {
    ScramServer first(pencil(), "s1");
    ScramClient client(Secret("pencil"), "c1");
    auto const answer = client.answer(*first.first(kScram, client.first()));
    auto finished = first.last(*answer);
    ASSERT_TRUE(finished.has_value());
    ScramServer second(pencil(), "s2");
    ScramClient proxy(ScramClient::Keys{finished->client_key, pencil()}, "c2");
    EXPECT_EQ(login(proxy, second), "in");
    // The password was set again: another salt or count, so the key is of no use.
    ScramServer changed(pencil(4097), "s3");
    ScramClient stale(ScramClient::Keys{finished->client_key, pencil()}, "c3");
    auto const refused = stale.answer(*changed.first(kScram, stale.first()));
    EXPECT_EQ(code_of(refused), Code::conflict);
    // A key of the wrong length is a fault of ours.
    ScramClient broken(ScramClient::Keys{Secret("short"), pencil()}, "c4");
    (void)broken.first();
    EXPECT_EQ(code_of(broken.answer("r=c4x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")), Code::internal);
}

TEST(Scram, TheServerRefusesAFirstMessageThatIsWrong) {
    for (auto const* message :
         {"", "n", "n,", "n,,", "n,,r=abc", "n,,n=user", "n,,n=user,r=", "n,,n=user,s=x", "n,,m=x,n=user,r=abc",
          "n,a=other,n=user,r=abc", "x,,n=user,r=abc", "p=tls-unique,,n=user,r=abc",
          "p=tls-server-end-point,,n=user,r=abc", "n,,n=user,r=a b", "n,,n=user,r=\x01", "n,,n=user,r=\xc3\xa4"})
        EXPECT_EQ(code_of(rfc_server().first(kScram, message)), Code::invalid) << message;
    EXPECT_EQ(code_of(rfc_server().first("SCRAM-SHA-1", kClientFirst)), Code::invalid);
    EXPECT_EQ(code_of(rfc_server().first(kScramPlus, kClientFirst)), Code::invalid);  // it was not offered
    EXPECT_EQ(code_of(rfc_server().first(kScram, std::string(kClientFirst) + std::string(3000, 'a'))), Code::invalid);
    EXPECT_TRUE(rfc_server().first(kScram, "y,,n=,r=abc").has_value());
    EXPECT_TRUE(rfc_server().first(kScram, "n,,n=,r=abc,x=ignored").has_value());
}

TEST(Scram, TheServerRefusesALastMessageThatIsWrong) {
    std::string const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    std::string const proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    std::pair<std::string, Code> const rows[] = {
        {"", Code::invalid},
        {"c=biws,r=" + nonce, Code::invalid},
        {"c=biws,p=" + proof, Code::invalid},
        {"r=" + nonce + ",p=" + proof, Code::invalid},
        {"c=eSws,r=" + nonce + ",p=" + proof, Code::invalid},  // "y,,", but the first message said "n,,"
        {"c=biws,r=" + nonce + "x,p=" + proof, Code::invalid},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" + proof, Code::invalid},
        {"c=biws,r=" + nonce + ",p=", Code::invalid},
        {"c=biws,r=" + nonce + ",p=AAAA", Code::invalid},
        {"c=biws,r=" + nonce + ",p=" + proof.substr(1) + "!", Code::invalid},
        {"c=biws,r=" + nonce + ",p=e" + proof.substr(1), Code::denied},
        {"c=biws,r=" + nonce + ",x=changed,p=" + proof, Code::denied},  // it is in the signed text
    };
    for (auto const& [message, code] : rows) {
        auto server = rfc_server();
        ASSERT_TRUE(server.first(kScram, kClientFirst).has_value());
        EXPECT_EQ(code_of(server.last(message)), code) << message;
        EXPECT_EQ(code_of(server.last(kClientFinal)), Code::invalid) << "a second try in one exchange";
    }
    auto early = rfc_server();
    EXPECT_EQ(code_of(early.last(kClientFinal)), Code::invalid);
    auto twice = rfc_server();
    ASSERT_TRUE(twice.first(kScram, kClientFirst).has_value());
    EXPECT_EQ(code_of(twice.first(kScram, kClientFirst)), Code::invalid);
}

TEST(Scram, ChannelBindingFindsSomebodyInBetween) {
    std::string const hash(32, 'h'), other(32, 'o');
    auto const bound = [](std::string const& seen) {
        ScramClient client(Secret("pencil"), "c");
        client.bind_channel(seen);
        EXPECT_EQ(client.mechanism(), kScramPlus);
        return client;
    };
    ScramServer server(pencil(), "s", hash);
    auto client = bound(hash);
    EXPECT_EQ(login(client, server), "in");
    ScramServer second(pencil(), "s", hash);
    auto deceived = bound(other);
    EXPECT_EQ(login(deceived, second),
              "server last: the client sees another certificate than this server's: somebody is between it and here");
    // Somebody took PLUS out of the offer.
    ScramServer third(pencil(), "s", hash);
    ScramClient told(Secret("pencil"), "c");
    told.channel_not_offered();
    EXPECT_EQ(code_of(third.first(told.mechanism(), told.first())), Code::denied);
    // A client that cannot bind is welcome; one that says y to a server without TLS, too.
    ScramServer fourth(pencil(), "s", hash);
    ScramClient plain(Secret("pencil"), "c");
    EXPECT_EQ(login(plain, fourth), "in");
    ScramServer fifth(pencil(), "s");
    ScramClient able(Secret("pencil"), "c");
    able.channel_not_offered();
    EXPECT_EQ(login(able, fifth), "in");
    ScramServer sixth(pencil(), "s", hash);
    EXPECT_EQ(code_of(sixth.first(kScramPlus, "n,,n=,r=c")), Code::invalid);
}

TEST(Scram, TheClientTrustsNoServer) {
    std::string const salt = "s=W22ZaJ0SNY7soEsUEjb6gQ==";
    for (auto const& message : std::initializer_list<std::string>{
             "", "r=c," + salt + ",i=4096", "r=x," + salt + ",i=4096", "r=cs,i=4096", "r=cs," + salt, "r=cs,s=!,i=4096",
             "r=cs,s=,i=4096", "r=cs," + salt + ",i=0", "r=cs," + salt + ",i=-1", "r=cs," + salt + ",i=1x",
             "r=cs," + salt + ",i=+5", "r=cs," + salt + ",i=99999999999999", "r=cs," + salt + ",i=1000001",
             "m=x,r=cs," + salt + ",i=4096", std::string(3000, 'r')}) {
        ScramClient client(Secret("pencil"), "c");
        (void)client.first();
        EXPECT_EQ(code_of(client.answer(message)), Code::invalid) << message;
    }
    ScramClient early(Secret("pencil"), "c");
    EXPECT_EQ(code_of(early.answer("r=cs," + salt + ",i=1")), Code::invalid);
    std::pair<std::string, Code> const lasts[] = {
        {"", Code::invalid},
        {"v=", Code::invalid},
        {"v=!", Code::invalid},
        {kServerFinal, Code::denied},  // of another exchange
        {"v=AAAA", Code::denied},
        {"e=invalid-proof", Code::denied},
        {std::string(3000, 'v'), Code::invalid},
    };
    for (auto const& [message, code] : lasts) {
        ScramClient client(Secret("pencil"), "c");
        (void)client.first();
        ASSERT_TRUE(client.answer("r=cs," + salt + ",i=1").has_value());
        auto const done = client.finish(message);
        ASSERT_FALSE(done.has_value()) << message;
        EXPECT_EQ(done.error().code, code) << message;
    }
}

TEST(Scram, VerifiersAreReadAndWritten) {
    // Made by PostgreSQL's rules from RFC 7677's salt and password.
    std::string const text = to_text(pencil()).reveal();
    EXPECT_TRUE(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
    auto const parsed = parse_scram_verifier(Secret(text));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(to_text(*parsed).reveal(), text);
    EXPECT_EQ(parsed->stored_key.reveal(), pencil().stored_key.reveal());
    std::string const key = to_base64(std::string(32, 'k'));
    for (auto const& bad : {std::string(), std::string("md5abc"), "SCRAM-SHA-1$1:AAAA$" + key + ":" + key,
                            "SCRAM-SHA-256$0:AAAA$" + key + ":" + key, "SCRAM-SHA-256$1x:AAAA$" + key + ":" + key,
                            "SCRAM-SHA-256$1:AAAA:" + key + ":" + key, "SCRAM-SHA-256$1:$" + key + ":" + key,
                            "SCRAM-SHA-256$1:AAAA$" + key, "SCRAM-SHA-256$1:AAAA$AAAA:" + key,
                            "SCRAM-SHA-256$1:AAAA$" + key + ":" + key + "x"}) {
        auto const refused = parse_scram_verifier(Secret(bad));
        ASSERT_FALSE(refused.has_value()) << bad;
        EXPECT_EQ(refused.error().code, Code::corrupt);
        EXPECT_EQ(to_string(refused.error()).find(key), std::string::npos);
    }
    EXPECT_FALSE(make_scram_verifier(Secret("x"), "", 1).has_value());
    EXPECT_FALSE(make_scram_verifier(Secret("x"), "salt", 0).has_value());
}

TEST(Scram, AnUnknownUserMeetsAnExchangeLikeAnyOther) {
    Secret const secret("of the cluster");
    auto const mock = mock_scram_verifier("nobody", secret);
    EXPECT_EQ(mock.salt.size(), 16U);
    EXPECT_EQ(mock.salt, mock_scram_verifier("nobody", secret).salt);
    EXPECT_NE(mock.salt, mock_scram_verifier("somebody", secret).salt);
    EXPECT_NE(mock.salt, mock_scram_verifier("nobody", Secret("other")).salt);
    ScramServer server(mock, "s");
    ScramClient client(Secret("pencil"), "c");
    EXPECT_EQ(login(client, server), "server last: the password is wrong, or the user is not known");
}

TEST(Base64, IsStrict) {
    EXPECT_EQ(from_base64("QQ=="), "A");
    EXPECT_EQ(from_base64("QUI="), "AB");
    EXPECT_EQ(from_base64("QUJD"), "ABC");
    for (auto const* bad : {"", "QQ", "QQ=", "Q===", "====", "QQ=A", " QQ=", "QQ==\n", "Q-==", "QUJDQ"})
        EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        bytes += static_cast<char>(i);
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    }
}

// RFC 4013, section 3, and what PostgreSQL does with what the profile refuses.
TEST(Saslprep, PreparesWhatPostgresPrepares) {
    std::pair<std::string, std::string> const rows[] = {
        {"I\xc2\xadX", "IX"},              // the soft hyphen maps to nothing
        {"user", "user"},                  //
        {"USER", "USER"},                  // case stays
        {"\xc2\xaa", "a"},                 // NFKC
        {"\xe2\x85\xa8", "IX"},            // NFKC
        {"\a", "\a"},                      // ASCII stays as it is
        {"\xd8\xa7\x31", "\xd8\xa7\x31"},  // bidi: refused, so the bytes as they are
        {"a\xc2\xa0"
         "b",
         "a b"},                    // another space
        {"A\xcc\x8a", "\xc3\x85"},  // composed
        {"\xc2\x85", "\xc2\x85"},   // a control character beyond ASCII
        {"\xc2\xad", "\xc2\xad"},   // nothing would be left
        {"\xff", "\xff"},           // no UTF-8
        {std::string("\xc2\xaa\0b", 4), std::string("\xc2\xaa\0b", 4)},
        {"", ""},
    };
    for (auto const& [password, prepared] : rows) EXPECT_EQ(saslprep(Secret(password)).reveal(), prepared) << password;
}

}  // namespace keel::auth
