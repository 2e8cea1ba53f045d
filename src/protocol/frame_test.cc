#include "protocol/frame.h"

#include <gtest/gtest.h>

namespace keel::protocol {
namespace {

using namespace std::string_view_literals;

TEST(Frame, AHeadIsReadAsSoonAsItIsThereAndNeverBeyondItsBound) {
    struct Row {
        char const* what;
        std::string_view in;
        Head::Kind kind;
        std::size_t size;
    };
    Row const rows[] = {
        {"nothing", ""sv, Head::Kind::need_more, 0},
        {"a part of the length", "Q\0\0\0"sv, Head::Kind::need_more, 0},
        {"an empty body", "S\0\0\0\4"sv, Head::Kind::message, 5},
        {"a body that is still to come", "Q\0\0\0\x64"sv, Head::Kind::message, 101},
        {"a length below its own", "Q\0\0\0\3"sv, Head::Kind::malformed, 0},
        {"a length beyond the bound", "Q\0\0\2\0"sv, Head::Kind::malformed, 0},
        {"a negative length", "Q\xff\xff\xff\xff"sv, Head::Kind::malformed, 0},
    };
    for (auto const& row : rows) {
        auto const head = peek_head(row.in, 100);
        EXPECT_EQ(head.kind, row.kind) << row.what;
        EXPECT_EQ(head.size, row.size) << row.what;
    }
}

TEST(Frame, ARunEndsWhereAnotherTypeBegins) {
    std::string in;
    Message(in, 'd').bytes("one");
    Message(in, 'd').bytes("");
    auto const two = in.size();
    auto const run = [](std::string_view bytes) { return peek_run(peek_head(bytes), bytes); };
    EXPECT_EQ(run(std::string_view(in).substr(0, 6)), 8U);  // also where its only message is not whole
    EXPECT_EQ(run(in), two);
    EXPECT_EQ(run(in + "d\0"), two);
    EXPECT_EQ(run(in + std::string("d\0\0\0\x09", 5)), two + 10);
    EXPECT_EQ(run(in + std::string("d\0\0\0\1", 5)), two) << "what is no message is somebody else's to refuse";
    Message(in, 'c').bytes("");
    EXPECT_EQ(run(in), two);
}

TEST(Frame, AReaderNeverGoesBeyondItsBody) {
    Reader reader("a\0bc"sv);
    EXPECT_EQ(reader.text(), "a");
    EXPECT_EQ(reader.u16(), 0x6263);
    EXPECT_TRUE(reader.good());
    EXPECT_EQ(reader.u32(), 0U);
    EXPECT_FALSE(reader.good());
    EXPECT_FALSE(Reader("no end").text().data() != nullptr);
    EXPECT_EQ(Reader("abc").bytes(4), "");
}

TEST(Frame, AMessageHasItsLength) {
    std::string out = "before";
    Message(out, 'X').u8(1).u16(2).u32(3).text("t").bytes("b");
    EXPECT_EQ(out, "beforeX\0\0\0\x0e\1\0\2\0\0\0\3t\0b"sv);
    std::string cut;
    Message(cut, 'S').text("a\0b"sv);
    EXPECT_EQ(cut, "S\0\0\0\6a\0"sv) << "a zero in a text would begin another field";
}

TEST(Frame, AReportIsReadAndWritten) {
    std::string out;
    write_report(out, 'E', {"FATAL", "57P01", "going", "detail", "hint"});
    auto const report = parse_report(std::string_view(out).substr(kHead));
    EXPECT_EQ(report.severity, "FATAL");
    EXPECT_EQ(report.code, "57P01");
    EXPECT_EQ(report.message, "going");
    EXPECT_EQ(report.detail, "detail");
    EXPECT_EQ(report.hint, "hint");
    EXPECT_EQ(parse_report("SFEHLER\0VERROR\0C1"sv).severity, "ERROR");
}

}  // namespace
}  // namespace keel::protocol
