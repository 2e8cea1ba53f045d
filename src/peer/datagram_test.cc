#include "peer/datagram.h"

#include <gtest/gtest.h>

#include "peer/frame.h"

namespace keel::peer {
namespace {

DatagramKey key_of(char byte) { return DatagramKey(std::string(kKeyMaterial, byte)); }

TEST(Datagram, CarriesAFrame) {
    auto const key = key_of('a');
    auto const frame = make_frame(Topic::cluster, 5, "beat");
    auto const sent = make_datagram(key, 5, frame);
    auto const head = read_head(sent);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->key, key.id);
    EXPECT_EQ(head->number, 5U);
    EXPECT_EQ(open_datagram(key, sent), frame);
}

TEST(Datagram, ThatWasChangedOrIsOfAnotherKeyIsNothing) {
    auto const key = key_of('a');
    auto const sent = make_datagram(key, 5, make_frame(Topic::cluster, 5, "beat"));
    EXPECT_FALSE(open_datagram(key_of('b'), sent));
    for (std::size_t i = 0; i < sent.size(); ++i) {
        auto changed = sent;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(open_datagram(key, changed)) << "byte " << i;
        EXPECT_FALSE(open_datagram(key, std::string_view(sent).substr(0, i))) << "cut to " << i;
    }
}

TEST(Datagram, ThatWouldNotPassInOnePieceIsNotMade) {
    auto const key = key_of('a');
    std::size_t const room = kDatagramMost - kDatagramHead - runtime::Seal::kTagBytes;
    EXPECT_EQ(make_datagram(key, 1, std::string(room, 'x')).size(), kDatagramMost);
    EXPECT_TRUE(make_datagram(key, 1, std::string(room + 1, 'x')).empty());
}

TEST(Window, LetsEachNumberInOnce) {
    Window window;
    EXPECT_TRUE(window.first(0)) << "has none";
    EXPECT_TRUE(window.first(0));
    EXPECT_TRUE(window.first(10));
    EXPECT_FALSE(window.first(10));
    EXPECT_TRUE(window.first(9)) << "came late";
    EXPECT_FALSE(window.first(9));
    EXPECT_TRUE(window.first(1000));
    EXPECT_FALSE(window.first(10));
    EXPECT_TRUE(window.first(11));
    EXPECT_TRUE(window.first(5000));
    EXPECT_FALSE(window.first(5000 - 1024)) << "older than what is remembered";
    EXPECT_TRUE(window.first(5000 - 1023));
    EXPECT_FALSE(window.first(1000)) << "replayed much later";
}

}  // namespace
}  // namespace keel::peer
