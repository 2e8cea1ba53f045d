#include "archive/repository.h"

#include <filesystem>
#include <fstream>

#include "archive/testing.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMost = 1U << 20U;
char const* const kSegment = "000000010000000000000003";

class RepositoryTest : public testing::Stored {
  protected:
    std::string key_file(char const* name, std::string const& text, unsigned mode = 0600) {
        auto const path = directory_ / name;
        EXPECT_TRUE(runtime::write_atomically(path, text, mode));
        return path;
    }
    std::string memory() const { return directory_ / "seen"; }
    std::vector<std::string> files() const {
        std::vector<std::string> out;
        for (auto const& one : fs::recursive_directory_iterator(settings_.repository))
            if (one.is_regular_file()) out.push_back(one.path().string());
        return out;
    }
};

std::string bytes_of(std::string const& path) { return *runtime::read_file(path, kMost); }

// The mount point is there, the file system is not: it looks like a new repository.
TEST_F(RepositoryTest, OneThatIsNotMountedIsNotMadeAnew) {
    ASSERT_TRUE(open().claim("1", "anna's", memory()));
    fs::rename(settings_.repository, settings_.repository + ".away");
    fs::create_directory(settings_.repository);
    auto const empty = open().claim("1", "anna's", memory());
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, Code::unavailable);
    EXPECT_NE(empty.error().mend.find("is the file system mounted?"), std::string::npos);
    EXPECT_TRUE(files().empty());
    EXPECT_TRUE(open().claim("2", "anna's", memory())) << "another archive is another matter";
    fs::remove_all(settings_.repository);
    fs::rename(settings_.repository + ".away", settings_.repository);
    EXPECT_TRUE(open().claim("1", "anna's", memory()));
    fs::remove(settings_.repository + "/1/owner");
    EXPECT_TRUE(open().claim("1", "anna's", memory())) << "on purpose: the archive is there";
}

TEST_F(RepositoryTest, WhatIsStoredStaysAndOtherContentIsAConflict) {
    auto const repository = open();
    ASSERT_TRUE(repository.put_wal("1", kSegment, "one"));
    EXPECT_TRUE(repository.put_wal("1", kSegment, "one"));
    EXPECT_EQ(files().size(), 1U);
    EXPECT_EQ(repository.get_wal("1", kSegment, kMost), "one");
    auto const second = repository.put_wal("1", kSegment, "two");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::conflict);
    EXPECT_EQ(files().size(), 2U);
    EXPECT_EQ(repository.get_wal("1", kSegment, kMost).error().code, Code::conflict);
}

TEST_F(RepositoryTest, AbsentIsSaidOnlyOfARepositoryThatIsThere) {
    auto const repository = open();
    EXPECT_EQ(repository.get_wal("1", kSegment, kMost).error().code, Code::unavailable);
    ASSERT_TRUE(repository.put_wal("1", kSegment, "one"));
    EXPECT_EQ(repository.get_wal("1", "000000010000000000000004", kMost).error().code, Code::not_found);
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost).error().code, Code::not_found);
}

TEST_F(RepositoryTest, ATailGrowsInPiecesAndBecomesOneAgain) {
    auto const repository = open();
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abc", 0));
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abcdef", 3));
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abcdefgh", 5));  // another archiver's cut
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost), "abcdefgh");
    EXPECT_EQ(repository.list("1", 16U << 20U)->tails.begin()->second, 8U);
    EXPECT_EQ(files().size(), 3U);
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abcdefghi", 0));
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost), "abcdefghi");
    EXPECT_EQ(files().size(), 1U);
    ASSERT_TRUE(repository.remove_tail("1", kSegment));
    EXPECT_TRUE(files().empty());
}

TEST_F(RepositoryTest, ATailWithTwoContentsOrAnAlteredPieceIsNoTail) {
    auto const repository = open();
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abcd", 0));
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abXdef", 2));
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost).error().code, Code::conflict);
    ASSERT_TRUE(repository.put_tail("1", kSegment, "abcdefg", 0));
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost), "abcdefg");
    auto changed = bytes_of(files()[0]);
    changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
    ASSERT_TRUE(runtime::write_atomically(files()[0], changed, 0600));
    EXPECT_EQ(repository.get_tail("1", kSegment, kMost).error().code, Code::corrupt);
}

TEST_F(RepositoryTest, TheSecondClusterIsRefused) {
    auto const repository = open();
    EXPECT_TRUE(repository.claim("1", "anna's", memory()));
    EXPECT_TRUE(repository.claim("1", "anna's", memory()));
    EXPECT_TRUE(repository.claim("2", "bela's", memory()));
    auto const other = repository.claim("1", "bela's", memory());
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, Code::conflict);
    EXPECT_TRUE(to_string(other.error()).contains("anna's")) << to_string(other.error());
}

TEST_F(RepositoryTest, OnlyItsOwnerMayRemoveSomething) {
    auto const repository = open();
    auto const nobodys = repository.check_owner("1", "anna's");
    ASSERT_FALSE(nobodys);
    EXPECT_TRUE(to_string(nobodys.error()).contains("has no owner")) << to_string(nobodys.error());
    EXPECT_TRUE(files().empty());  // and it gets none by that
    ASSERT_TRUE(repository.claim("1", "anna's", memory()));
    EXPECT_TRUE(repository.check_owner("1", "anna's"));
    auto const other = repository.check_owner("1", "bela's");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, Code::conflict);
    EXPECT_TRUE(to_string(other.error()).contains("anna's")) << to_string(other.error());
}

TEST_F(RepositoryTest, EncryptedContentsAndNamesShowNothing) {
    settings_.encryption_key_file = key_file("key", std::string(64, 'a') + "\n");
    fs::create_directory(settings_.repository + "/lost+found");
    ASSERT_TRUE(open().put_wal("1", kSegment, "a secret"));
    ASSERT_TRUE(open().put_tail("1", kSegment, "a secret", 0));
    EXPECT_EQ(open().get_wal("1", kSegment, kMost), "a secret");
    EXPECT_EQ(open().get_tail("1", kSegment, kMost), "a secret");
    ASSERT_EQ(files().size(), 3U);
    for (auto const& file : files()) {
        EXPECT_FALSE(bytes_of(file).contains("secret")) << file;
        EXPECT_FALSE(file.contains(sha256_hex("a secret"))) << file;
        EXPECT_TRUE(bytes_of(file).starts_with("KEELENC1") || file.ends_with("/encryption")) << file;
    }
}

TEST_F(RepositoryTest, AWrongKeyIsFoundBeforeAnythingIsChanged) {
    settings_.encryption_key_file = key_file("key", std::string(64, 'a') + "\n");
    ASSERT_TRUE(open().put_wal("1", kSegment, "a secret"));
    auto const before = files();
    auto const refused = [&](std::string const& file, char const* words) {
        settings_.encryption_key_file = file;
        auto const opened = Repository::open(settings_);
        ASSERT_FALSE(opened) << words;
        EXPECT_TRUE(to_string(opened.error()).contains(words)) << to_string(opened.error());
    };
    refused(key_file("other", std::string(64, 'b') + "\n"), "is not the one under which the repository");
    refused("", "is encrypted");
    refused(key_file("short", "abc\n"), "openssl rand -hex 32");
    refused(key_file("open", std::string(64, 'a'), 0644), "chmod 0600");
    refused(directory_ / "none", "No such file");
    EXPECT_EQ(files(), before);
}

TEST_F(RepositoryTest, WhatIsNotEncryptedIsNotContinuedEncrypted) {
    ASSERT_TRUE(open().put_wal("1", kSegment, "one"));
    settings_.encryption_key_file = key_file("key", std::string(64, 'a'));
    auto const opened = Repository::open(settings_);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::conflict);
}

TEST_F(RepositoryTest, AnUploadIsThereAtItsEndAndGoneWithoutOne) {
    for (auto const* key : {"", "key"}) {
        settings_.encryption_key_file = *key != '\0' ? key_file(key, std::string(64, 'a')) : "";
        settings_.repository = (directory_ / "r") + key;
        fs::create_directory(settings_.repository);
        auto const repository = open();
        std::string const big(300'000, 'x');
        {
            auto const upload = repository.objects().upload("1/backup/l/t", 0);
            ASSERT_TRUE(upload && (*upload)->add(big));
            EXPECT_TRUE(repository.objects().list("1/")->empty());
        }
        EXPECT_EQ(files().size(), *key != '\0' ? 1U : 0U);
        auto const upload = repository.objects().upload("1/backup/l/t", 0);
        ASSERT_TRUE(upload && (*upload)->add(big) && (*upload)->finish());
        EXPECT_EQ(repository.objects().list("1/b"), std::vector<std::string>{"1/backup/l/t"});
        EXPECT_EQ(repository.objects().folders("1/backup/"), std::vector<std::string>{"l"});
        EXPECT_EQ(repository.objects().get("1/backup/l/t", kMost), big);
        EXPECT_EQ(repository.objects().get("1/backup/l/t", 10).error().code, Code::exhausted);
        EXPECT_TRUE(repository.objects().remove_all("1/backup/l/"));
        EXPECT_TRUE(repository.objects().list("")->size() <= 1);
    }
}

}  // namespace

}  // namespace keel::archive
