#include "cli/client.h"

#include <errno.h>
#include <fmt/format.h>
#include <unistd.h>

#include "agent/local_state.h"
#include "cli/token_text.h"
#include "postgres/place.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

std::string mend_for_socket(std::string const& directory, std::string const& socket) {
    bool const open = ::access(directory.c_str(), X_OK) == 0 || errno == ENOENT;
    if (open && !runtime::exists(directory + "/identity.json"))
        return fmt::format("there is no node in {}: name its directory with --dir, or another node with --host",
                           directory);
    if (::geteuid() != 0 && ::access(directory.c_str(), X_OK) != 0)
        return fmt::format("run this as root or as the node's user: {} is not open to you", directory);
    if (runtime::exists(socket) && ::access(socket.c_str(), W_OK) != 0) return "run this as root or as the node's user";
    return fmt::format("start the node with `pgkeel node --dir {}`, or ask another one with --host", directory);
}

Code code_of(std::string const& name) {
    for (auto const code : {Code::invalid, Code::not_found, Code::conflict, Code::unavailable, Code::timeout,
                            Code::denied, Code::exhausted, Code::corrupt}) {
        if (name == to_string(code)) return code;
    }
    return Code::internal;
}

}  // namespace

Result<runtime::HttpResponse> call(runtime::HttpTarget const& target, runtime::HttpCall request) {
    runtime::Io io;
    Result<runtime::HttpResponse> result = fail(Code::internal, "no answer");
    std::exception_ptr thrown;
    runtime::asio::co_spawn(io, runtime::http_call(target, std::move(request)),
                            [&](std::exception_ptr error, Result<runtime::HttpResponse> answer) {
                                thrown = error;
                                if (!error) result = std::move(answer);
                            });
    io.run();
    if (thrown) return fail(Code::internal, "the call of " + target.host + target.unix_path + " was broken off");
    return result;
}

Failure refusal_of(int status, std::string const& body) {
    auto const refusal = json::read<web::Refusal>(body);
    if (!refusal || refusal->error.empty())
        return {kFailed, Error{Code::internal, fmt::format("refused with status {}: {}", status, body.substr(0, 400)),
                               "use the same version of pgkeel on every node"}};
    Error error{code_of(refusal->code), refusal->error, refusal->mend,
                refusal->outcome == "unknown" ? Outcome::unknown : Outcome::not_done};
    int exit_code = kFailed;
    if (error.code == Code::invalid || error.code == Code::not_found) exit_code = kUsage;
    if (error.code == Code::conflict || error.code == Code::unavailable) exit_code = kNotSafe;
    return {exit_code, std::move(error)};
}

Answer<Agent> Agent::find(Reach const& reach) {
    if (reach.host.empty()) {
        if (!reach.token_file.empty())
            return stop(kUsage, Code::invalid, "--token-file is for --host: the local agent needs no token",
                        "name the node with --host, or leave --token-file out");
        auto const socket = reach.directory + "/run/agent.sock";
        return Agent(runtime::HttpTarget::local(socket), "the agent on " + socket,
                     mend_for_socket(reach.directory, socket));
    }
    auto const at = postgres::parse_endpoint(reach.host, config::kApiPort);
    if (at.host.empty())
        return stop(kUsage, Code::invalid, fmt::format("--host {}: not HOST or HOST:PORT", reach.host),
                    "as in --host 10.0.0.1 or --host [fd00::1]:8008");
    auto const agent_at = [&](runtime::TlsContext tls) {
        return Agent(runtime::HttpTarget::secure(at.host, at.port, std::move(tls)),
                     "the agent at " + config::host_port(at.host, at.port),
                     "is the node running there, and is the API's port open?");
    };
    KEEL_TRY(auto token, read_access_token(reach.token_file));
    if (!token.text.empty()) {
        KEEL_TRY(auto pinned, runtime::client_pinned(token.authority_fingerprint));
        auto agent = agent_at(std::move(pinned));
        agent.token_ = std::move(token.text);
        return agent;
    }
    auto identity = runtime::load_identity(reach.directory + "/pki");
    if (!identity)
        return stop(kUsage, identity.error().code,
                    "--host needs this cluster's certificate or an access token: " + identity.error().text,
                    "run it on a node of the cluster, as root or the node's user, with --dir for its directory; "
                    "elsewhere with --token-file and what `pgkeel access add` printed");
    KEEL_TRY(auto tls, runtime::client_mutual(*identity));
    return agent_at(std::move(tls));
}

Answer<bool> Agent::counts_member(std::string const& directory, std::string const& api, std::string const& name) {
    KEEL_TRY(auto const agent, find({directory, api}));
    KEEL_TRY(auto const body, agent.get("/cluster", 2s));
    KEEL_TRY(auto const tree, json::parse(body));
    auto const* members = tree.is_object() ? tree.as_object().if_contains("members") : nullptr;
    if (members == nullptr || !members->is_array())
        return stop(kFailed, Code::corrupt, agent.where() + " answered /cluster with something else");
    for (auto const& member : members->as_array()) {
        auto const* found = member.is_object() ? member.as_object().if_contains("name") : nullptr;
        if (found != nullptr && found->is_string() && std::string_view(found->as_string()) == name) return true;
    }
    return false;
}

Answer<cluster::ClusterStatus> Agent::status() const { return read<cluster::ClusterStatus>("/status"); }

Answer<std::string> Agent::get(std::string const& path, Duration limit) const { return send("GET", path, {}, limit); }

Answer<std::string> Agent::send(std::string const& method, std::string const& path, std::string body,
                                Duration limit) const {
    runtime::HttpCall request;
    request.method = method;
    request.path = path;
    request.body = std::move(body);
    request.timeout = limit;
    if (!token_.empty()) request.headers["Authorization"] = "Bearer " + token_.reveal();
    if (!request.body.empty()) request.headers["Content-Type"] = "application/json";
    auto answer = call(target_, std::move(request));
    if (!answer) {
        Error error = std::move(answer.error());
        // The reason without the place, which `where_` names already.
        auto const place = target_.unix_path + ": ";
        if (!target_.unix_path.empty() && error.text.starts_with(place)) error.text.erase(0, place.size());
        error.text = fmt::format("{} does not answer: {}", where_, error.text);
        error.mend = error.outcome == Outcome::unknown && method != "GET"
                         ? "it may have happened: look at `pgkeel status` before you try again"
                         : mend_;
        return std::unexpected(Failure(kUnreachable, std::move(error)));
    }
    if (answer->status >= 400) return std::unexpected(refusal_of(answer->status, answer->body));
    return std::move(answer->body);
}

}  // namespace keel::cli
