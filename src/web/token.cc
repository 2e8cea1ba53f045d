#include "web/token.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <optional>

namespace keel::web {

namespace {
constexpr std::string_view kJoin = "keel1.";
constexpr std::string_view kAccess = "keelaccess1.";
constexpr std::size_t kFingerprint = 64;

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of(std::string_view prefix, TokenText const& token) {
    return fmt::format("{}{}.{}", prefix, token.authority_fingerprint, token.secret.reveal());
}

std::optional<TokenText> parse(std::string_view prefix, std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (!text.starts_with(prefix)) return std::nullopt;
    text.remove_prefix(prefix.size());
    if (text.size() <= kFingerprint + 16 || text.size() > 512 || text[kFingerprint] != '.') return std::nullopt;
    std::string_view const secret = text.substr(kFingerprint + 1);
    if (!is_hex(text.substr(0, kFingerprint)) || !is_hex(secret)) return std::nullopt;
    return TokenText{std::string(text.substr(0, kFingerprint)), Secret(std::string(secret))};
}

}  // namespace

std::string to_text(TokenText const& token) { return text_of(kJoin, token); }
std::string to_access_text(TokenText const& token) { return text_of(kAccess, token); }

Result<TokenText> parse_token(std::string_view text) {
    if (auto token = parse(kJoin, text)) return *std::move(token);
    return fail(Code::invalid, "this is not a join token",
                "a token begins with keel1. and is printed by `pgkeel init` and `pgkeel token create`; copy it whole");
}

Result<TokenText> parse_access_token(std::string_view text) {
    if (auto token = parse(kAccess, text)) return *std::move(token);
    return fail(Code::invalid, "this is not an access token",
                "it begins with keelaccess1. and is printed by `pgkeel access add`; copy it whole");
}

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256(reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size(), digest.data());
    std::string out;
    for (auto const byte : digest) out += fmt::format("{:02x}", byte);
    return out;
}

}  // namespace keel::web
