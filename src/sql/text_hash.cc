#include "sql/text_hash.h"

#include <bit>
#include <cstring>

namespace keel::sql {

namespace {

// SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), with its 128-bit output.
struct Sip {
    std::uint64_t a, b, c, d;

    void round() {
        a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
        c += d, d = std::rotl(d, 16) ^ c;
        a += d, d = std::rotl(d, 21) ^ a;
        c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
    }
    void take(std::uint64_t word) {
        d ^= word;
        round(), round();
        a ^= word;
    }
    std::uint64_t finish() {
        round(), round(), round(), round();
        return a ^ b ^ c ^ d;
    }
};

std::uint64_t load(char const* bytes, std::size_t size) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, size);
    return word;
}

}  // namespace

TextHash hash_text(HashKey const& key, std::string_view text) {
    Sip sip{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU ^ 0xeeU, key.low ^ 0x6c7967656e657261U,
            key.high ^ 0x7465646279746573U};
    std::size_t at = 0;
    for (; at + 8 <= text.size(); at += 8) sip.take(load(text.data() + at, 8));
    sip.take(load(text.data() + at, text.size() - at) | (static_cast<std::uint64_t>(text.size()) << 56U));
    sip.c ^= 0xeeU;
    TextHash hash;
    hash.low = sip.finish();
    sip.b ^= 0xddU;
    hash.high = sip.finish();
    return hash;
}

}  // namespace keel::sql
