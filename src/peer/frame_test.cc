#include "peer/frame.h"

#include <gtest/gtest.h>

namespace keel::peer {
namespace {

std::string bytes(std::initializer_list<int> values) {
    std::string out;
    for (int const value : values) out += static_cast<char>(value);
    return out;
}

TEST(Frame, ComesBackAsItWasMadeAndLeavesWhatFollows) {
    for (std::size_t const size : {std::size_t{0}, std::size_t{1}, std::size_t{70'000}, kBodyLimit}) {
        std::string const body(size, 'x');
        auto const made = make_frame(Topic::store, 0x1122334455667788, body);
        EXPECT_EQ(made.size(), kFrameHead + size);
        auto const read = next_frame(made + "next");
        auto const* frame = std::get_if<Frame>(&read);
        ASSERT_NE(frame, nullptr) << size;
        EXPECT_EQ(frame->topic, Topic::store);
        EXPECT_EQ(frame->call, 0x1122334455667788u);
        EXPECT_EQ(frame->size, made.size());
        EXPECT_EQ(frame->body.size(), size);
    }
}

TEST(Frame, EveryPrefixNeedsMore) {
    auto const made = make_frame(Topic::cluster, 7, "body");
    for (std::size_t length = 0; length < made.size(); ++length) {
        auto const read = next_frame(std::string_view(made).substr(0, length));
        auto const* more = std::get_if<NeedMore>(&read);
        ASSERT_NE(more, nullptr) << length;
        EXPECT_GT(more->bytes, length);
        EXPECT_LE(more->bytes, made.size());
    }
}

TEST(Frame, BadLengthsAreMalformed) {
    struct Row {
        char const* sentence;
        std::string in;
        bool malformed;
    };
    Row const rows[] = {
        {"a length of zero", bytes({0, 0, 0, 0}), true},
        {"a length below the head's", bytes({0, 0, 0, 8}), true},
        {"the shortest frame needs its bytes", bytes({0, 0, 0, 9}), false},
        {"the longest frame needs its bytes", bytes({0, 0x40, 0, 0}), false},
        {"one byte above the limit", bytes({0, 0x40, 0, 1}), true},
        {"the longest length", bytes({255, 255, 255, 255}), true},
        {"a TLS handshake", bytes({0x16, 3, 1, 2, 0}), true},
        {"HTTP", "GET / HTTP/1.1\r\n\r\n", true},
    };
    for (auto const& row : rows) {
        EXPECT_EQ(std::holds_alternative<Malformed>(next_frame(row.in)), row.malformed) << row.sentence;
    }
}

TEST(Frame, AnUnknownTopicIsAFrameToSkip) {
    auto const read = next_frame(bytes({0, 0, 0, 9, 99, 0, 0, 0, 0, 0, 0, 0, 1}));
    ASSERT_TRUE(std::holds_alternative<Frame>(read));
    EXPECT_FALSE(is_known(std::get<Frame>(read).topic));
    EXPECT_TRUE(is_known(Topic::call));
}

TEST(Hello, ComesBackAndSkipsWhatANewerNodeAdds) {
    auto const hello = parse_hello(write_hello({NodeId{"a"}, ~std::uint64_t{0}, "c1", 1}));
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->node.value, "a");
    EXPECT_EQ(hello->incarnation, ~std::uint64_t{0});
    EXPECT_EQ(hello->cluster, "c1");
    EXPECT_TRUE(parse_hello(R"({"node":"a","colour":"red"})"));
    for (auto const* body : {"", "{}", "[]", "nonsense", R"({"node":7})", R"({"node":""})"}) {
        EXPECT_FALSE(parse_hello(body)) << body;
    }
}

TEST(Call, CarriesMethodAndArgument) {
    auto const body = write_call("status", "a\nb");
    auto const call = parse_call(body);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->method, "status");
    EXPECT_EQ(call->argument, "a\nb");
    for (auto const& wrong :
         {std::string(), std::string("status"), std::string("\nargument"), std::string(65, 'm') + "\n"}) {
        EXPECT_FALSE(parse_call(wrong)) << wrong;
    }
}

TEST(Answer, CarriesAResultOrAnErrorWithItsOutcome) {
    auto const payload = bytes({0, '\n', 255, 'x'});
    EXPECT_EQ(parse_answer(write_answer(payload)).value_or("wrong"), payload);
    Error const error{Code::conflict, "text", "mend", Outcome::unknown};
    auto const answer = parse_answer(write_answer(fail(error)));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::conflict);
    EXPECT_EQ(answer.error().text, "text");
    EXPECT_EQ(answer.error().mend, "mend");
    EXPECT_EQ(answer.error().outcome, Outcome::unknown);
    for (auto const* body : {"", "{}", "nonsense\nx", "[]\n"}) EXPECT_FALSE(parse_answer(body)) << body;
}

}  // namespace
}  // namespace keel::peer
