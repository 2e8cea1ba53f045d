#include "archive/logical.h"

#include "archive/packed.h"
#include "archive/testing.h"

namespace keel::archive {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kNow = 20'000 * kDay;

Dump dump_of(std::string label, std::string database, std::int64_t days_old) {
    Dump out;
    out.label = std::move(label);
    out.system_id = "1";
    out.database = std::move(database);
    out.begun_unix_ms = kNow - days_old * kDay;
    return out;
}

std::string labels_in(std::vector<Dump> const& all) {
    std::string out;
    for (auto const& one : all) out += (out.empty() ? "" : " ") + one.label;
    return out;
}

TEST(Dumps, OldOnesGoButNeverTheNewestOfADatabase) {
    std::vector<Dump> const all = {dump_of("a", "shop", 90), dump_of("b", "crm", 60), dump_of("c", "shop", 31),
                                   dump_of("d", "shop", 30), dump_of("e", "shop", 1)};
    EXPECT_EQ(labels_in(old_dumps(all, 30, kNow)), "a c");
    EXPECT_EQ(labels_in(old_dumps(all, 1, kNow)), "a c d");
    EXPECT_EQ(labels_in(old_dumps({dump_of("a", "shop", 900)}, 1, kNow)), "");
}

struct Dumping : testing::Stored {
    void store(Dump dump, std::string const& text) {
        auto const repository = open();
        auto const object = "1/dump/" + dump.label + "/dump.zst";
        auto const upload = repository.objects().upload(object, 0);
        ASSERT_TRUE(upload);
        PackedUpload packed(**upload);
        ASSERT_TRUE(packed.add(text) && packed.finish());
        dump.sha256 = packed.hash();
        put("1/dump/" + dump.label + "/dump.json", json::write(dump));
    }
    std::string path() const { return directory_ / "fetched"; }
};

TEST_F(Dumping, WhatIsFetchedIsWhatWasStoredAndNothingIsWrittenOver) {
    store(dump_of("a", "shop", 1), "PGDMP and more");
    auto const all = dumps_of(open(), "1");
    ASSERT_TRUE(all);
    ASSERT_EQ(labels_in(*all), "a");
    ASSERT_TRUE(fetch_dump(open(), all->front(), path()));
    EXPECT_EQ(std::filesystem::file_size(path()), 14U);
    EXPECT_FALSE(fetch_dump(open(), all->front(), path()));
    EXPECT_EQ(std::filesystem::file_size(path()), 14U);
}

TEST_F(Dumping, ADumpThatIsNotWhatWasStoredLeavesNoFile) {
    store(dump_of("a", "shop", 1), "PGDMP and more");
    auto all = dumps_of(open(), "1");
    ASSERT_TRUE(all);
    all->front().sha256 = std::string(64, '0');
    auto const fetched = fetch_dump(open(), all->front(), path());
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, Code::corrupt);
    EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Dumping, OneWithoutADescriptionIsNone) {
    put("1/dump/b/dump.zst");
    auto all = dumps_of(open(), "1");
    ASSERT_TRUE(all);
    EXPECT_TRUE(all->empty());
    put("1/dump/c/dump.json", "{}");
    all = dumps_of(open(), "1");
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code, Code::corrupt);
}

TEST_F(Dumping, ARemovedOneIsGone) {
    store(dump_of("a", "shop", 1), "PGDMP");
    ASSERT_TRUE(remove_dump(open(), dump_of("a", "shop", 1)));
    EXPECT_FALSE(exists("1/dump/a/dump.zst") || exists("1/dump/a/dump.json"));
}

}  // namespace
}  // namespace keel::archive
