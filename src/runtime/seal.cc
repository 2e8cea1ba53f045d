#include "runtime/seal.h"

#include <openssl/evp.h>

#include <array>
#include <memory>

namespace keel::runtime {

namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

auto const* bytes(std::string_view text) { return reinterpret_cast<unsigned char const*>(text.data()); }
auto* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::array<unsigned char, 12> nonce_of(std::uint64_t number) {
    std::array<unsigned char, 12> out{};
    for (std::size_t i = 0; i < 8; ++i) out[11 - i] = static_cast<unsigned char>(number >> (8 * i));
    return out;
}

}  // namespace

std::string Seal::seal(std::uint64_t number, std::string_view head, std::string_view plain) const {
    Cipher const cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    auto const nonce = nonce_of(number);
    std::string out(plain.size() + kTagBytes, '\0');
    int done = 0;
    bool const ok =
        cipher && key_.reveal().size() == kKeyBytes &&
        EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key_.reveal()), nonce.data()) == 1 &&
        EVP_EncryptUpdate(cipher.get(), nullptr, &done, bytes(head), static_cast<int>(head.size())) == 1 &&
        EVP_EncryptUpdate(cipher.get(), bytes(out), &done, bytes(plain), static_cast<int>(plain.size())) == 1 &&
        EVP_EncryptFinal_ex(cipher.get(), bytes(out) + done, &done) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, bytes(out) + plain.size()) == 1;
    return ok ? out : std::string();
}

std::optional<std::string> Seal::open(std::uint64_t number, std::string_view head, std::string_view sealed) const {
    if (sealed.size() < kTagBytes) return std::nullopt;
    Cipher const cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    auto const nonce = nonce_of(number);
    std::string tag(sealed.substr(sealed.size() - kTagBytes));
    sealed.remove_suffix(kTagBytes);
    std::string out(sealed.size(), '\0');
    int done = 0;
    bool const ok =
        cipher && key_.reveal().size() == kKeyBytes &&
        EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key_.reveal()), nonce.data()) == 1 &&
        EVP_DecryptUpdate(cipher.get(), nullptr, &done, bytes(head), static_cast<int>(head.size())) == 1 &&
        EVP_DecryptUpdate(cipher.get(), bytes(out), &done, bytes(sealed), static_cast<int>(sealed.size())) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, bytes(tag)) == 1 &&
        EVP_DecryptFinal_ex(cipher.get(), bytes(out) + done, &done) == 1;
    return ok ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace keel::runtime
