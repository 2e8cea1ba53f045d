#include <charconv>

#include "auth/digest.h"
#include "auth/saslprep.h"
#include "auth/scram.h"
#include "auth/scram_wire.h"

namespace keel::auth {

namespace {

// More would let a server keep this side busy for seconds; PostgreSQL's default is 4096.
constexpr int kIterationsMax = 1'000'000;

std::unexpected<Error> malformed(std::string what) {
    return fail(Code::invalid, "malformed SCRAM message from the server: " + std::move(what),
                "check that the address is a PostgreSQL server's");
}

}  // namespace

ScramClient::ScramClient(Keys keys, std::string nonce) : keys_(std::move(keys)), nonce_(std::move(nonce)) {}
ScramClient::ScramClient(Secret password, std::string nonce)
    : password_(std::move(password)), nonce_(std::move(nonce)) {}

void ScramClient::bind_channel(std::string certificate_hash) {
    certificate_hash_ = std::move(certificate_hash);
    gs2_header_ = "p=tls-server-end-point,,";
}

void ScramClient::channel_not_offered() { gs2_header_ = "y,,"; }

std::string_view ScramClient::mechanism() const { return certificate_hash_.empty() ? kScram : kScramPlus; }

std::string ScramClient::first() {
    state_ = State::begun;
    return gs2_header_ + "n=,r=" + nonce_;
}

// ClientKey; keeps ServerKey for finish().
Result<Secret> ScramClient::derive(std::string_view salt, int iterations) {
    if (keys_) {
        if (keys_->client_key.reveal().size() != kSha256Bytes)
            return fail(Code::internal, "the client key of a role has not 32 bytes");
        if (salt != keys_->verifier.salt || iterations != keys_->verifier.iterations)
            return fail(Code::conflict, "the server has another password for this role than the one that was checked",
                        "log in again");
        server_key_ = keys_->verifier.server_key;
        return keys_->client_key;
    }
    Secret const prepared = saslprep(password_);
    KEEL_TRY(Secret const salted, pbkdf2_sha256(prepared.reveal(), salt, iterations));
    KEEL_TRY(std::string server_key, hmac_sha256(salted.reveal(), "Server Key"));
    server_key_ = Secret(std::move(server_key));
    KEEL_TRY(std::string client_key, hmac_sha256(salted.reveal(), "Client Key"));
    return Secret(std::move(client_key));
}

Result<std::string> ScramClient::answer(std::string_view server_first) {
    if (std::exchange(state_, State::over) != State::begun) return malformed("it came out of turn");
    if (server_first.size() > kScramMessageMax) return malformed("it is too long");
    std::string_view rest = server_first;
    if (rest.starts_with("m=")) return malformed("a mandatory extension, and none is known");
    auto const nonce = take_attribute(rest, 'r');
    auto const salt_text = take_attribute(rest, 's');
    auto const count = take_attribute(rest, 'i');
    if (!nonce || !salt_text || !count) return malformed("no nonce, salt or iterations");
    if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size())
        return malformed("its nonce does not go on from ours");
    auto const salt = from_base64(*salt_text);
    int iterations = 0;
    auto const [end, error] = std::from_chars(count->data(), count->data() + count->size(), iterations);
    if (!salt || error != std::errc{} || end != count->data() + count->size() || iterations < 1)
        return malformed("salt or iterations cannot be read");
    if (iterations > kIterationsMax) return malformed("it asks for " + std::to_string(iterations) + " iterations");
    KEEL_TRY(Secret const client_key, derive(*salt, iterations));

    std::string const without_proof = "c=" + to_base64(gs2_header_ + certificate_hash_) + ",r=" + std::string(*nonce);
    auth_message_ = "n=,r=" + nonce_ + "," + std::string(server_first) + "," + without_proof;
    KEEL_TRY(std::string const stored_key, sha256(client_key.reveal()));
    KEEL_TRY(std::string proof, hmac_sha256(stored_key, auth_message_));
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ client_key.reveal()[i]);
    state_ = State::answered;
    return without_proof + ",p=" + to_base64(proof);
}

Status ScramClient::finish(std::string_view server_final) {
    if (std::exchange(state_, State::over) != State::answered) return malformed("it came out of turn");
    if (server_final.size() > kScramMessageMax) return malformed("it is too long");
    std::string_view rest = server_final;
    if (auto const why = take_attribute(rest, 'e'))
        return fail(Code::denied, "the server refused: " + std::string(*why));
    auto const said = take_attribute(rest, 'v');
    auto const signature = said ? from_base64(*said) : std::nullopt;
    if (!signature) return malformed("no signature");
    KEEL_TRY(std::string const expected, hmac_sha256(server_key_.reveal(), auth_message_));
    if (!same_secret(*signature, expected))
        return fail(Code::denied, "the server does not know the role's password: it is not the server that was meant");
    return {};
}

}  // namespace keel::auth
