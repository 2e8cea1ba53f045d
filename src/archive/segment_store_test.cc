#include "archive/segment_store.h"

#include <cstring>

#include "archive/testing.h"
#include "postgres/timelines.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

using testing::kSize;

constexpr Origin kOrigin{1, kSize};

// A segment with good page headers and something in it that does not repeat.
SegmentStore::Segment segment(std::uint64_t number, bool good = true) {
    SegmentStore::Segment out{{Timeline{1}, number}, std::string(kSize, '\0')};
    std::uint64_t noise = number + 1;
    for (std::size_t i = 0; i + 8 <= kSize; i += 8) {
        noise = noise * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
        if (i % 16 == 0) std::memcpy(out.bytes.data() + i, &noise, 8);
    }
    auto const put = [&](std::size_t where, auto value) {
        std::memcpy(out.bytes.data() + where, &value, sizeof value);
    };
    for (std::size_t page = 0; page < kSize; page += 8192) {
        put(page, std::uint16_t{0xD110});
        put(page + 2, static_cast<std::uint16_t>(page == 0 ? 2 : 0));
        put(page + 4, std::uint32_t{good ? 1U : 2U});
        put(page + 8, std::uint64_t{number * kSize + page});
    }
    put(24, kOrigin.system_id);
    put(32, static_cast<std::uint32_t>(kSize));
    return out;
}

class SegmentStoreTest : public testing::Stored {
  protected:
    // As the archiver does: adds while there is room, and takes what is stored meanwhile.
    Status store(SegmentStore& store, std::vector<SegmentStore::Segment> segments) {
        for (auto& one : segments) {
            while (!store.has_room()) KEEL_CHECK(wait(store));
            store.add(std::move(one));
        }
        while (!store.is_idle()) KEEL_CHECK(wait(store));
        return take(store);
    }
    Status wait(SegmentStore& store) {
        store.wait(1s);
        return take(store);
    }
    Status take(SegmentStore& store) {
        // Whatever is said to be stored is in the repository at that moment, and so is all before it.
        KEEL_TRY(auto const done, store.take_stored());
        for (auto const& id : done) {
            EXPECT_TRUE(stored_.empty() || id.number == stored_.back() + 1);
            EXPECT_TRUE(open().get_wal("1", name(id.number), kSize)) << id.number;
            stored_.push_back(id.number);
        }
        return {};
    }
    static std::string name(std::uint64_t number) { return postgres::segment_name(Timeline{1}, number, kSize); }
    std::vector<std::uint64_t> present() {
        std::vector<std::uint64_t> out;
        for (auto const& id : open().list("1", kSize)->segments) out.push_back(id.number);
        return out;
    }

    std::vector<std::uint64_t> stored_;
};

TEST_F(SegmentStoreTest, SegmentsBecomeDurableInTheirOrder) {
    SegmentStore all(settings_, 1s, "1", kOrigin);
    std::vector<SegmentStore::Segment> some;
    for (std::uint64_t i = 3; i < 12; ++i) some.push_back(segment(i));
    auto const third = some[2].bytes;
    ASSERT_TRUE(store(all, std::move(some)));
    EXPECT_EQ(stored_, (std::vector<std::uint64_t>{3, 4, 5, 6, 7, 8, 9, 10, 11}));
    EXPECT_EQ(present(), stored_);
    EXPECT_EQ(open().get_wal("1", name(5), kSize), third);
    EXPECT_EQ(all.silent(), Duration{});
    EXPECT_GE(all.spare().capacity(), kSize);
}

// What is behind one that cannot be stored would be behind a hole: the server must keep it.
TEST_F(SegmentStoreTest, NothingIsStoredBehindOneThatCannotBe) {
    SegmentStore all(settings_, 1s, "1", kOrigin);
    std::vector<SegmentStore::Segment> some;
    for (std::uint64_t i = 3; i < 9; ++i) some.push_back(segment(i, i != 5));
    auto const done = store(all, std::move(some));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::corrupt);
    EXPECT_EQ(present(), (std::vector<std::uint64_t>{3, 4}));
    EXPECT_FALSE(all.take_stored()) << "it stays an error";
}

TEST_F(SegmentStoreTest, TheBeginningGoesWithTheWholeAndAConflictIsOne) {
    auto const repository = open();
    ASSERT_TRUE(repository.put_tail("1", name(3), segment(3).bytes.substr(0, 8192), 0));
    SegmentStore all(settings_, 1s, "1", kOrigin);
    std::vector<SegmentStore::Segment> one;
    one.push_back(segment(3));
    one.back().has_tail = true;
    ASSERT_TRUE(store(all, std::move(one)));
    EXPECT_FALSE(exists("1/tail/" + name(3)));
    ASSERT_TRUE(repository.put_wal("1", name(4), "another's"));
    std::vector<SegmentStore::Segment> more;
    more.push_back(segment(4));
    auto const done = store(all, std::move(more));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::conflict);
}

TEST_F(SegmentStoreTest, ItEndsWhileSegmentsWait) {
    SegmentStore all(settings_, 1s, "1", kOrigin);
    // Where they are stored as fast as they come there is always room.
    for (std::uint64_t i = 3; i < 40 && all.has_room(); ++i) all.add(segment(i));
}

}  // namespace

}  // namespace keel::archive
