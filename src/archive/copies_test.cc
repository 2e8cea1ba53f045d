#include "archive/copies.h"

#include <gmock/gmock.h>

#include "archive/testing.h"

namespace keel::archive {
namespace {

using testing::at;
using testing::backup_of;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The first repository is that of Stored; the other one lies beside it.
class Copies : public testing::Stored {
  protected:
    Copies() {
        other_.repository = directory_ / "other";
        std::filesystem::create_directory(other_.repository);
        asked_ = {"1", "cluster", directory_ / "memory"};
    }
    Repository other() { return *Repository::open(other_); }
    Result<Copied> copy() { return copy_archive(open(), other(), asked_); }

    // With content that its description fits.
    void put_whole(std::string const& label, std::uint64_t segment) {
        auto one = backup_of(label, segment);
        one.sha256 = one.manifest_sha256 = sha256_hex("x");
        one.ended_unix_ms = runtime::unix_ms_now() - 1000 + static_cast<std::int64_t>(segment);
        put_backup(one);
        put_wal(segment);
    }
    void put_wal(std::uint64_t segment) {
        ASSERT_TRUE(open().put_wal("1", name(segment), "wal of " + std::to_string(segment)));
    }
    static std::string name(std::uint64_t segment) {
        return postgres::segment_name(Timeline{1}, segment, testing::kSize);
    }
    std::vector<std::string> copied_labels() {
        std::vector<std::string> out;
        for (auto const& one : *other().backups("1")) out.push_back(one.label);
        return out;
    }
    std::size_t copied_segments() { return other().list("1", testing::kSize)->segments.size(); }

    config::RepositorySettings other_;
    CopyAsked asked_;
};

TEST_F(Copies, TakeAllThatThereIsAndThenOnlyWhatIsNew) {
    put_whole("a", 1);
    put_whole("b", 2);
    ASSERT_TRUE(open().put_tail("1", name(3), "beginning", 0));
    ASSERT_TRUE(open().put_wal("1", "00000002.history", "1\t0/5000000\tno reason\n"));
    auto const first = copy();
    ASSERT_TRUE(first) << to_string(first.error());
    EXPECT_EQ(first->backups, 2U);
    EXPECT_EQ(first->segments, 3U);
    EXPECT_EQ(first->wal_to, at(3, 9));
    EXPECT_THAT(copied_labels(), ElementsAre("a", "b"));
    EXPECT_EQ(*other().get_wal("1", name(2), testing::kSize), "wal of 2");
    EXPECT_EQ(*other().get_tail("1", name(3), testing::kSize), "beginning");
    EXPECT_EQ(other().list("1", testing::kSize)->lineages.size(), 2U);
    EXPECT_TRUE(other().check_owner("1", "cluster"));
    EXPECT_THAT(*other().objects().list("1/hold/"), IsEmpty());
    EXPECT_THAT(*open().objects().list("1/hold/"), IsEmpty());

    auto const again = copy();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->backups + again->segments + again->dumps, 0U);
    put_wal(3);
    EXPECT_EQ(copy()->segments, 1U);
    EXPECT_FALSE(other().get_tail("1", name(3), testing::kSize)) << "the whole segment is there";
}

TEST_F(Copies, OfAnotherClusterAreLeftAlone) {
    put_whole("a", 1);
    ASSERT_TRUE(other().objects().put("1/owner", "somebody else\n"));
    auto const done = copy();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::conflict);
    EXPECT_THAT(copied_labels(), IsEmpty());
}

TEST_F(Copies, ShowNoBackupThatIsNotWhatWasStored) {
    put_whole("a", 1);
    put_whole("b", 2);
    put("1/backup/b/base.tar.zst", "altered");
    auto const done = copy();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::corrupt);
    EXPECT_THAT(copied_labels(), ElementsAre("a"));
    EXPECT_THAT(*open().objects().list("1/hold/"), IsEmpty());
    put("1/backup/b/base.tar.zst");  // brought back
    EXPECT_TRUE(copy());
    EXPECT_THAT(copied_labels(), ElementsAre("a", "b"));
}

TEST_F(Copies, HaveWalAlsoWhereSomethingElseIsWrong) {
    put_whole("a", 1);
    put("1/backup/a/backup_manifest", "altered");
    EXPECT_FALSE(copy());
    EXPECT_EQ(copied_segments(), 1U);
}

// What is removed from the first by mistake is in the other as long as that keeps it.
TEST_F(Copies, AreThinnedByTheirOwnRetention) {
    for (std::uint64_t i = 1; i <= 4; ++i) put_whole(std::string(1, static_cast<char>('a' + i - 1)), i);
    ASSERT_TRUE(copy());
    for (auto const* label : {"a", "b"}) ASSERT_TRUE(open().remove_backup("1", label));
    auto const kept = thin_copy(open(), other(), "1", {.fulls = 3}, 0);
    ASSERT_TRUE(kept) << to_string(kept.error());
    EXPECT_EQ(kept->backups, 1U);
    EXPECT_THAT(copied_labels(), ElementsAre("b", "c", "d"));
    // However little the copy is to keep, what the first one has stays, and is not copied again and again.
    ASSERT_TRUE(thin_copy(open(), other(), "1", {.fulls = 1}, 0));
    EXPECT_THAT(copied_labels(), ElementsAre("c", "d"));
    EXPECT_EQ(copied_segments(), 2U);
    auto const again = copy();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->backups + again->segments, 0U);
    EXPECT_EQ(copied_segments(), 2U);
}

}  // namespace
}  // namespace keel::archive
