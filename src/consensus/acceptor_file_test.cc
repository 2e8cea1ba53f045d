#include "consensus/acceptor_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

namespace keel::consensus {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSlots[] = {4096, 4096 + AcceptorFile::kSlotBytes};

struct AcceptorFileTest : testing::Test {
    AcceptorFileTest() {
        auto pattern = (fs::temp_directory_path() / "pgkeel-acceptor-XXXXXX").string();
        directory = ::mkdtemp(pattern.data());
        path = directory / "acceptor";
        EXPECT_TRUE(AcceptorFile::create(path, {"cluster", node, 7, state(1)}));
    }
    ~AcceptorFileTest() override { fs::remove_all(directory); }

    static Durable state(std::uint64_t counter) {
        Voters const voters{{NodeId{"n1"}, 7}};
        Value const value{counter, voters, voters, {"w"}, "record " + std::to_string(counter)};
        return {{counter + 1, NodeId{"n1"}, 3}, {counter, NodeId{"n1"}, 3}, value};
    }
    Result<AcceptorFile> open() const { return AcceptorFile::open(path, "cluster", node); }
    std::string bytes() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    // Writes without fsync: the tests below overwrite the file thousands of times.
    void put(std::string const& all, std::size_t from, std::size_t count) const {
        std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
        out.seekp(static_cast<std::streamoff>(from));
        out.write(all.data() + from, static_cast<std::streamsize>(count));
    }

    NodeId node{"n1"};
    fs::path directory, path;
};

TEST_F(AcceptorFileTest, keeps_what_was_saved) {
    {
        auto file = open();
        ASSERT_TRUE(file);
        EXPECT_EQ(file->content().seat, 7U);
        EXPECT_EQ(file->content().durable, state(1));
        for (std::uint64_t i = 2; i < 6; ++i) ASSERT_TRUE(file->save(state(i)));
    }
    EXPECT_EQ(open()->content().durable, state(5));
}

TEST_F(AcceptorFileTest, is_not_made_twice) {
    auto const again = AcceptorFile::create(path, {"cluster", node, 8, {}});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Code::conflict);
    EXPECT_EQ(open()->content().seat, 7U);
}

TEST_F(AcceptorFileTest, refuses_a_copied_directory) {
    EXPECT_EQ(AcceptorFile::open(path, "cluster", NodeId{"n2"}).error().code, Code::invalid);
    EXPECT_EQ(AcceptorFile::open(path, "other", node).error().code, Code::invalid);
    EXPECT_EQ(AcceptorFile::open(directory / "none", "cluster", node).error().code, Code::not_found);
}

// A write of state 3 over the slot of state 1, while state 2 is the newest: stopped after every number of bytes, and
// with every byte of it wrong.
TEST_F(AcceptorFileTest, a_write_torn_at_any_byte_leaves_the_older_state_or_the_new_one) {
    ASSERT_TRUE(open()->save(state(2)));
    auto const before = bytes();
    ASSERT_TRUE(open()->save(state(3)));
    auto const after = bytes();
    auto const slot = kSlots[0];
    std::size_t length = 0;
    for (std::size_t i = 0; i < AcceptorFile::kSlotBytes; ++i) {
        if (before[slot + i] != after[slot + i]) length = i + 1;
    }
    ASSERT_GT(length, 100U);
    std::size_t old_states = 0;
    for (std::size_t done = 0; done <= length; ++done) {
        put(before, slot, length);
        put(after, slot, done);
        auto const file = open();
        ASSERT_TRUE(file) << "torn after " << done;
        if (file->content().durable == state(2))
            ++old_states;
        else
            ASSERT_EQ(file->content().durable, state(3)) << "torn after " << done;
    }
    EXPECT_EQ(old_states, length);
    for (std::size_t i = 0; i < length; ++i) {
        put(after, slot, length);
        auto flipped = after;
        flipped[slot + i] = static_cast<char>(flipped[slot + i] ^ 0x10);
        put(flipped, slot + i, 1);
        auto const file = open();
        ASSERT_TRUE(file) << "flipped " << i;
        EXPECT_EQ(file->content().durable, state(2)) << "flipped " << i;
    }
}

TEST_F(AcceptorFileTest, goes_on_after_a_torn_write) {
    ASSERT_TRUE(open()->save(state(2)));
    put(std::string(kSlots[1] + 300, 'x'), kSlots[0] + 10, 200);
    auto file = open();
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->save(state(3)));
    EXPECT_EQ(open()->content().durable, state(3));
}

TEST_F(AcceptorFileTest, a_file_cut_at_any_length_is_never_read_as_something_else) {
    ASSERT_TRUE(open()->save(state(2)));
    auto const size = fs::file_size(path);
    for (std::size_t cut = size; cut > 0;) {
        cut -= std::min<std::size_t>(cut,
                                     cut > kSlots[1] + 2000 || (cut < kSlots[1] && cut > kSlots[0] + 2000) ? 4001 : 7);
        fs::resize_file(path, cut);
        auto const file = open();
        if (file)
            EXPECT_TRUE(file->content().durable == state(2) || file->content().durable == state(1)) << cut;
        else
            EXPECT_EQ(file.error().code, Code::corrupt) << cut;
    }
}

TEST_F(AcceptorFileTest, two_ruined_slots_are_said_to_be_so) {
    put(std::string(kSlots[1] + 100, 'x'), kSlots[0], 50);
    auto const file = open();
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Code::corrupt);
    EXPECT_FALSE(file.error().mend.empty());
}

TEST_F(AcceptorFileTest, a_record_beyond_the_slot_is_refused_and_the_state_stays) {
    auto large = state(2);
    large.value->text.assign(AcceptorFile::kSlotBytes, 'x');
    auto file = open();
    ASSERT_EQ(file->save(large).error().code, Code::exhausted);
    ASSERT_TRUE(file->save(state(2)));
    EXPECT_EQ(open()->content().durable, state(2));
}

// The kernel refuses to write (here by RLIMIT_FSIZE): an error, the old state, and it works again afterwards.
TEST_F(AcceptorFileTest, a_refused_write_is_an_error_and_changes_nothing) {
    auto file = open();
    ASSERT_TRUE(file->save(state(2)));
    auto const handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit const none{4096, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
    auto const saved = file->save(state(3));
    auto const created = AcceptorFile::create(directory / "second", {"cluster", node, 9, {}});
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_FALSE(saved);
    EXPECT_FALSE(created);
    EXPECT_FALSE(fs::exists(directory / "second"));
    EXPECT_EQ(open()->content().durable, state(2));
    ASSERT_TRUE(file->save(state(4)));
    EXPECT_EQ(open()->content().durable, state(4));
}

}  // namespace
}  // namespace keel::consensus
