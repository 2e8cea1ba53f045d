#include "runtime/files.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/testing.h"

namespace keel::runtime {
namespace {

using testing::Directory;
using testing::must;

TEST(Files, AnAtomicWriteReplacesTheWholeFileWithTheModeAsked) {
    Directory const directory;
    auto const path = directory / "state";
    EXPECT_TRUE(write_atomically(path, std::string(100'000, 'a'), 0600));
    EXPECT_TRUE(write_atomically(path, "short", 0640));
    EXPECT_EQ(must(read_file(path, 100)), "short");
    struct stat seen{};
    ASSERT_EQ(::stat(path.c_str(), &seen), 0);
    EXPECT_EQ(seen.st_mode & 0777, 0640u);
    EXPECT_FALSE(exists(path + ".new"));
}

// In a process and mount namespace of its own, with a file system of 64 KiB. What is returned is the exit code.
int on_a_tiny_disk(std::string const& directory) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 10;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 11;
    if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=64k") != 0) return 12;
    auto const path = directory + "/state";
    if (!write_atomically(path, "old", 0600)) return 13;
    auto const status = write_atomically(path, std::string(100'000, 'a'), 0600);
    if (status || status.error().code != Code::exhausted || status.error().mend.empty()) return 14;
    if (read_file(path, 100).value_or("") != "old" || exists(path + ".new")) return 15;
    return write_atomically(path, "new", 0600) ? 0 : 16;
}

TEST(Files, AFullDiskIsExhaustedAndLeavesTheOldFile) {
    Directory const directory;
    pid_t const child = ::fork();
    if (child == 0) ::_exit(on_a_tiny_disk(directory.path()));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "10..12: no mount namespace for the test; else the step that was wrong";
}

TEST(Files, ReadingSaysWhatIsWrong) {
    Directory const directory;
    EXPECT_EQ(read_file(directory / "none", 10).error().code, Code::not_found);
    EXPECT_TRUE(write_atomically(directory / "long", std::string(11, 'a'), 0600));
    EXPECT_EQ(read_file(directory / "long", 10).error().code, Code::exhausted);
    EXPECT_EQ(write_atomically(directory / "none/file", "a", 0600).error().code, Code::not_found);
}

TEST(Files, DirectoriesAreMadeWithTheirParentsAndGetTheirMode) {
    Directory const directory;
    EXPECT_TRUE(ensure_directory(directory / "a/b/c", 0700));
    EXPECT_TRUE(ensure_directory(directory / "a/b/c", 0750));
    struct stat seen{};
    ASSERT_EQ(::stat((directory / "a/b/c").c_str(), &seen), 0);
    EXPECT_EQ(seen.st_mode & 0777, 0750u);
    EXPECT_TRUE(write_atomically(directory / "file", "a", 0600));
    EXPECT_EQ(ensure_directory(directory / "file", 0700).error().code, Code::invalid);
    EXPECT_GT(must(free_bytes(directory.path())), 0u);
}

TEST(FileLock, KeepsASecondProcessOutUntilTheHolderIsGone) {
    Directory const directory;
    auto const path = directory / "lock";
    {
        auto const lock = must(FileLock::take(path));
        auto const second = FileLock::take(path);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, Code::conflict);
        EXPECT_NE(second.error().text.find(std::to_string(::getpid())), std::string::npos) << second.error().text;
    }
    EXPECT_TRUE(FileLock::take(path));
}

TEST(Clock, UuidsAreVersionFourAndDiffer) {
    auto const uuid = random_uuid();
    EXPECT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(uuid, random_uuid());
    EXPECT_LE(boot_now(), boot_now());
}

}  // namespace
}  // namespace keel::runtime
