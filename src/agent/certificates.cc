#include "agent/certificates.h"

#include "cluster/status.h"
#include "postgres/server.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"
#include "runtime/socket.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr char const* kCall = "certificate";
constexpr Duration kCallLimit = 10s;
constexpr Duration kLookEvery = 3600s;
constexpr Duration kAgainAfter = 60s;
constexpr std::size_t kPemLimit = 256 * 1024;

// What a certificate says of the member: its UUID, and where it is found. As at the join.
Result<runtime::Subject> subject_of(std::optional<cluster::Record> const& record, NodeId const& node) {
    if (!record) return fail(Code::unavailable, "the cluster's record is not known yet");
    auto const member = record->members.find(node);
    if (member == record->members.end())
        return fail(Code::denied, "node " + node.value + " is no member of the cluster");
    runtime::Subject out{node, {}};
    for (auto const& address : {member->second.peer, member->second.api}) {
        KEEL_TRY(auto const parsed, runtime::parse_address(address));
        out.names.push_back(parsed.first);
    }
    return out;
}

}  // namespace

Task<void> Certificates::keep_own() {
    std::string told;
    for (;;) {
        auto const status = co_await renew_if_due();
        std::string const text = status ? "" : to_string(status.error());
        if (!text.empty() && text != told) log::warning("certificate", "not renewed yet: {}", text);
        told = text;
        (void)co_await look_.wait_for(status ? kLookEvery : kAgainAfter);
    }
}

Task<void> Certificates::keep_members() {
    std::string told;
    for (;;) {
        co_await runtime::sleep_for(500ms);
        auto const status = co_await runtime::run_blocking(worker_, [this] { return parts_.server->admit_members(); });
        // A server that is down is asked again when it is up.
        bool const quiet = status || status.error().code == Code::unavailable;
        std::string const text = quiet ? "" : to_string(status.error());
        if (!text.empty() && text != told) log::warning("certificate", "PostgreSQL's list of members: {}", text);
        told = text;
    }
}

Task<Status> Certificates::renew_if_due() {
    auto identity = co_await runtime::run_blocking(worker_, [this] { return runtime::load_identity(parts_.pki); });
    if (!identity) co_return fail(identity.error());
    if (identity->own.certificate != parts_.prepared->tls.own.certificate) {
        log::info("certificate", "another one is in {}: it is taken up", parts_.pki);
        if (auto status = co_await take_up(*identity); !status) co_return status;
    }
    auto const validity = runtime::validity(identity->own.certificate);
    if (!validity) co_return fail(validity.error());
    if (!runtime::is_renewal_due(*validity, runtime::unix_ms_now())) co_return Status{};
    auto const subject = subject_of(parts_.driver->node().record(), parts_.prepared->identity.node);
    if (!subject) co_return fail(subject.error());
    auto const request = runtime::make_request(*subject, identity->own.key);
    if (!request) co_return fail(request.error());
    auto certificate = co_await signed_by_somebody(*request);
    if (!certificate) co_return fail(certificate.error());
    identity->own.certificate = std::move(*certificate);
    if (auto status = runtime::check_pair(identity->authority, identity->own); !status) co_return status;
    auto const written = co_await runtime::run_blocking(worker_, [this, pem = identity->own.certificate] {
        return runtime::write_atomically(parts_.pki + "/node.crt", pem, 0644);
    });
    if (!written) co_return written;
    auto const until = runtime::expires_unix_ms(identity->own.certificate);
    log::info("certificate", "renewed, good until {}", until ? cluster::utc_text(*until) : "?");
    co_return co_await take_up(*std::move(identity));
}

Task<Status> Certificates::take_up(runtime::TlsIdentity identity) {
    auto server = runtime::server_mutual(identity);
    auto client = runtime::client_mutual(identity);
    auto api = runtime::server_optional_client(identity);
    for (auto const* made : {&server, &client, &api}) {
        if (!*made) co_return fail(made->error());
    }
    parts_.channel->set_tls(std::move(*server), std::move(*client));
    if (parts_.http != nullptr) parts_.http->set_tls(std::move(*api));
    parts_.prepared->tls = std::move(identity);
    if (parts_.server == nullptr) co_return Status{};
    co_return co_await runtime::run_blocking(worker_, [this] { return parts_.server->reload(); });
}

Task<Result<std::string>> Certificates::signed_by_somebody(std::string request) {
    auto const self = parts_.prepared->identity.node;
    auto own = co_await sign(self, request);
    if (own || own.error().code != Code::not_found) co_return own;
    Result<std::string> last = fail(Code::unavailable, "no data node could be asked to sign the certificate",
                                    "bring a data node up, and look at the network between the nodes");
    auto const record = parts_.driver->node().record();
    if (!record) co_return last;
    for (auto const& [id, member] : record->members) {
        if (id == self || member.kind != cluster::Kind::data) continue;
        auto answered = co_await parts_.channel->call(id, kCall, request, kCallLimit);
        if (answered) co_return answered;
        last = fail(std::move(answered.error()).in("asking " + member.name + " to sign the certificate"));
    }
    co_return last;
}

Task<Result<std::string>> Certificates::sign(NodeId node, std::string request) {
    auto const subject = subject_of(parts_.driver->node().record(), node);
    if (!subject) co_return fail(subject.error());
    auto key = co_await runtime::run_blocking(
        worker_, [path = parts_.pki + "/ca.key"] { return runtime::read_file(path, kPemLimit); });
    if (!key) co_return fail(key.error());
    co_return runtime::sign_request({parts_.prepared->tls.authority, Secret(std::move(*key))}, request, *subject);
}

Task<Result<std::string>> Certificates::answer(NodeId from, std::string method, std::string argument) {
    if (method != kCall) co_return fail(Code::not_found, "this node does not know the call " + method);
    auto certificate = co_await sign(from, std::move(argument));
    if (certificate)
        log::info("certificate", "signed a new one for node {}", from.value);
    else
        log::warning("certificate", "not signed for node {}: {}", from.value, to_string(certificate.error()));
    co_return certificate;
}

}  // namespace keel::agent
