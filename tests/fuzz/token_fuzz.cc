// Join tokens, and the body of a request to join: the only bytes that a stranger may send to a cluster.
#include "base/json.h"
#include "fuzz.h"
#include "web/join.h"
#include "web/token.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    web::JoinRequest request;
    request.node = NodeId{"2f1c6a1e-8f0e-4f58-9a54-0c3f5a6d7b10"};
    return {web::to_text({web::sha256_hex("x"), Secret(std::string(48, 'a'))}),
            web::to_access_text({web::sha256_hex("x"), Secret(std::string(64, 'a'))}), json::write(request)};
}

void eat(std::string_view bytes) {
    if (auto const token = web::parse_token(bytes)) {
        auto const again = web::parse_token(web::to_text(*token));
        must(again.has_value() && again->authority_fingerprint == token->authority_fingerprint);
        must(again->secret.reveal() == token->secret.reveal());
    }
    if (auto const token = web::parse_access_token(bytes))
        must(web::parse_access_token(web::to_access_text(*token)).has_value());
    (void)json::read<web::JoinRequest>(bytes);
}

}  // namespace keel::fuzz
