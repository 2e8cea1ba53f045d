// How commands reach an agent: its Unix socket, or HTTPS with this node's certificate or an access
// token.
#pragma once

#include <string>

#include "base/json.h"
#include "cli/commands.h"
#include "cluster/status.h"
#include "runtime/http.h"
#include "web/actions.h"

namespace keel::cli {

// One call, waiting for its end.
Result<runtime::HttpResponse> call(runtime::HttpTarget const& target, runtime::HttpCall request);

class Agent {
  public:
    // Checks what can be checked without the agent; kUnreachable when there is no node in the directory.
    static Answer<Agent> find(Reach const& reach);

    // Failures: kUnreachable (nobody answered), else what the agent's refusal means.
    Answer<std::string> get(std::string const& path, Duration limit = 10s) const;
    Answer<std::string> send(std::string const& method, std::string const& path, std::string body,
                             Duration limit = 30s) const;

    template <class T>
    Answer<T> read(std::string const& path) const {
        KEEL_TRY(auto const body, get(path));
        return understood<T>(path, body);
    }
    template <class T = web::Done, class Body>
    Answer<T> post(std::string const& path, Body const& body) const {
        KEEL_TRY(auto const answer, send("POST", path, json::write(body)));
        return understood<T>(path, answer);
    }
    // Not here: the reader of so large a structure would be compiled with each command.
    Answer<cluster::ClusterStatus> status() const;

    // Whether the node at HOST:PORT of the API counts this name among the members; asked with the certificate in
    // `directory`, which need not be a member's any more.
    static Answer<bool> counts_member(std::string const& directory, std::string const& api, std::string const& name);

    // "the agent on /var/lib/pgkeel/run/agent.sock".
    std::string const& where() const { return where_; }

  private:
    Agent(runtime::HttpTarget target, std::string where, std::string mend)
        : target_(std::move(target)), where_(std::move(where)), mend_(std::move(mend)) {}

    template <class T>
    Answer<T> understood(std::string const& path, std::string const& body) const {
        auto parsed = json::read<T>(body);
        if (parsed) return std::move(*parsed);
        return stop(kFailed, Code::corrupt,
                    where_ + " answered " + path + " with something else: " + parsed.error().text,
                    "use the same version of pgkeel on every node");
    }

    runtime::HttpTarget target_;
    Secret token_;  // of access; empty: the socket or the certificate says who asks
    std::string where_;
    std::string mend_;  // when it cannot be reached
};

// Of an answer of status 400 and above. Pure.
Failure refusal_of(int status, std::string const& body);

}  // namespace keel::cli
