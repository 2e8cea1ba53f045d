#include "archive/chunks.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"

namespace keel::archive {

namespace {

constexpr std::string_view kMagic = "KEELENC1";
constexpr std::size_t kHeaderBytes = kMagic.size() + kSaltBytes;
constexpr std::size_t kChunkBytes = 64U << 10U;
constexpr std::size_t kSealedBytes = kChunkBytes + runtime::Seal::kTagBytes;

Secret object_key(Secret const& key, std::string_view header, std::string_view name) {
    return Secret(derive(key, "object", std::string(header) + std::string(name)));
}

std::uint64_t nonce_of(std::uint64_t number, bool last) { return number * 2 + (last ? 1 : 0); }

}  // namespace

std::string derive(Secret const& key, std::string_view purpose, std::string_view text) {
    auto const input = std::string(purpose) + '\0' + std::string(text);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    auto const& bytes = key.reveal();
    KEEL_ASSERT(::HMAC(::EVP_sha256(), bytes.data(), static_cast<int>(bytes.size()),
                       reinterpret_cast<unsigned char const*>(input.data()), input.size(), out, &size) != nullptr);
    return {reinterpret_cast<char const*>(out), size};
}

ChunkSealer::ChunkSealer(Secret const& key, std::string_view name, std::string_view salt, Bytes out)
    : header_(std::string(kMagic) + std::string(salt)), seal_(object_key(key, header_, name)), out_(std::move(out)) {
    KEEL_ASSERT(salt.size() == kSaltBytes);
}

Status ChunkSealer::put(std::string_view plain, bool last) {
    if (number_ == 0) KEEL_CHECK(out_(header_));
    auto const sealed = seal_.seal(nonce_of(number_, last), header_, plain);
    if (sealed.empty()) return fail(Code::internal, "AES-256-GCM failed");
    ++number_;
    return out_(sealed);
}

Status ChunkSealer::add(std::string_view bytes) {
    while (!bytes.empty()) {
        auto const part = bytes.substr(0, kChunkBytes - rest_.size());
        rest_ += part;
        bytes.remove_prefix(part.size());
        if (rest_.size() < kChunkBytes) continue;
        KEEL_CHECK(put(rest_, false));
        rest_.clear();
    }
    return {};
}

Status ChunkSealer::finish() { return put(rest_, true); }

Status ChunkOpener::take(std::string_view sealed, bool last) {
    auto const plain = seal_->open(nonce_of(number_++, last), header_, sealed);
    if (!plain)
        return fail(Code::corrupt, name_ + " in the repository is not what was stored, or is under another key",
                    "its disk or somebody has changed it: bring it back from a copy of the repository");
    return plain->empty() ? Status() : out_(*plain);
}

Status ChunkOpener::add(std::string_view bytes) {
    rest_ += bytes;
    if (!seal_) {
        if (rest_.size() < kHeaderBytes) return {};
        header_ = rest_.substr(0, kHeaderBytes);
        rest_.erase(0, kHeaderBytes);
        if (!header_.starts_with(kMagic))
            return fail(Code::corrupt, name_ + " in an encrypted repository is not encrypted",
                        "somebody has put it there: move it away");
        seal_.emplace(object_key(key_, header_, name_));
    }
    // The last chunk is only known at the end.
    std::size_t at = 0;
    for (; rest_.size() - at > kSealedBytes; at += kSealedBytes)
        KEEL_CHECK(take(std::string_view(rest_).substr(at, kSealedBytes), false));
    rest_.erase(0, at);
    return {};
}

Status ChunkOpener::finish() {
    if (!seal_) return fail(Code::corrupt, name_ + " in the repository is cut off");
    return take(rest_, true);
}

}  // namespace keel::archive
