#include "archive/s3_wire.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include "runtime/clock.h"

namespace keel::archive {

namespace {

constexpr long kConnectMs = 10'000;

struct SlistFree {
    void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using Texts = std::unique_ptr<curl_slist, SlistFree>;

void append(Texts& list, std::string const& text) { list.reset(::curl_slist_append(list.release(), text.c_str())); }

}  // namespace

struct S3Wire::Handle {
    CURL* curl = ::curl_easy_init();
    std::string ca_file;
    OnWait on_wait;
    std::array<char, CURL_ERROR_SIZE> problem{};
    S3Answer answer;
    std::string_view body;
    std::size_t sent = 0, answer_most = 0;
    curl_off_t moved = 0;
    Instant moved_at;
    Duration silence_most{};
    bool silent = false;

    Handle(std::string file, OnWait wait) : ca_file(std::move(file)), on_wait(std::move(wait)) {}
    Handle(Handle const&) = delete;
    Handle& operator=(Handle const&) = delete;
    ~Handle() { ::curl_easy_cleanup(curl); }

    static std::size_t on_bytes(char* bytes, std::size_t, std::size_t count, void* self) {
        auto& handle = *static_cast<Handle*>(self);
        if (handle.answer.body.size() + count > handle.answer_most) return 0;
        handle.answer.body.append(bytes, count);
        return count;
    }
    static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
        std::string_view const line(bytes, count);
        auto const colon = line.find(':');
        if (colon == std::string_view::npos) return count;
        std::string name(line.substr(0, colon));
        std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
        auto value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        while (!value.empty() && static_cast<unsigned char>(value.back()) <= 0x20) value.remove_suffix(1);
        static_cast<Handle*>(self)->answer.headers[name] = value;
        return count;
    }
    static std::size_t on_upload(char* room, std::size_t size, std::size_t count, void* self) {
        auto& handle = *static_cast<Handle*>(self);
        auto const part = handle.body.substr(handle.sent, size * count);
        std::memcpy(room, part.data(), part.size());
        handle.sent += part.size();
        return part.size();
    }
    // A connection that the server had closed meanwhile: from the beginning on another one.
    static int on_seek(void* self, curl_off_t offset, int) {
        static_cast<Handle*>(self)->sent = static_cast<std::size_t>(offset);
        return CURL_SEEKFUNC_OK;
    }
    static int on_progress(void* self, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up) {
        auto& handle = *static_cast<Handle*>(self);
        auto const now = runtime::boot_now();
        if (down + up != handle.moved) handle.moved_at = now;
        handle.moved = down + up;
        if (handle.on_wait) handle.on_wait(now - handle.moved_at);
        handle.silent = now - handle.moved_at > handle.silence_most;
        return handle.silent ? 1 : 0;
    }

    template <class Value>
    void set(CURLoption option, Value value) {
        ::curl_easy_setopt(curl, option, value);
    }

    void prepare(S3Call const& call) {
        ::curl_easy_reset(curl);
        answer = {};
        problem[0] = '\0';
        body = call.body;
        sent = 0;
        answer_most = call.answer_most;
        moved = 0;
        moved_at = runtime::boot_now();
        silence_most = call.silence_most;
        silent = false;
        set(CURLOPT_URL, call.url.c_str());
        set(CURLOPT_PATH_AS_IS, 1L);
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
        set(CURLOPT_TCP_KEEPALIVE, 1L);
        set(CURLOPT_ERRORBUFFER, problem.data());
        set(CURLOPT_WRITEFUNCTION, &Handle::on_bytes);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_HEADERFUNCTION, &Handle::on_header);
        set(CURLOPT_HEADERDATA, this);
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, &Handle::on_progress);
        set(CURLOPT_XFERINFODATA, this);
        if (!ca_file.empty()) set(CURLOPT_CAINFO, ca_file.c_str());
        if (call.method == "HEAD") {
            set(CURLOPT_NOBODY, 1L);
        } else if (call.method == "PUT" || call.method == "POST") {
            set(CURLOPT_UPLOAD, 1L);
            set(CURLOPT_READFUNCTION, &Handle::on_upload);
            set(CURLOPT_READDATA, this);
            set(CURLOPT_SEEKFUNCTION, &Handle::on_seek);
            set(CURLOPT_SEEKDATA, this);
            set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
            set(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10U);
        }
        set(CURLOPT_CUSTOMREQUEST, call.method == "HEAD" ? nullptr : call.method.c_str());
    }

    Error failed(CURLcode code) const {
        std::string const why = problem[0] != '\0' ? problem.data() : ::curl_easy_strerror(code);
        Error out{Code::unavailable, "the object store cannot be reached: " + why, "check backup.s3_endpoint"};
        out.outcome = Outcome::unknown;
        if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
            out = {Code::denied, "the object store's certificate is not trusted: " + why,
                   "name the file of its authority in backup.s3_ca_file"};
        } else if (code == CURLE_WRITE_ERROR) {
            out = {Code::exhausted, "the object store's answer is too long"};
        } else if (silent || code == CURLE_OPERATION_TIMEDOUT) {
            out.code = Code::timeout;
            out.text = "the object store does not answer";
        }
        return out;
    }
};

S3Wire::S3Wire(std::string ca_file, OnWait on_wait) {
    static std::once_flag once;
    std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_ = std::make_unique<Handle>(std::move(ca_file), std::move(on_wait));
}

S3Wire::~S3Wire() = default;

Result<S3Answer> S3Wire::exchange(S3Call const& call) {
    handle_->prepare(call);
    Texts headers;
    append(headers, "Expect:");
    append(headers, "Transfer-Encoding:");
    for (auto const& one : call.headers) append(headers, one);
    handle_->set(CURLOPT_HTTPHEADER, headers.get());
    auto const code = ::curl_easy_perform(handle_->curl);
    handle_->body = {};
    if (code != CURLE_OK) return fail(handle_->failed(code));
    ::curl_easy_getinfo(handle_->curl, CURLINFO_RESPONSE_CODE, &handle_->answer.status);
    return std::move(handle_->answer);
}

}  // namespace keel::archive
