#include "runtime/journal.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>

namespace keel::runtime {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr auto kAlways = std::numeric_limits<std::int64_t>::max();

class JournalOnDisk : public ::testing::Test {
  protected:
    JournalOnDisk() {
        char name[] = "/tmp/pgkeel-journal-XXXXXX";
        directory_ = ::mkdtemp(name);
    }
    ~JournalOnDisk() override { std::filesystem::remove_all(directory_); }

    Journal open(JournalLimits limits = {}) {
        auto journal = Journal::open(directory_, "events", limits);
        EXPECT_TRUE(journal) << to_string(journal.error());
        return *std::move(journal);
    }
    static void add(Journal& journal, std::int64_t at, std::string text) {
        auto const status = journal.append({{at, std::move(text)}}, at);
        EXPECT_TRUE(status) << to_string(status.error());
    }
    static std::vector<std::string> texts(Journal const& journal, std::int64_t from = 0, std::int64_t until = kAlways,
                                          std::size_t most = 1000) {
        std::vector<std::string> out;
        auto const lines = journal.read(from, until, most);
        EXPECT_TRUE(lines);
        for (auto const& line : *lines) out.push_back(line.text);
        return out;
    }
    std::vector<std::filesystem::path> files() const {
        std::vector<std::filesystem::path> out;
        for (auto const& entry : std::filesystem::directory_iterator(directory_)) out.push_back(entry.path());
        std::ranges::sort(out);
        return out;
    }
    std::uintmax_t bytes() const {
        std::uintmax_t out = 0;
        for (auto const& file : files()) out += std::filesystem::file_size(file);
        return out;
    }

    std::string directory_;
};

using Texts = std::vector<std::string>;

TEST_F(JournalOnDisk, IsReadAgainInOrderAndByTime) {
    {
        auto journal = open();
        for (int i = 1; i <= 5; ++i) add(journal, i * 1000, std::to_string(i));
    }
    auto const journal = open();
    EXPECT_EQ(texts(journal), (Texts{"1", "2", "3", "4", "5"}));
    EXPECT_EQ(texts(journal, 2000, 4000), (Texts{"2", "3", "4"}));
    EXPECT_EQ(texts(journal, 0, kAlways, 2), (Texts{"4", "5"}));
    EXPECT_EQ(journal.bytes_cut(), 0U);
}

TEST_F(JournalOnDisk, ATailTornAtAnyByteIsCutOffAndTheRestStays) {
    {
        auto journal = open();
        add(journal, 1, "first");
        add(journal, 2, "second, and it is torn");
    }
    auto const path = files().front();
    std::string whole;
    {
        std::ifstream in(path, std::ios::binary);
        whole.assign(std::istreambuf_iterator<char>(in), {});
    }
    auto const first = whole.find('\n') + 1;
    for (std::size_t length = first; length < whole.size(); ++length) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, length);
        {
            auto journal = open();
            EXPECT_EQ(texts(journal), Texts{"first"}) << length;
            EXPECT_EQ(journal.bytes_cut(), length - first);
            add(journal, 3, "third");
        }
        EXPECT_EQ(texts(open()), (Texts{"first", "third"})) << length;
    }
}

TEST_F(JournalOnDisk, ALineThatRottedIsLeftOutAndNothingElse) {
    {
        auto journal = open();
        for (auto const* text : {"aaaa", "bbbb", "cccc"}) add(journal, 1, text);
    }
    std::fstream file(files().front(), std::ios::binary | std::ios::in | std::ios::out);
    std::string const all(std::istreambuf_iterator<char>(file), {});
    file.seekp(static_cast<std::streamoff>(all.find("bbbb")));
    file << "X";
    file.close();
    EXPECT_EQ(texts(open()), (Texts{"aaaa", "cccc"}));
}

TEST_F(JournalOnDisk, KeepsAYearAndNoMoreThanItsRoom) {
    JournalLimits limits;
    limits.segment_bytes = 4000;
    limits.total_bytes = 40'000;
    limits.keep_ms = 366 * kDay;
    auto journal = open(limits);
    for (int day = 0; day < 1000; ++day) add(journal, day * kDay, "day " + std::to_string(day));
    auto const left = texts(journal, 0, kAlways, 5000);
    EXPECT_EQ(left.back(), "day 999");
    EXPECT_LE(bytes(), limits.total_bytes);
    // A segment is at most a month, so what is kept is a year and at most three months.
    EXPECT_GE(left.size(), 366U);
    EXPECT_LE(left.size(), 366U + 93U);
    for (int i = 0; i < 1000; ++i) add(journal, 1000 * kDay + i, std::string(500, 'x'));
    EXPECT_LE(bytes(), limits.total_bytes);
    EXPECT_EQ(texts(open(limits), 0, kAlways, 1).front().size(), 500U);
}

TEST_F(JournalOnDisk, AClockThatJumpsAheadForgetsNothing) {
    JournalLimits limits;
    limits.segment_bytes = 100;
    limits.keep_ms = 366 * kDay;
    auto journal = open(limits);
    for (int day = 0; day < 5; ++day) add(journal, day * kDay, std::string(80, 'a'));
    add(journal, 2000 * kDay, std::string(80, 'b'));
    for (int day = 5; day < 10; ++day) add(journal, day * kDay, std::string(80, 'c'));
    EXPECT_EQ(texts(journal, 0, kAlways, 100).size(), 11U);
}

TEST_F(JournalOnDisk, AClockThatIsSetBackHidesNothing) {
    JournalLimits limits;
    limits.segment_bytes = 100;
    {
        auto journal = open(limits);
        add(journal, 50 * kDay, std::string(80, 'a'));
        add(journal, 10 * kDay, std::string(80, 'b'));
        add(journal, 11 * kDay, std::string(80, 'c'));
    }
    auto const all = texts(open(limits));
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[2][0], 'c');
    EXPECT_EQ(texts(open(limits), 10 * kDay, 12 * kDay).size(), 2U);
}

// What could not be written whole is not there at all, and the next line is.
TEST_F(JournalOnDisk, ADiskThatIsFullLeavesNoHalfLine) {
    auto journal = open();
    add(journal, 1, "first");
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit small = before;
    small.rlim_cur = 60;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    auto const status = journal.append({{2, std::string(200, 'x')}}, 2);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_FALSE(status);
    EXPECT_EQ(texts(journal), Texts{"first"});
    add(journal, 3, "third");
    EXPECT_EQ(texts(open()), (Texts{"first", "third"}));
    EXPECT_EQ(open().bytes_cut(), 0U);
}

TEST_F(JournalOnDisk, FilesOfOthersAreLeftAlone) {
    std::ofstream(directory_ + "/events.txt") << "mine";
    std::ofstream(directory_ + "/events.12x.log") << "mine too";
    std::ofstream(directory_ + "/samples.000000000000001.log") << "another's";
    auto journal = open();
    add(journal, 1, "first");
    EXPECT_EQ(texts(journal), Texts{"first"});
    EXPECT_EQ(files().size(), 4U);
}

}  // namespace
}  // namespace keel::runtime
