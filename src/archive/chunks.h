// The format of an encrypted object, streamed: a header, then chunks under AES-256-GCM.
//   header   "KEELENC1", 32 random bytes
//   chunk    64 KiB, the last one less; then 16 bytes of tag
// Each object has a key of its own, drawn from the repository's key, the random bytes and the object's name: one object
// cannot stand in for another. The header is authenticated with every chunk; number and last place of a chunk are its
// nonce, so none can be missing, moved or added. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "archive/bytes.h"
#include "runtime/seal.h"

namespace keel::archive {

inline constexpr std::size_t kSaltBytes = 32;

// HMAC-SHA256, for keys and names: `purpose` keeps the uses of one key apart.
std::string derive(Secret const& key, std::string_view purpose, std::string_view text);

class ChunkSealer {
  public:
    // `salt`: kSaltBytes bytes that no other object has.
    ChunkSealer(Secret const& key, std::string_view name, std::string_view salt, Bytes out);
    Status add(std::string_view bytes);
    Status finish();

  private:
    Status put(std::string_view plain, bool last);

    std::string header_;
    runtime::Seal seal_;
    Bytes out_;
    std::string rest_;
    std::uint64_t number_ = 0;
};

class ChunkOpener {
  public:
    ChunkOpener(Secret key, std::string name, Bytes out)
        : key_(std::move(key)), name_(std::move(name)), out_(std::move(out)) {}
    // corrupt when a byte is not what was sealed under this key and name.
    Status add(std::string_view bytes);
    Status finish();

  private:
    Status take(std::string_view sealed, bool last);

    Secret key_;
    std::string name_;
    Bytes out_;
    std::string header_;
    std::optional<runtime::Seal> seal_;
    std::string rest_;
    std::uint64_t number_ = 0;
};

}  // namespace keel::archive
