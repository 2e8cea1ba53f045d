#include "runtime/seal.h"

#include <gtest/gtest.h>

namespace keel::runtime {
namespace {

TEST(Seal, OpensWhatItSealedAndNothingElse) {
    Seal const seal(Secret(std::string(Seal::kKeyBytes, 'k')));
    auto const sealed = seal.seal(7, "head", "a message");
    EXPECT_EQ(sealed.size(), 9 + Seal::kTagBytes);
    EXPECT_FALSE(sealed.contains("message"));
    EXPECT_EQ(seal.open(7, "head", sealed), "a message");
    EXPECT_FALSE(seal.open(8, "head", sealed)) << "another number";
    EXPECT_FALSE(seal.open(7, "tail", sealed)) << "another head";
    EXPECT_FALSE(Seal(Secret(std::string(Seal::kKeyBytes, 'l'))).open(7, "head", sealed)) << "another key";
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto changed = sealed;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(seal.open(7, "head", changed)) << "byte " << i;
        EXPECT_FALSE(seal.open(7, "head", sealed.substr(0, i))) << "cut to " << i;
    }
}

// Test case 13 of the specification of GCM (McGrew and Viega, 2005): key and nonce of zeros, nothing in it.
TEST(Seal, AgreesWithThePublishedVector) {
    Seal const seal(Secret(std::string(Seal::kKeyBytes, '\0')));
    auto const sealed = seal.seal(0, "", "");
    EXPECT_EQ(sealed, std::string("\x53\x0f\x8a\xfb\xc7\x45\x36\xb9\xa9\x63\xb4\xf1\xc4\xcb\x73\x8b", 16));
    EXPECT_EQ(seal.open(0, "", sealed), "");
}

}  // namespace
}  // namespace keel::runtime
