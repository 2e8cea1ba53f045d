#include "postgres/timelines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "postgres/control_data.h"

namespace keel::postgres {
namespace {

constexpr std::uint64_t kSegment = 16U << 20U;

struct PgWal {
    PgWal() {
        char name[] = "/tmp/pgkeel-wal-XXXXXX";
        data = ::mkdtemp(name);
        std::filesystem::create_directory(data + "/pg_wal");
    }
    ~PgWal() { std::filesystem::remove_all(data); }
    void write(std::string const& file, std::string const& text = "") const {
        std::ofstream(data + "/pg_wal/" + file) << text;
    }
    bool has(std::string const& file) const { return std::filesystem::exists(data + "/pg_wal/" + file); }
    std::string data;
};

TEST(Timelines, NamesAreHexadecimal) {
    EXPECT_EQ(history_name({26}), "0000001A.history");
    EXPECT_EQ(segment_name({2}, 0x1FF, kSegment), "0000000200000001000000FF");
    EXPECT_EQ(segment_name({2}, 5, 1U << 30U), "000000020000000100000001");
}

TEST(Timelines, HistoriesAreReadAsPostgresqlWritesThem) {
    auto const got = parse_history("1\t0/3000148\tno recovery target specified\n# c\n\n  3\t16/B374D848\tx\n");
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, (History{{{1}, {0x3000148}}, {{3}, {0x16B374D848}}}));
    EXPECT_TRUE(parse_history("")->empty());
    EXPECT_TRUE(parse_history(claim_text({4}))->empty());
    for (auto const* wrong : {"x\t0/1\n", "1\n", "1\t0-1\n", "2\t0/1\n1\t0/2\n"})
        EXPECT_FALSE(parse_history(wrong)) << wrong;
}

TEST(Timelines, TheByteBeforeTheEndDecidesTheOwner) {
    History const history{{{1}, {100}}, {{2}, {200}}};
    EXPECT_EQ(owner_of({3}, history, {100}), Timeline{1});
    EXPECT_EQ(owner_of({3}, history, {101}), Timeline{2});
    EXPECT_EQ(owner_of({3}, history, {201}), Timeline{3});
}

TEST(Timelines, ForkIsTheLastCommonPosition) {
    EXPECT_EQ(fork_of({1}, {}, {2}, {{{1}, {100}}}), Lsn{100});
    EXPECT_EQ(fork_of({3}, {{{1}, {100}}, {{2}, {300}}}, {5}, {{{1}, {100}}, {{2}, {200}}}), Lsn{200});
    EXPECT_EQ(fork_of({2}, {{{1}, {100}}}, {3}, {{{1}, {50}}}), Lsn{50});
    EXPECT_EQ(fork_of({2}, {{{1}, {100}}}, {3}, {{{1}, {150}}}), Lsn{100});
}

TEST(Timelines, AStandbyThatOnlyLearntOfATimelineIsNotOnIt) {
    PgWal const wal;
    wal.write("00000002.history", "1\t0/3000100\tx\n");
    wal.write(segment_name({1}, 3, kSegment));
    EXPECT_EQ(timeline_on_disk(wal.data, {0x3000100}, kSegment, {1}), Timeline{1});
    EXPECT_EQ(timeline_on_disk(wal.data, {0x3000200}, kSegment, {1}), Timeline{1})
        << "it ran on behind the fork, diverged";
    wal.write(segment_name({2}, 3, kSegment));
    EXPECT_EQ(timeline_on_disk(wal.data, {0x3000100}, kSegment, {1}), Timeline{1})
        << "of the new one only the copied part";
    EXPECT_EQ(timeline_on_disk(wal.data, {0x3000101}, kSegment, {1}), Timeline{2});
    EXPECT_EQ(timeline_on_disk(wal.data, {0x3000101}, kSegment, {2}), Timeline{2});
}

TEST(Timelines, ClaimsFillTheGapBelowAPromotion) {
    PgWal const wal;
    wal.write("00000002.history", "1\t0/3000100\tx\n");
    auto const claims = claim_below(wal.data, {2}, {5});
    ASSERT_TRUE(claims);
    EXPECT_EQ(*claims, (std::vector<Timeline>{{3}, {4}}));
    EXPECT_TRUE(wal.has("00000003.history") && wal.has("00000004.history") && !wal.has("00000005.history"));
    EXPECT_FALSE(claim_below(wal.data, {2}, {2}));
    EXPECT_TRUE(foreign_histories(wal.data, {2}, {0x3000200}).empty()) << "claims are nobody's timeline";

    // Leftovers of a promotion that never was: gone before a start, but only those above every real one.
    wal.write("00000006.history", "1\t0/3000100\tx\n2\t0/4000000\tx\n");
    wal.write("00000007.history", claim_text({7}));
    drop_dangling_claims(wal.data);
    EXPECT_TRUE(wal.has("00000004.history") && wal.has("00000006.history") && !wal.has("00000007.history"));
    EXPECT_EQ(claim_below(wal.data, {2}, {6}).error().code, Code::conflict);
    EXPECT_EQ(foreign_histories(wal.data, {2}, {0x3000200}), std::vector<Timeline>{{6}});
    EXPECT_TRUE(foreign_histories(wal.data, {2}, {0x4000000}).empty()) << "branches off exactly where our WAL ends";
}

constexpr char const* kControl = R"(pg_control version number:            1300
Database system identifier:           7312345678901234567
Database cluster state:               shut down in recovery
Latest checkpoint location:           0/3000060
Latest checkpoint's REDO location:    0/3000028
Latest checkpoint's TimeLineID:       1
Minimum recovery ending location:     0/30174A0
Min recovery ending loc's timeline:   2
Bytes per WAL segment:                16777216
Data page checksum version:           1
)";

TEST(ControlData, IsReadFromPgControldata) {
    auto const got = parse_control_data(kControl);
    ASSERT_TRUE(got) << got.error().text;
    EXPECT_EQ(got->system_id, "7312345678901234567");
    EXPECT_TRUE(got->clean());
    EXPECT_TRUE(got->checksums);
    EXPECT_EQ(got->known_end(), Lsn{0x30174A0});
    EXPECT_EQ(got->known_timeline(), Timeline{2});
    EXPECT_EQ(got->segment_bytes, kSegment);
}

TEST(ControlData, MissingFieldsAreNamed) {
    std::string text = kControl;
    text.erase(text.find("Latest checkpoint's TimeLineID"), 40);
    auto const got = parse_control_data(text);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().text, testing::HasSubstr("TimeLineID"));
    EXPECT_FALSE(parse_control_data(""));
}

}  // namespace
}  // namespace keel::postgres
