#include "archive/base_backup.h"

#include "archive/hold.h"
#include "archive/testing.h"

namespace keel::archive {
namespace {

using testing::at;
using testing::backup_of;
using testing::Stored;

struct Leftovers : Stored {
    std::string const mine = "20261126T030000Z-db1";
    Status remove() { return remove_leftovers(open(), "1", "db1"); }
    bool left(std::string const& label) const { return exists("1/backup/" + label + "/base.tar.zst"); }
};

TEST_F(Leftovers, OfAKilledBackupAreRemoved) {
    put_files(mine);
    auto const hold = WorkHold::place(open(), "1", {mine, at(1), 0, kBeingTaken});  // the dead process's
    ASSERT_TRUE(hold && remove());
    EXPECT_FALSE(left(mine));
    EXPECT_TRUE(holds_of(open(), "1")->empty());
}

// "eu-db1" ends like "db1": its backup at work was removed, and then called good without its data.
TEST_F(Leftovers, OfAnotherNodeWhoseNameEndsAlikeStay) {
    for (auto const* label : {"20261126T030000Z-eu-db1", "20261126T030000Z-1-db1", "x-db1", "db1"}) {
        put_files(label);
        ASSERT_TRUE(remove());
        EXPECT_TRUE(left(label)) << label;
    }
}

// An expiry has taken its description away, and gives it back: somebody holds it.
TEST_F(Leftovers, WhatSomebodyHoldsIsNone) {
    put_backup(backup_of(mine, 1));
    ASSERT_TRUE(pin(open(), backup_of(mine, 1), ""));
    ASSERT_TRUE(open().objects().remove("1/backup/" + mine + "/backup.json"));
    ASSERT_TRUE(remove());
    EXPECT_TRUE(left(mine));
    ASSERT_TRUE(unpin(open(), "1", mine));
    {
        auto const restore = WorkHold::place(open(), "1", {mine, at(1), 0, "a restore reads it"});
        ASSERT_TRUE(restore && remove());
        EXPECT_TRUE(left(mine));
    }
    ASSERT_TRUE(remove());
    EXPECT_FALSE(left(mine));
}

// By an expiry that was killed: the next one gives it back.
TEST_F(Leftovers, WhatIsHiddenIsNone) {
    put_files(mine);
    put("1/backup/" + mine + "/backup.json.expiring", json::write(backup_of(mine, 1)));
    ASSERT_TRUE(remove());
    EXPECT_TRUE(left(mine));
}

TEST_F(Leftovers, CompleteOnesStay) {
    put_backup(backup_of(mine, 1));
    ASSERT_TRUE(remove());
    EXPECT_TRUE(left(mine));
}

using Completing = Stored;

// Somebody removed the files of a backup at work; its description alone made it look whole.
TEST_F(Completing, WithoutItsFilesABackupIsNotComplete) {
    auto const one = backup_of("20261126T030000Z-db1", 1);
    auto const refused = [&] {
        auto const done = complete(open(), one);
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, Code::conflict);
        EXPECT_TRUE(labels().empty());
    };
    refused();
    put("1/backup/" + one.label + "/backup_manifest");
    refused();
    put("1/backup/" + one.label + "/base.tar.zst");
    ASSERT_TRUE(complete(open(), one));
    EXPECT_EQ(labels(), std::vector{one.label});
}

// It was built on one that has expired since, or that somebody removed.
TEST_F(Completing, WithoutWhatItIsBuiltOnABackupIsNotComplete) {
    auto one = backup_of("20261126T030000Z-db1", 1);
    one.kind = BackupKind::incremental;
    one.chain = {"a"};
    put("1/backup/" + one.label + "/backup_manifest");
    put("1/backup/" + one.label + "/blocks.zst");
    EXPECT_EQ(complete(open(), one).error().code, Code::conflict);
    EXPECT_TRUE(labels().empty());
    put_backup(backup_of("a", 1));
    ASSERT_TRUE(complete(open(), one));
    one.blocks_sha256 = "x";
    EXPECT_EQ(complete(open(), one).error().code, Code::conflict) << "the list is a file of it";
}

using Verifying = Stored;

TEST_F(Verifying, WhatHasExpiredMeanwhileIsNotBroken) {
    auto const one = backup_of("20261126T030000Z-db1", 1);
    auto const verify = [&] { return verify_backup(open(), one, [](std::uint64_t, std::uint64_t) {}); };
    EXPECT_EQ(verify().error().code, Code::not_found);
    put("1/backup/" + one.label + "/backup.json", json::write(one));
    EXPECT_EQ(verify().error().code, Code::corrupt);
}

}  // namespace
}  // namespace keel::archive
