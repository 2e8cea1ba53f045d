#include "consensus/etcd_gateway.h"

#include <curl/curl.h>

#include <boost/json.hpp>
#include <mutex>

#include "base/json.h"

namespace keel::consensus {

namespace {

constexpr std::size_t kAnswerBytes = 4U << 20U;
constexpr Duration kStreamSilence = 3600s;  // a watch is silent while nothing changes

struct SlistFree {
    void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, SlistFree>;

std::string as_text(boost::json::value const& object, char const* field) {
    auto const* found = object.is_object() ? object.get_object().if_contains(field) : nullptr;
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

// What an HTTP status of the gateway says (grpc-gateway's mapping of gRPC codes): below 500 the server refused the
// request, but for 408 and, since etcd 3.6, 499, which are a deadline or a cancellation.
Error refusal(std::string const& endpoint, long status, std::string const& body) {
    auto const tree = json::parse(body);
    auto said = tree ? as_text(*tree, "error") : std::string();
    if (said.empty() && tree) said = as_text(*tree, "message");
    Error error;
    error.text = "etcd at " + endpoint + " answered HTTP " + std::to_string(status) + (said.empty() ? "" : ": " + said);
    error.outcome = status < 500 && status != 408 && status != 499 ? Outcome::not_done : Outcome::unknown;
    error.code = Code::unavailable;
    if (status == 401 || status == 403 || said.find("user name is empty") != std::string::npos) {
        error.code = Code::denied;
        error.mend = "check [store] user, password and the role's permission on the key";
    } else if (said.find("space exceeded") != std::string::npos) {
        error.code = Code::exhausted;
        error.mend = "etcd is full: compact, defragment, then `etcdctl alarm disarm`";
    }
    return error;
}

}  // namespace

struct EtcdGateway::Handle {
    CURL* curl = ::curl_easy_init();
    std::atomic<bool> const& stop;
    std::array<char, CURL_ERROR_SIZE> problem{};
    std::string answer;
    std::function<bool(std::string_view)> on_line;

    explicit Handle(std::atomic<bool> const& flag) : stop(flag) {}
    ~Handle() { ::curl_easy_cleanup(curl); }

    static std::size_t on_bytes(char* bytes, std::size_t, std::size_t count, void* self) {
        return static_cast<Handle*>(self)->take({bytes, count}) ? count : 0;
    }
    static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        return static_cast<Handle*>(self)->stop ? 1 : 0;
    }

    bool take(std::string_view bytes) {
        if (answer.size() + bytes.size() > kAnswerBytes) return false;
        answer += bytes;
        if (!on_line) return true;
        for (auto end = answer.find('\n'); end != std::string::npos; end = answer.find('\n')) {
            if (!on_line(std::string_view(answer).substr(0, end))) return false;
            answer.erase(0, end + 1);
        }
        return true;
    }
};

EtcdGateway::EtcdGateway(Etcd::Options const& options, std::atomic<bool> const& stop) : options_(options) {
    static std::once_flag once;
    std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_ = std::make_unique<Handle>(stop);
}

EtcdGateway::~EtcdGateway() = default;

Result<boost::json::value> EtcdGateway::query(std::string const& path, boost::json::value const& body) {
    Error last{.code = Code::unavailable, .text = "no etcd endpoint"};
    for (std::size_t i = 0; i < options_.endpoints.size() && !handle_->stop; ++i) {
        auto const answer = post(path, boost::json::serialize(body), false);
        if (answer) return json::parse(*answer);
        last = answer.error();
    }
    return fail(std::move(last));
}

Result<boost::json::value> EtcdGateway::change(std::string const& path, boost::json::value const& body) {
    Error last{.code = Code::unavailable, .text = "no etcd endpoint"};
    for (std::size_t i = 0; i < options_.endpoints.size() && !handle_->stop; ++i) {
        auto const answer = post(path, boost::json::serialize(body), true);
        if (!answer && answer.error().outcome == Outcome::not_done && answer.error().code == Code::unavailable) {
            last = answer.error();
            continue;
        }
        if (!answer) return fail(answer.error());
        auto tree = json::parse(*answer);
        if (!tree) tree.error().outcome = Outcome::unknown;
        return tree;
    }
    return fail(std::move(last));
}

Status EtcdGateway::stream(std::string const& path, boost::json::value const& body,
                           std::function<bool(std::string_view)> on_line) {
    handle_->on_line = std::move(on_line);
    auto const answer = post(path, boost::json::serialize(body), false);
    handle_->on_line = {};
    if (!answer) return fail(answer.error());
    return {};
}

// One request to the present endpoint; after a failure to reach it the next one is the present. A token that is gone is
// replaced once.
Result<std::string> EtcdGateway::post(std::string const& path, std::string const& body, bool is_change) {
    bool const is_login = path == "/v3/auth/authenticate";
    if (!options_.user.empty() && token_.empty() && !is_login) KEEL_CHECK(authenticate());
    auto const endpoint = options_.endpoints[endpoint_];
    auto const url = endpoint + path;
    auto* curl = handle_->curl;
    ::curl_easy_reset(curl);
    handle_->answer.clear();
    handle_->problem[0] = '\0';
    Headers headers(::curl_slist_append(nullptr, "Content-Type: application/json"));
    headers.reset(::curl_slist_append(headers.release(), "Expect:"));
    if (!token_.empty()) headers.reset(::curl_slist_append(headers.release(), ("Authorization: " + token_).c_str()));
    auto const limit = handle_->on_line ? kStreamSilence : options_.timeout;
    auto const set = [curl](CURLoption option, auto value) { ::curl_easy_setopt(curl, option, value); };
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(to_ms(limit)));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(to_ms(options_.timeout)));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, 5L);
    set(CURLOPT_TCP_KEEPINTVL, 5L);
    // On a reused connection libcurl repeats a request whose connection died before an answer: a change that had
    // happened would look like a conflict.
    set(CURLOPT_FRESH_CONNECT, is_change ? 1L : 0L);
    set(CURLOPT_ERRORBUFFER, handle_->problem.data());
    set(CURLOPT_WRITEFUNCTION, &Handle::on_bytes);
    set(CURLOPT_WRITEDATA, handle_.get());
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Handle::on_progress);
    set(CURLOPT_XFERINFODATA, handle_.get());
    if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
    if (!options_.cert_file.empty()) set(CURLOPT_SSLCERT, options_.cert_file.c_str());
    if (!options_.key_file.empty()) set(CURLOPT_SSLKEY, options_.key_file.c_str());

    auto const code = ::curl_easy_perform(curl);
    long status = 0;
    long sent = 0;
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    ::curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent);
    if (code != CURLE_OK) {
        endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
        Error error{.code = Code::unavailable, .text = "etcd at " + endpoint + ": "};
        error.text += handle_->problem[0] != '\0' ? handle_->problem.data() : ::curl_easy_strerror(code);
        error.mend = "check that etcd runs there, and the endpoints and certificates of [store]";
        error.outcome = sent == 0 ? Outcome::not_done : Outcome::unknown;
        return fail(std::move(error));
    }
    if (status == 200) return std::exchange(handle_->answer, {});
    auto error = refusal(endpoint, status, handle_->answer);
    if (status == 401 && !is_login && !std::exchange(token_, {}).empty()) return post(path, body, is_change);
    if (error.code == Code::unavailable) endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
    return fail(std::move(error));
}

Status EtcdGateway::authenticate() {
    auto const on_line = std::exchange(handle_->on_line, {});
    auto const body = boost::json::value{{"name", options_.user}, {"password", options_.password.reveal()}};
    auto const answer = post("/v3/auth/authenticate", boost::json::serialize(body), false);
    handle_->on_line = on_line;
    if (!answer) {
        auto error = answer.error();
        error.outcome = Outcome::not_done;
        return fail(std::move(error).in("logging in as " + options_.user));
    }
    KEEL_TRY(auto const tree, json::parse(*answer));
    token_ = as_text(tree, "token");
    if (token_.empty()) return fail(Code::denied, "etcd gave no token to user " + options_.user);
    return {};
}

}  // namespace keel::consensus
