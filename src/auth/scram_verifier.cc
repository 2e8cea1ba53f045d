#include <array>
#include <charconv>

#include "auth/digest.h"
#include "auth/saslprep.h"
#include "auth/scram.h"

namespace keel::auth {

namespace {
constexpr std::size_t kMockSaltBytes = 16;
}

Result<ScramVerifier> parse_scram_verifier(Secret const& text) {
    // Never quote it: it is as good as a password hash.
    auto const refuse = [] {
        return fail(Code::corrupt, "a stored password is no SCRAM-SHA-256 verifier", "set the role's password again");
    };
    std::string_view rest = text.reveal();
    auto const take = [&rest](char until) -> std::optional<std::string_view> {
        std::size_t const at = rest.find(until);
        if (at == std::string_view::npos) return std::nullopt;
        auto const part = rest.substr(0, at);
        rest.remove_prefix(at + 1);
        return part;
    };
    auto const scheme = take('$'), iterations = take(':'), salt = take('$'), stored = take(':');
    if (!iterations || !salt || !stored || scheme != kScram) return refuse();
    ScramVerifier out;
    auto const [end, error] =
        std::from_chars(iterations->data(), iterations->data() + iterations->size(), out.iterations);
    auto const raw_salt = from_base64(*salt), raw_stored = from_base64(*stored), raw_server = from_base64(rest);
    if (error != std::errc{} || end != iterations->data() + iterations->size() || out.iterations < 1) return refuse();
    if (!raw_salt || !raw_stored || !raw_server) return refuse();
    if (raw_stored->size() != kSha256Bytes || raw_server->size() != kSha256Bytes) return refuse();
    out.salt = *raw_salt;
    out.stored_key = Secret(*raw_stored);
    out.server_key = Secret(*raw_server);
    return out;
}

Secret to_text(ScramVerifier const& verifier) {
    return Secret(std::string(kScram) + "$" + std::to_string(verifier.iterations) + ":" + to_base64(verifier.salt) +
                  "$" + to_base64(verifier.stored_key.reveal()) + ":" + to_base64(verifier.server_key.reveal()));
}

Result<ScramVerifier> make_scram_verifier(Secret const& password, std::string_view salt, int iterations) {
    if (salt.empty() || iterations < 1) return fail(Code::invalid, "a SCRAM verifier needs a salt and an iteration");
    Secret const prepared = saslprep(password);
    KEEL_TRY(Secret const salted, pbkdf2_sha256(prepared.reveal(), salt, iterations));
    KEEL_TRY(std::string client_key, hmac_sha256(salted.reveal(), "Client Key"));
    Secret const kept{std::move(client_key)};
    KEEL_TRY(std::string stored_key, sha256(kept.reveal()));
    KEEL_TRY(std::string server_key, hmac_sha256(salted.reveal(), "Server Key"));
    return ScramVerifier{iterations, std::string(salt), Secret(std::move(stored_key)), Secret(std::move(server_key))};
}

ScramVerifier mock_scram_verifier(std::string_view user, Secret const& secret, int iterations) {
    auto const part = [&](char const* label) {
        auto made = hmac_sha256(secret.reveal(), std::string(label) + std::string(user));
        return made ? *std::move(made) : std::string(kSha256Bytes, '\0');
    };
    // A proof fits only who can invert SHA-256: nobody knows a ClientKey whose hash is this.
    return {iterations, part("salt ").substr(0, kMockSaltBytes), Secret(part("stored ")), Secret(part("server "))};
}

std::string scram_nonce(std::string_view random_bytes) { return to_base64(random_bytes); }

}  // namespace keel::auth
