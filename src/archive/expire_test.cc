#include "archive/expire.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

#include "archive/base_backup.h"
#include "archive/hold.h"
#include "archive/testing.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {
namespace {

using testing::at;
using testing::backup_of;
using ::testing::ElementsAre;
using testing::kSize;

// A pin that an expiry waits for once it reads it: a file whose content is yet to come.
class Gate {
  public:
    explicit Gate(std::string path) : path_(std::move(path)) {
        std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
        EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    }
    // Until somebody reads it.
    void wait() {
        auto const end = runtime::boot_now() + 30s;
        while (file_ < 0 && runtime::boot_now() < end) {
            file_ = ::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);  // ENXIO without a reader
            if (file_ < 0) std::this_thread::sleep_for(1ms);
        }
        ASSERT_GE(file_, 0) << "nobody reads " << path_;
    }
    // For whoever waits, and for everybody after that.
    void open(Hold const& content) {
        auto const text = json::write(content);
        ASSERT_TRUE(runtime::write_atomically(path_, text, 0600));
        ASSERT_EQ(::write(file_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ::close(file_);
    }

  private:
    std::string path_;
    int file_ = -1;
};

// Backups "a" and "b", whose WAL begins in the segments 2 and 4, and WAL of the segments 0 to 5. Of one of them, "a"
// goes.
struct ExpiryAtWork : testing::Stored {
    ExpiryAtWork() {
        put_backup(backup_of("a", 2));
        put_backup(backup_of("b", 4));
        for (std::uint64_t number = 0; number < 6; ++number)
            put("1/wal/0000000100000000/" + segment(number) + "-" + std::string(64, 'f') + ".zst");
    }
    static std::string segment(std::uint64_t number) { return postgres::segment_name(Timeline{1}, number, kSize); }
    Expiry plan() {
        auto out = find_expiry(open(), "1", {.fulls = 1, .days = 0});
        EXPECT_TRUE(out && out->wal_from == at(4) && out->backups.size() == 1) << "a goes, and WAL before b";
        return *out;
    }
    std::vector<std::uint64_t> segments() {
        std::vector<std::uint64_t> out;
        for (auto const& one : open().list("1", kSize)->segments) out.push_back(one.number);
        return out;
    }
    std::string gate(std::string const& label) const { return settings_.repository + "/1/hold/" + label + "/pin"; }
};

TEST_F(ExpiryAtWork, RemovesWhatGoes) {
    auto const done = expire(open(), "1", plan());
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_THAT(labels(), ElementsAre("b"));
    EXPECT_FALSE(exists("1/backup/a"));
    EXPECT_THAT(segments(), ElementsAre(4, 5));
    EXPECT_TRUE(open().objects().list("1/expiring/")->empty());
}

TEST_F(ExpiryAtWork, KeepsWhatWasPinnedSinceThePlan) {
    auto const made = plan();
    ASSERT_TRUE(pin(open(), backup_of("a", 2), ""));
    auto const done = expire(open(), "1", made);
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_THAT(done->kept, ElementsAre("a"));
    EXPECT_THAT(labels(), ElementsAre("a", "b"));
    EXPECT_THAT(segments(), ElementsAre(2, 3, 4, 5));
    EXPECT_FALSE(exists("1/backup/a/backup.json.expiring"));
}

// The descriptions of all that was to go were removed first, and then the holds looked for: what was pinned, and what
// not even its turn had come for, was lost when the expiry was killed in between.
TEST_F(ExpiryAtWork, MayBeKilledWhileABackupIsHidden) {
    put_backup(backup_of("a2", 3));
    auto const made = *find_expiry(open(), "1", {.fulls = 1, .days = 0});
    Gate gate(this->gate("a"));
    auto const child = ::fork();
    if (child == 0) {
        (void)expire(open(), "1", made);
        ::_exit(0);
    }
    gate.wait();
    EXPECT_THAT(labels(), ElementsAre("a2", "b"));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::filesystem::remove(this->gate("a"));
    put("1/hold/a/pin", json::write(Hold{"a", at(2, 40), 0, "pinned"}));
    ASSERT_TRUE(remove_leftovers(open(), "1", "a"));
    ASSERT_TRUE(mend_expiry(open(), "1"));
    EXPECT_THAT(labels(), ElementsAre("a", "a2", "b"));
    EXPECT_EQ(missing_file(open(), backup_of("a", 2)), "");
    EXPECT_FALSE(exists("1/backup/a/backup.json.expiring"));
    ASSERT_TRUE(expire(open(), "1", *find_expiry(open(), "1", {.fulls = 1, .days = 0})));
    EXPECT_THAT(labels(), ElementsAre("a", "b"));
}

Backup on_a(std::string label, std::uint64_t segment) {
    auto out = backup_of(std::move(label), segment);
    out.kind = BackupKind::incremental;
    out.chain = {"a"};
    return out;
}

// One that was built on it, and is complete, since the plan was made.
TEST_F(ExpiryAtWork, KeepsWhatSomethingIsBuiltOnSinceThePlan) {
    auto const made = plan();
    put_backup(on_a("late", 4));
    auto const done = expire(open(), "1", made);
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_THAT(done->kept, ElementsAre("a"));
    EXPECT_EQ(missing_link(on_a("late", 4), *open().backups("1")), "");
    EXPECT_FALSE(exists("1/backup/a/backup.json.expiring"));
}

// And one that is being built on it: its process holds both.
TEST_F(ExpiryAtWork, KeepsWhatABackupAtWorkIsBuiltOn) {
    auto const made = plan();
    auto const hold = WorkHold::place(open(), "1", {"late", at(4), 0, kBeingTaken, {"a"}});
    ASSERT_TRUE(hold);
    auto const done = expire(open(), "1", made);
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_THAT(done->kept, ElementsAre("a"));
    EXPECT_THAT(labels(), ElementsAre("a", "b"));
    auto const again = find_expiry(open(), "1", {.fulls = 1, .days = 0});
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->backups.empty());
}

TEST_F(ExpiryAtWork, ThatWasKilledWhileABackupWasRemovedIsFinished) {
    put("1/backup/a/backup.json.expiring", json::write(backup_of("a", 2)));
    for (auto const* file : {"backup.json", "base.tar.zst"})
        ASSERT_TRUE(open().objects().remove(std::string("1/backup/a/") + file));
    ASSERT_TRUE(mend_expiry(open(), "1"));
    EXPECT_THAT(labels(), ElementsAre("b"));
    EXPECT_FALSE(exists("1/backup/a"));
}

// It began and ended between the plan and the removal, on a standby that was behind: its WAL went.
TEST_F(ExpiryAtWork, KeepsTheWalOfABackupThatWasTakenSinceThePlan) {
    auto const made = plan();
    put_backup(backup_of("late", 3));
    ASSERT_TRUE(expire(open(), "1", made));
    EXPECT_THAT(labels(), ElementsAre("late", "b"));
    EXPECT_THAT(segments(), ElementsAre(3, 4, 5));
}

// One that begins after the expiry has looked for holds sees the expiry.
TEST_F(ExpiryAtWork, IsSeenByABackupThatBeginsMeanwhile) {
    auto const made = plan();
    Gate gate(this->gate("other"));
    auto running = std::async(std::launch::async, [&] { return expire(open(), "1", made); });
    gate.wait();
    auto const begun = check_announced(open(), "1", at(3, 40));
    EXPECT_TRUE(check_announced(open(), "1", at(4)));
    gate.open({"other", at(5), 0, "pinned"});
    ASSERT_TRUE(running.get());
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, Code::conflict);
    EXPECT_TRUE(check_announced(open(), "1", at(3, 40)));  // it has ended
}

}  // namespace
}  // namespace keel::archive
