// The one source of chance of a simulated run: everything is drawn from the seed.
#pragma once

#include <cstdint>

namespace keel::sim {

// Virtual time in microseconds; the truth, which no node can read.
using Time = std::int64_t;
inline constexpr Time kMs = 1000;
inline constexpr Time kSecond = 1000 * kMs;

// xoshiro256** (Blackman, Vigna), seeded by splitmix64.
class Rng {
  public:
    explicit Rng(std::uint64_t seed) {
        for (auto& word : state_) {
            seed += 0x9e3779b97f4a7c15U;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
            word = z ^ (z >> 31U);
        }
    }
    std::uint64_t next() {
        auto const rotl = [](std::uint64_t x, unsigned k) { return (x << k) | (x >> (64U - k)); };
        std::uint64_t const result = rotl(state_[1] * 5, 7) * 9;
        std::uint64_t const t = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotl(state_[3], 45);
        return result;
    }
    // 0 <= result < bound; bound > 0.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    int pick(int bound) { return static_cast<int>(below(static_cast<std::uint64_t>(bound))); }
    // first <= result <= last.
    Time between(Time first, Time last) {
        return first + static_cast<Time>(below(static_cast<std::uint64_t>(last - first + 1)));
    }
    bool chance(double probability) { return static_cast<double>(next() >> 11U) * 0x1.0p-53 < probability; }

  private:
    std::uint64_t state_[4]{};
};

}  // namespace keel::sim
