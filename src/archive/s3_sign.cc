#include "archive/s3_sign.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <chrono>

#include "archive/bytes.h"
#include "base/assert.h"

namespace keel::archive {

namespace {

constexpr char const* kAlgorithm = "AWS4-HMAC-SHA256";

std::string hmac(std::string_view key, std::string_view text) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    KEEL_ASSERT(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                       reinterpret_cast<unsigned char const*>(text.data()), text.size(), out, &size) != nullptr);
    return {reinterpret_cast<char const*>(out), size};
}

// Spaces at the ends are dropped, and several in a row count as one.
std::string trimmed(std::string_view value) {
    std::string out;
    for (char const c : value)
        if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
    if (out.ends_with(' ')) out.pop_back();
    return out;
}

std::string signed_names(S3Request const& request) {
    std::string out;
    for (auto const& [name, value] : request.headers) out += (out.empty() ? "" : ";") + name;
    return out;
}

std::string canonical(S3Request const& request) {
    std::string headers;
    for (auto const& [name, value] : request.headers) headers += name + ":" + trimmed(value) + "\n";
    return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, uri_encode(request.path, true),
                       query_text(request.query), headers, signed_names(request), request.payload_sha256);
}

}  // namespace

std::string uri_encode(std::string_view text, bool keeps_slash) {
    std::string out;
    for (char const c : text) {
        bool const plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~' || (c == '/' && keeps_slash);
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string query_text(std::map<std::string, std::string> const& query) {
    // In the order of the encoded names.
    std::map<std::string, std::string> encoded;
    for (auto const& [name, value] : query) encoded[uri_encode(name, false)] = uri_encode(value, false);
    std::string out;
    for (auto const& [name, value] : encoded) out += (out.empty() ? "" : "&") + name + "=" + value;
    return out;
}

std::string amz_date(std::int64_t unix_s) {
    using std::chrono::days;
    auto const seconds = std::chrono::sys_seconds(std::chrono::seconds(unix_s));
    auto const day = std::chrono::floor<days>(seconds);
    std::chrono::year_month_day const date(day);
    std::chrono::hh_mm_ss const time(seconds - day);
    return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count());
}

std::string authorization(S3Request const& request, S3Key const& key, std::string const& region) {
    auto const date = request.headers.at("x-amz-date");
    auto const day = date.substr(0, 8);
    auto const scope = fmt::format("{}/{}/s3/aws4_request", day, region);
    auto const text = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, scope, sha256_hex(canonical(request)));
    auto const signing = hmac(hmac(hmac(hmac("AWS4" + key.secret.reveal(), day), region), "s3"), "aws4_request");
    return fmt::format("{} Credential={}/{},SignedHeaders={},Signature={}", kAlgorithm, key.id, scope,
                       signed_names(request), to_hex(hmac(signing, text)));
}

}  // namespace keel::archive
