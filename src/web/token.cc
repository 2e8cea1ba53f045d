#include "web/token.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace keel::web {

namespace {
constexpr std::string_view kPrefix = "keel1.";
constexpr std::size_t kFingerprint = 64;

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
}  // namespace

std::string to_text(TokenText const& token) {
    return fmt::format("{}{}.{}", kPrefix, token.authority_fingerprint, token.secret.reveal());
}

Result<TokenText> parse_token(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    auto const wrong = [] {
        return fail(
            Code::invalid, "this is not a join token",
            "a token begins with keel1. and is printed by `pgkeel init` and `pgkeel token create`; copy it whole");
    };
    if (!text.starts_with(kPrefix)) return wrong();
    text.remove_prefix(kPrefix.size());
    if (text.size() <= kFingerprint + 16 || text.size() > 512 || text[kFingerprint] != '.') return wrong();
    std::string_view const secret = text.substr(kFingerprint + 1);
    if (!is_hex(text.substr(0, kFingerprint)) || !is_hex(secret)) return wrong();
    return TokenText{std::string(text.substr(0, kFingerprint)), Secret(std::string(secret))};
}

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256(reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size(), digest.data());
    std::string out;
    for (auto const byte : digest) out += fmt::format("{:02x}", byte);
    return out;
}

}  // namespace keel::web
