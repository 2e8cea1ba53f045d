#include "archive/restore.h"

#include <unistd.h>

#include "archive/testing.h"

namespace keel::archive {
namespace {

using testing::backup_of;

struct Restoring : testing::Stored {
    Status restore() {
        Plan const plan{backup_of("a", 1), {}, {}, {}};
        KEEL_CHECK(archive::restore(
            open(), plan, {directory_ / "to/data", "/nowhere", ""}, [](std::uint64_t, std::uint64_t) {},
            postgres::Bound(60s)));
        return {};
    }
    bool begun() const { return std::filesystem::exists(directory_ / "to/data"); }
};

// It went on without one, and an expiry could take the backup away below it.
TEST_F(Restoring, DoesNotBeginWithoutItsMark) {
    put_backup(backup_of("a", 1));
    put("1/hold", "no folder");
    auto const done = restore();
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().text.contains("keeps the backup from expiry")) << done.error().text;
    EXPECT_FALSE(begun());
}

TEST_F(Restoring, BeginsWhereItMayOnlyRead) {
    put_backup(backup_of("a", 1));
    namespace fs = std::filesystem;
    fs::create_directory(directory_ / "to");
    fs::permissions(directory_ / "to", fs::perms::all);
    fs::permissions(directory_.path(), fs::perms::all);
    fs::permissions(settings_.repository + "/1", fs::perms::owner_read | fs::perms::owner_exec);
    bool const root = ::geteuid() == 0;
    if (root) ASSERT_EQ(::seteuid(65534), 0);  // whom no permission is waived for
    auto const done = restore();
    if (root) ASSERT_EQ(::seteuid(0), 0);
    EXPECT_TRUE(begun()) << to_string(done.error());
    fs::permissions(settings_.repository + "/1", fs::perms::owner_all);
}

}  // namespace
}  // namespace keel::archive
