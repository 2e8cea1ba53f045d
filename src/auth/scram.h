// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks them: both sides as machines that are
// handed messages and nonces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace keel::auth {

inline constexpr std::string_view kScram = "SCRAM-SHA-256";
inline constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";
// Random bytes that a nonce is made of, before base64 (as PostgreSQL's).
inline constexpr std::size_t kNonceBytes = 18;
// The longest SASL message that is looked at.
inline constexpr std::size_t kScramMessageMax = 2048;

// What pg_authid.rolpassword holds: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. The keys are 32 bytes.
struct ScramVerifier {
    int iterations = 0;
    std::string salt = {};  // as bytes, not base64
    Secret stored_key = {};
    Secret server_key = {};
};
Result<ScramVerifier> parse_scram_verifier(Secret const& text);
Secret to_text(ScramVerifier const& verifier);
// Makes one, as CREATE ROLE does. `salt` is random (16 bytes in PostgreSQL).
Result<ScramVerifier> make_scram_verifier(Secret const& password, std::string_view salt, int iterations);
// For a user that does not exist, or has no verifier: the same salt each time for the same name, so that the answer
// tells nothing. No proof fits it. `secret` is random and kept for the life of the cluster (of the process at least).
ScramVerifier mock_scram_verifier(std::string_view user, Secret const& secret, int iterations = 4096);

// Base64 of kNonceBytes random bytes: what the machines take as `nonce`.
std::string scram_nonce(std::string_view random_bytes);

// The server's side of one login. Steps in order: first(), last(). Any failure ends the exchange; the caller answers
// 28P01 for `denied` and 08P01 for `invalid`, always with the same words towards the client.
class ScramServer {
  public:
    // `certificate_hash`: the server certificate's for tls-server-end-point (RFC 5929); empty without TLS, which also
    // means that kScramPlus was not offered.
    ScramServer(ScramVerifier verifier, std::string nonce, std::string certificate_hash = {});

    // SASLInitialResponse to the body of AuthenticationSASLContinue.
    Result<std::string> first(std::string_view mechanism, std::string_view client_first);

    struct Finished {
        std::string server_final;  // body of AuthenticationSASLFinal
        Secret client_key;         // recovered from the proof: logs in at any server that has the same verifier
    };
    // SASLResponse. `denied`: the proof is wrong.
    Result<Finished> last(std::string_view client_final);

  private:
    enum class State { start, challenged, over };
    Status check_binding(std::string_view flag) const;

    ScramVerifier verifier_;
    std::string nonce_;
    std::string certificate_hash_;
    State state_ = State::start;
    bool plus_ = false;
    std::string gs2_header_;
    std::string client_first_bare_;
    std::string server_first_;
    std::string full_nonce_;
};

// The client's side: first(), answer(), finish(). The user name in the message is empty: PostgreSQL takes that of the
// startup packet.
class ScramClient {
  public:
    // With what was recovered from a client's login: no password, no PBKDF2. Works only while the server has the very
    // same verifier (salt and iterations are compared, and the server must prove ServerKey).
    struct Keys {
        Secret client_key;
        ScramVerifier verifier;
    };
    // `certificate_hash` of the server's certificate, when `plus` is used.
    ScramClient(Keys keys, std::string nonce);
    ScramClient(Secret password, std::string nonce);
    // Before first(): use kScramPlus, or say that this side could have ("y,,") although the server did not offer it.
    void bind_channel(std::string certificate_hash);
    void channel_not_offered();

    std::string_view mechanism() const;
    std::string first();
    // Server-first to client-final. `conflict`: salt or iterations are not those of the keys: the password was changed.
    Result<std::string> answer(std::string_view server_first);
    // `denied`: the server does not know the verifier, so it is not the server that was meant.
    Status finish(std::string_view server_final);

  private:
    enum class State { start, begun, answered, over };
    Result<Secret> derive(std::string_view salt, int iterations);

    Secret password_;
    std::optional<Keys> keys_;
    std::string nonce_;
    std::string certificate_hash_;
    std::string gs2_header_ = "n,,";
    State state_ = State::start;
    Secret server_key_;
    std::string auth_message_;
};

}  // namespace keel::auth
