#include "cli/token_call.h"

#include <fmt/format.h>

#include "cli/client.h"
#include "postgres/place.h"

namespace keel::cli {

Answer<std::string> call_with_token(TokenCall const& wanted, web::TokenText const& token) {
    auto const at = postgres::parse_endpoint(wanted.member, config::kApiPort);
    if (at.host.empty())
        return stop(kUsage, Code::invalid, fmt::format("\"{}\" is not HOST or HOST:PORT", wanted.member),
                    "name a member of the cluster and its API's port, as 10.0.0.1:8008");
    KEEL_TRY(auto tls, runtime::client_pinned(token.authority_fingerprint));
    runtime::HttpCall post;
    post.method = "POST";
    post.path = wanted.path;
    post.body = wanted.body;
    post.timeout = 20s;
    post.headers["Content-Type"] = "application/json";
    auto answer = call(runtime::HttpTarget::secure(at.host, at.port, std::move(tls)), std::move(post));
    if (!answer) {
        Error error = answer.error();
        if (error.code == Code::denied) {
            error.mend = fmt::format(
                "the token is of another cluster, or something else answers there: check HOST, and make a "
                "new token there with `{}`",
                wanted.how_to_token);
            return std::unexpected(Failure(kUsage, std::move(error)));
        }
        error.mend = error.outcome == Outcome::unknown ? wanted.if_unknown
                                                       : "is the node running there, and is the API's port open?";
        return std::unexpected(Failure(kUnreachable, std::move(error)));
    }
    if (answer->status == 200) return std::move(answer->body);
    auto refusal = refusal_of(answer->status, answer->body);
    if (refusal.error.code == Code::denied) refusal.exit_code = kFailed;
    return std::unexpected(std::move(refusal));
}

}  // namespace keel::cli
