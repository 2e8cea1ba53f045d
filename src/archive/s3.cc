#include "archive/s3.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "archive/s3_upload.h"
#include "postgres/bound.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

constexpr std::size_t kAnswerMost = 64U << 20U;
constexpr std::uint64_t kPieceBytes = 8U << 20U;
constexpr std::size_t kKeyFileMost = 64U << 10U;
constexpr Duration kOpenMost = 5s;  // somebody waits
constexpr Duration kPauseFirst = 100ms, kPauseMost = 5s;

std::string md5_base64(std::string_view bytes) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (::EVP_Digest(bytes.data(), bytes.size(), raw, &size, ::EVP_md5(), nullptr) != 1) return {};
    unsigned char out[2 * EVP_MAX_MD_SIZE];
    auto const length = ::EVP_EncodeBlock(out, raw, static_cast<int>(size));
    return {reinterpret_cast<char const*>(out), static_cast<std::size_t>(length)};
}

// "bytes 0-99/1234"
struct ContentRange {
    std::uint64_t from = 0, to = 0, total = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
    constexpr std::string_view kUnit = "bytes ";
    if (!text.starts_with(kUnit)) return std::nullopt;
    text.remove_prefix(kUnit.size());
    ContentRange out;
    for (auto const& [number, behind] :
         {std::pair{&out.from, '-'}, std::pair{&out.to, '/'}, std::pair{&out.total, '\0'}}) {
        auto const read = std::from_chars(text.data(), text.data() + text.size(), *number);
        text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
        bool const ends = behind == '\0' ? text.empty() : text.starts_with(behind);
        if (read.ec != std::errc() || !ends) return std::nullopt;
        if (behind != '\0') text.remove_prefix(1);
    }
    return out;
}

}  // namespace

S3::S3(config::RepositorySettings const& settings, Patience patience)
    : region_(settings.s3_region),
      bucket_in_host_(settings.s3_addressing == config::S3Addressing::host),
      patience_(std::move(patience)),
      wire_(std::make_unique<S3Wire>(settings.s3_ca_file, patience_.on_wait)) {}

Result<std::shared_ptr<Objects const>> S3::open(config::RepositorySettings const& settings, Patience patience) {
    std::shared_ptr<S3> const out(new S3(settings, std::move(patience)));
    KEEL_TRY(out->address_, parse_s3_address(settings.repository));
    KEEL_TRY(out->endpoint_,
             parse_s3_endpoint(settings.s3_endpoint.empty() ? fmt::format("https://s3.{}.amazonaws.com", out->region_)
                                                            : settings.s3_endpoint));
    KEEL_TRY(auto const text, runtime::read_private_file(settings.s3_credentials_file, kKeyFileMost));
    auto key = parse_s3_key(text);
    if (!key) return fail(std::move(key.error()).in(settings.s3_credentials_file));
    out->key_ = std::move(*key);
    auto const span = std::exchange(out->patience_.span, std::min(out->patience_.span, kOpenMost));
    KEEL_CHECK(out->call(
        {.method = "GET", .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", out->address_.prefix}}}));
    out->patience_.span = span;
    return out;
}

std::string S3::where(std::string const& name) const {
    return fmt::format("s3://{}/{}", address_.bucket, key_of(name));
}

Result<S3Answer> S3::call_once(Ask const& ask) const {
    S3Request request;
    request.method = ask.method;
    request.path = (bucket_in_host_ ? "/" : "/" + address_.bucket + "/") + ask.name;
    request.query = ask.query;
    request.headers = ask.headers;
    request.payload_sha256 = sha256_hex(ask.body);
    auto const host = bucket_in_host_ ? address_.bucket + "." + endpoint_.host : endpoint_.host;
    auto const date = amz_date(runtime::unix_ms_now() / 1000);
    request.headers["host"] = host;
    request.headers["x-amz-date"] = date;
    request.headers["x-amz-content-sha256"] = request.payload_sha256;
    if (!key_.session_token.empty()) request.headers["x-amz-security-token"] = key_.session_token;
    if (!ask.body.empty()) {
        auto const md5 = md5_base64(ask.body);
        if (!md5.empty()) request.headers["content-md5"] = md5;
    }
    S3Call out{ask.method, {}, {}, ask.body, ask.silence_most, kAnswerMost};
    out.url = fmt::format("{}://{}{}", endpoint_.scheme, host, uri_encode(request.path, true));
    if (!request.query.empty()) out.url += "?" + query_text(request.query);
    for (auto const& [name, value] : request.headers) out.headers.push_back(name + ": " + value);
    out.headers.push_back("authorization: " + authorization(request, key_, region_));
    auto const what = fmt::format("s3://{}/{}", address_.bucket, ask.name);
    auto answer = wire_->exchange(out);
    if (!answer) return fail(std::move(answer.error()).in(what));
    // The end of a multipart upload may be an error behind a status that was sent before.
    bool const good = answer->status >= 200 && answer->status < 300 &&
                      (ask.method != "POST" || xml_elements(answer->body, "Error").empty());
    if (good) return answer;
    auto const status = answer->status < 300 ? 500 : answer->status;
    return fail(judge_s3(status, answer->body,
                         {what, region_, date, answer->header("date"), answer->header("x-amz-bucket-region")}));
}

Result<S3Answer> S3::call(Ask const& ask) const {
    postgres::Bound const bound(patience_.span);
    auto const begun = runtime::boot_now();
    for (Duration pause = kPauseFirst;; pause = std::min(pause * 2, kPauseMost)) {
        auto answer = call_once(ask);
        if (answer || !may_pass(answer.error())) return answer;
        if (patience_.on_wait) patience_.on_wait(runtime::boot_now() - begun);
        // Between half and all of it, so that many do not come back at the same moment.
        auto const part = pause / 2 + pause * (runtime::random_u64() % 1000) / 2000;
        if (!bound.pause(part)) return answer;
    }
}

Result<std::pair<std::vector<std::string>, std::vector<std::string>>> S3::list_all(std::string const& prefix,
                                                                                   bool by_folder) const {
    std::pair<std::vector<std::string>, std::vector<std::string>> out;
    auto const full = key_of(prefix);
    std::map<std::string, std::string> query{{"list-type", "2"}, {"prefix", full}};
    if (by_folder) query["delimiter"] = "/";
    for (;;) {
        KEEL_TRY(auto const answer, call({.method = "GET", .query = query}));
        KEEL_TRY(auto page, parse_s3_list(answer.body));
        for (auto const& [from, to] : {std::pair{&page.names, &out.first}, std::pair{&page.folders, &out.second}}) {
            for (auto& one : *from) {
                if (!one.starts_with(full))
                    return fail(Code::corrupt, "the object store lists " + one + ", which was not asked for");
                to->push_back(one.substr(address_.prefix.size()));
            }
        }
        if (page.next.empty()) break;
        query["continuation-token"] = page.next;
    }
    std::ranges::sort(out.first);
    return out;
}

Result<std::vector<std::string>> S3::list(std::string const& prefix) const {
    KEEL_TRY(auto all, list_all(prefix, false));
    return std::move(all.first);
}

Result<std::vector<std::string>> S3::folders(std::string const& prefix) const {
    KEEL_TRY(auto all, list_all(prefix, true));
    std::vector<std::string> out;
    for (auto const& one : all.second) out.push_back(one.substr(prefix.size(), one.size() - prefix.size() - 1));
    std::ranges::sort(out);
    return out;
}

// In pieces, each of which is tried again for itself; all of the same object, by its tag.
Status S3::read(std::string const& name, Bytes const& sink) const {
    Ask ask{.method = "GET", .name = key_of(name)};
    std::uint64_t at = 0;
    for (;;) {
        ask.headers["range"] = fmt::format("bytes={}-{}", at, at + kPieceBytes - 1);
        auto const answer = call(ask);
        if (!answer && at > 0 && answer.error().code == Code::conflict)
            return fail(Code::unavailable, where(name) + " was replaced while it was read");
        KEEL_CHECK(answer);
        if (answer->status == 200 && at == 0) return sink(answer->body);
        auto const range = parse_content_range(answer->header("content-range"));
        auto const tag = answer->header("etag");
        if (!range || range->from != at || range->to + 1 - at != answer->body.size() || tag.empty())
            return fail(Code::corrupt, where(name) + ": the object store did not send the bytes that were asked for");
        KEEL_CHECK(sink(answer->body));
        at = range->to + 1;
        if (at >= range->total) return {};
        ask.headers["if-match"] = tag;
    }
}

Status S3::put(std::string const& name, std::string_view bytes) const {
    KEEL_CHECK(call({.method = "PUT", .name = key_of(name), .body = bytes}));
    return {};
}

Result<bool> S3::exists(std::string const& name) const {
    KEEL_TRY(auto const found, list(name));
    return std::ranges::find(found, name) != found.end();
}

// Not every server knows conditions, some ignore them: so it is looked for first.
Status S3::create(std::string const& name, std::string_view bytes) const {
    KEEL_TRY(bool const there, exists(name));
    if (there) return fail(Code::conflict, where(name) + " exists already");
    auto const done = call({.method = "PUT", .name = key_of(name), .headers = {{"if-none-match", "*"}}, .body = bytes});
    if (done) return {};
    if (done.error().code == Code::conflict) {
        // A first try may have done it whose answer was lost.
        KEEL_TRY(auto const stored, get(name, kAnswerMost));
        if (stored == bytes) return {};
        return fail(Code::conflict, where(name) + " exists already");
    }
    if (done.error().code != Code::invalid || !done.error().text.contains("NotImplemented")) return fail(done.error());
    return put(name, bytes);
}

Result<std::unique_ptr<Upload>> S3::upload(std::string const& name, std::uint64_t expected) const {
    return std::make_unique<S3Upload>(*this, key_of(name), expected);
}

Status S3::remove(std::string const& name) const {
    auto const done = call({.method = "DELETE", .name = key_of(name)});
    if (!done && done.error().code != Code::not_found) return fail(done.error());
    return {};
}

Status S3::remove_all(std::string const& prefix) const {
    KEEL_TRY(auto const names, list(prefix));
    for (auto const& one : names) KEEL_CHECK(remove(one));
    auto const full = key_of(prefix);
    KEEL_TRY(auto const answer, call({.method = "GET", .query = {{"uploads", ""}, {"prefix", full}}}));
    KEEL_TRY(auto const unfinished, parse_s3_uploads(answer.body));
    for (auto const& one : unfinished) {
        if (!one.name.starts_with(full)) continue;
        auto const done = call({.method = "DELETE", .name = one.name, .query = {{"uploadId", one.id}}});
        if (!done && done.error().code != Code::not_found) return fail(done.error());
    }
    return {};
}

}  // namespace keel::archive
