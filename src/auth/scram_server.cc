#include <algorithm>

#include "auth/digest.h"
#include "auth/scram.h"
#include "auth/scram_wire.h"

namespace keel::auth {

std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    std::size_t const comma = std::min(text.find(','), text.size());
    std::string_view const value = text.substr(2, comma - 2);
    if (std::ranges::any_of(value, [](char c) { return c < 0x21 || c > 0x7e; })) return std::nullopt;
    text.remove_prefix(std::min(comma + 1, text.size()));
    return value;
}

namespace {

std::unexpected<Error> malformed(std::string what) {
    return fail(Code::invalid, "malformed SCRAM message: " + std::move(what), "use a client with a current driver");
}

std::string exclusive_or(std::string_view a, std::string_view b) {
    std::string out(a);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
    return out;
}

}  // namespace

ScramServer::ScramServer(ScramVerifier verifier, std::string nonce, std::string certificate_hash)
    : verifier_(std::move(verifier)), nonce_(std::move(nonce)), certificate_hash_(std::move(certificate_hash)) {}

// RFC 5802, section 6: what the client says of channel binding must fit what was offered.
Status ScramServer::check_binding(std::string_view flag) const {
    bool const binds = flag == "p=tls-server-end-point";
    if (plus_ && !binds) return malformed("SCRAM-SHA-256-PLUS needs channel binding tls-server-end-point");
    if (plus_) return {};
    if (flag == "y" && !certificate_hash_.empty())
        return fail(Code::denied,
                    "the client believes that channel binding was not offered, but it was: somebody may "
                    "be between it and here");
    if (flag != "n" && flag != "y") return malformed("channel binding without SCRAM-SHA-256-PLUS");
    return {};
}

Result<std::string> ScramServer::first(std::string_view mechanism, std::string_view client_first) {
    if (std::exchange(state_, State::over) != State::start) return malformed("it came twice");
    if (client_first.size() > kScramMessageMax) return malformed("it is too long");
    plus_ = mechanism == kScramPlus;
    if ((!plus_ && mechanism != kScram) || (plus_ && certificate_hash_.empty()))
        return malformed("a mechanism was chosen that was not offered");
    std::size_t const flag = client_first.find(',');
    if (flag == std::string_view::npos) return malformed("no channel binding flag");
    KEEL_CHECK(check_binding(client_first.substr(0, flag)));
    std::size_t const authzid = client_first.find(',', flag + 1);
    if (authzid == std::string_view::npos) return malformed("no GS2 header");
    if (authzid != flag + 1) return malformed("an authorization identity, which PostgreSQL does not know");
    gs2_header_ = client_first.substr(0, authzid + 1);
    client_first_bare_ = client_first.substr(authzid + 1);
    std::string_view rest = client_first_bare_;
    if (rest.starts_with("m=")) return malformed("a mandatory extension, and none is known");
    // The user name may be empty (libpq sends none); the startup packet's counts.
    if (!rest.starts_with("n=")) return malformed("no user name");
    std::size_t const name = rest.find(',');
    if (name == std::string_view::npos) return malformed("no nonce");
    rest.remove_prefix(name + 1);
    auto const nonce = take_attribute(rest, 'r');
    if (!nonce || nonce->empty()) return malformed("no nonce");
    full_nonce_ = std::string(*nonce) + nonce_;
    server_first_ =
        "r=" + full_nonce_ + ",s=" + to_base64(verifier_.salt) + ",i=" + std::to_string(verifier_.iterations);
    state_ = State::challenged;
    return server_first_;
}

Result<ScramServer::Finished> ScramServer::last(std::string_view client_final) {
    if (std::exchange(state_, State::over) != State::challenged) return malformed("it came before the first");
    if (client_final.size() > kScramMessageMax) return malformed("it is too long");
    std::size_t const at = client_final.rfind(",p=");
    if (at == std::string_view::npos) return malformed("no proof");
    std::string_view const without_proof = client_final.substr(0, at);
    std::string_view rest = without_proof;
    auto const binding = take_attribute(rest, 'c');
    auto const nonce = take_attribute(rest, 'r');
    if (!binding || !nonce) return malformed("no channel binding data or no nonce");
    if (*binding != to_base64(plus_ ? gs2_header_ + certificate_hash_ : gs2_header_))
        return plus_ ? Result<Finished>(fail(Code::denied,
                                             "the client sees another certificate than this server's: "
                                             "somebody is between it and here"))
                     : Result<Finished>(malformed("the channel binding data is not what the first message said"));
    if (!same_secret(*nonce, full_nonce_)) return malformed("the nonce is not this exchange's");
    auto const proof = from_base64(client_final.substr(at + 3));
    if (!proof || proof->size() != kSha256Bytes) return malformed("the proof is no 32 bytes of base64");

    std::string const auth_message = client_first_bare_ + "," + server_first_ + "," + std::string(without_proof);
    KEEL_TRY(std::string const signature, hmac_sha256(verifier_.stored_key.reveal(), auth_message));
    Secret client_key{exclusive_or(*proof, signature)};
    KEEL_TRY(std::string const stored_key, sha256(client_key.reveal()));
    if (!same_secret(stored_key, verifier_.stored_key.reveal()))
        return fail(Code::denied, "the password is wrong, or the user is not known");
    KEEL_TRY(std::string const server_signature, hmac_sha256(verifier_.server_key.reveal(), auth_message));
    return Finished{"v=" + to_base64(server_signature), std::move(client_key)};
}

}  // namespace keel::auth
