// Authenticated encryption of single messages (AES-256-GCM), for what travels outside of a TLS connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace keel::runtime {

class Seal {
  public:
    static constexpr std::size_t kKeyBytes = 32;
    static constexpr std::size_t kTagBytes = 16;

    // Exactly kKeyBytes bytes.
    explicit Seal(Secret key) : key_(std::move(key)) {}

    // The nonce is `number`: never twice the same under one key. `head` travels in the clear beside it, and cannot be
    // changed either. Empty: OpenSSL failed.
    std::string seal(std::uint64_t number, std::string_view head, std::string_view plain) const;
    // Nothing when a byte of head or message is not what was sealed.
    std::optional<std::string> open(std::uint64_t number, std::string_view head, std::string_view sealed) const;

  private:
    Secret key_;
};

}  // namespace keel::runtime
