#include "archive/chunks.h"

#include <gtest/gtest.h>

namespace keel::archive {

namespace {

constexpr std::size_t kChunk = 64U << 10U;
constexpr std::size_t kHeader = 40;
constexpr std::size_t kSealed = kChunk + 16;

Secret key(char c = 'k') { return Secret(std::string(32, c)); }

std::string seal(std::string const& plain, std::string const& name = "1/wal/x", char salt = 's') {
    std::string out;
    ChunkSealer sealer(key(), name, std::string(kSaltBytes, salt), [&](std::string_view part) -> Status {
        out += part;
        return {};
    });
    // Cut anywhere: the format does not show it.
    for (std::size_t at = 0; at < plain.size(); at += 1000)
        EXPECT_TRUE(sealer.add(std::string_view(plain).substr(at, 1000)));
    EXPECT_TRUE(sealer.finish());
    return out;
}

Result<std::string> open(std::string const& sealed, Secret const& with = key(), std::string const& name = "1/wal/x") {
    std::string out;
    ChunkOpener opener(with, name, [&](std::string_view part) -> Status {
        out += part;
        return {};
    });
    for (std::size_t at = 0; at < sealed.size(); at += 777)
        KEEL_CHECK(opener.add(std::string_view(sealed).substr(at, 777)));
    KEEL_CHECK(opener.finish());
    return out;
}

std::string text(std::size_t size) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out += static_cast<char>('a' + i % 23);
    return out;
}

TEST(Chunks, WhatWasSealedComesBackAtEveryLength) {
    for (std::size_t const size : {std::size_t{0}, std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, 3 * kChunk}) {
        auto const plain = text(size);
        auto const sealed = seal(plain);
        EXPECT_EQ(sealed.size(), kHeader + size + 16 * (size / kChunk + 1));
        EXPECT_FALSE(size > 20 && sealed.contains(plain.substr(0, 20)));
        auto const back = open(sealed);
        ASSERT_TRUE(back) << size;
        EXPECT_EQ(*back, plain);
    }
}

TEST(Chunks, NothingCanBeChangedMovedCutOffOrAdded) {
    auto const plain = text(2 * kChunk + 100);
    auto const sealed = seal(plain);
    for (std::size_t const at : {std::size_t{0}, std::size_t{8}, std::size_t{39}, kHeader, kHeader + kSealed - 1,
                                 kHeader + kSealed, sealed.size() - 1}) {
        auto changed = sealed;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        EXPECT_FALSE(open(changed)) << at;
    }
    for (std::size_t const size : {std::size_t{0}, std::size_t{10}, kHeader, kHeader + 5, kHeader + kSealed,
                                   kHeader + 2 * kSealed, sealed.size() - 1})
        EXPECT_FALSE(open(sealed.substr(0, size))) << size;
    EXPECT_FALSE(open(sealed + "x"));
    EXPECT_FALSE(open(sealed + sealed.substr(kHeader + 2 * kSealed)));
    auto const swapped = sealed.substr(0, kHeader) + sealed.substr(kHeader + kSealed, kSealed) +
                         sealed.substr(kHeader, kSealed) + sealed.substr(kHeader + 2 * kSealed);
    EXPECT_FALSE(open(swapped));
    // A header of another object of the same name.
    EXPECT_FALSE(open(seal(plain, "1/wal/x", 't').substr(0, kHeader) + sealed.substr(kHeader)));
}

TEST(Chunks, AnotherKeyOrNameOpensNothing) {
    auto const sealed = seal(text(10));
    EXPECT_FALSE(open(sealed, key('K')));
    EXPECT_FALSE(open(sealed, key(), "1/wal/y"));
    auto const error = open("not encrypted at all, and longer than a header is").error();
    EXPECT_TRUE(error.text.contains("is not encrypted")) << error.text;
}

TEST(Chunks, TheSameBytesLookDifferentEachTimeAndKeysHaveOneUse) {
    EXPECT_NE(seal(text(10)), seal(text(10), "1/wal/x", 't'));
    EXPECT_NE(seal(text(10)).substr(kHeader), seal(text(10), "1/wal/y").substr(kHeader));
    EXPECT_NE(derive(key(), "a", "b"), derive(key(), "ab", ""));
}

}  // namespace

}  // namespace keel::archive
