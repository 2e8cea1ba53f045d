#include "archive/blocks.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

namespace keel::archive {
namespace {

using Tree = std::map<std::string, std::string>;  // folders end with a slash

std::string octal(std::uint64_t value, int width) {
    std::string out(static_cast<std::size_t>(width), '0');
    for (auto at = out.rbegin(); at != out.rend(); ++at, value >>= 3U) *at = static_cast<char>('0' + (value & 7U));
    return out;
}

std::string header(std::string const& path, std::size_t size) {
    std::string out(512, '\0');
    out.replace(0, path.size(), path);
    out.replace(124, 11, octal(size, 11));
    out[156] = path.ends_with('/') ? '5' : '0';
    out.replace(257, 5, "ustar");
    out.replace(148, 8, std::string(8, ' '));
    std::uint64_t sum = 0;
    for (char const c : out) sum += static_cast<unsigned char>(c);
    out.replace(148, 7, octal(sum, 6) + std::string(1, '\0'));
    return out;
}

std::string tar_of(Tree const& tree) {
    std::string out;
    for (auto const& [path, content] : tree)
        out += header(path, content.size()) + content + std::string((512 - content.size() % 512) % 512, '\0');
    return out + std::string(1024, '\0');
}

// What a backup stores, and its list.
struct Stored {
    BlockList list;
    std::string bytes;
};

Stored take(Tree const& tree, Stored const* parent, std::size_t chain, std::mt19937& chance) {
    Stored out;
    BlockTaker taker(parent == nullptr ? nullptr : &parent->list, chain, [&](std::string_view block) -> Status {
        out.bytes += block;
        return {};
    });
    auto const tar = tar_of(tree);
    for (std::size_t at = 0; at < tar.size();) {
        auto const part = std::string_view(tar).substr(at, 1 + chance() % 700'000);
        EXPECT_TRUE(taker.feed(part));
        at += part.size();
    }
    EXPECT_TRUE(taker.complete());
    for (auto const& [path, hash] : taker.whole()) EXPECT_EQ(hash, sha256_hex(tree.at(path)));
    auto again = BlockList::parse(taker.list().text(), chain);
    EXPECT_TRUE(again) << to_string(again.error());
    out.list = *std::move(again);
    if (parent == nullptr) out.bytes = tar;
    return out;
}

// As a restore does it: `all` is the chain, the backup itself last.
Tree assemble(std::vector<Stored> const& all, std::mt19937& chance) {
    Tree out;
    auto const& own = all.back().list;
    for (auto const& one : own.files())
        out[one.path + (one.folder && !one.path.empty() ? "/" : "")] = std::string(one.size, '?');
    for (std::size_t i = 0; i < all.size(); ++i) {
        auto const source = static_cast<std::uint32_t>(i + 1 == all.size() ? 0 : i + 1);
        auto const hear = [&](std::string const& path, std::uint64_t block, std::string_view bytes) -> Status {
            auto const* file = own.find(path);
            if (file != nullptr && block < file->blocks() && file->source(block) == source)
                out[path].replace(block * kBlockBytes, bytes.size(), bytes);
            return {};
        };
        BlockCutter cutter(BlockCutter::numbered(hear));
        BlockSplitter splitter(all[i].list, [&](BlockFile const& file, std::uint64_t number, std::string_view bytes) {
            return hear(file.path, number, bytes);
        });
        for (std::size_t at = 0; at < all[i].bytes.size();) {
            auto const part = std::string_view(all[i].bytes).substr(at, 1 + chance() % 700'000);
            EXPECT_TRUE(i == 0 ? cutter.feed(part) : splitter.feed(part));
            at += part.size();
        }
        EXPECT_TRUE(i == 0 ? cutter.complete() : splitter.complete());
    }
    return out;
}

std::string any_bytes(std::mt19937& chance, std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; i += 4096) out[i] = static_cast<char>(chance());
    return out;
}

void change(Tree& tree, std::mt19937& chance) {
    for (auto one = tree.begin(); one != tree.end();) {
        auto& content = one->second;
        switch (one->first.ends_with('/') ? 0 : chance() % 6) {
            case 1:
                if (!content.empty()) content[chance() % content.size()] ^= 1;
                break;
            case 2:
                content += any_bytes(chance, chance() % (2 * kBlockBytes));
                break;
            case 3:
                content.resize(content.size() / 2);
                break;
            case 4:
                one = tree.erase(one);
                continue;
            default:
                break;
        }
        ++one;
    }
    tree["base/new" + std::to_string(chance() % 100)] = any_bytes(chance, chance() % (3 * kBlockBytes));
}

// Files that grow, shrink, change, go, come, and come back.
TEST(BlocksProperty, AChainGivesEveryBackupAsItWasSent) {
    std::size_t shared = 0;
    for (unsigned seed = 0; seed < 12; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 chance(seed);
        Tree tree{{"base/", ""}, {"base/empty", ""}, {"base/edge", any_bytes(chance, 2 * kBlockBytes)}};
        for (int i = 0; i < 4; ++i) tree["base/" + std::to_string(i)] = any_bytes(chance, chance() % (4 * kBlockBytes));
        std::vector<Stored> chain;
        for (std::size_t i = 0; i < 5; ++i) {
            chain.push_back(take(tree, chain.empty() ? nullptr : &chain.back(), i, chance));
            EXPECT_TRUE(assemble(chain, chance) == tree) << "backup " << i;
            if (i > 0) shared += tar_of(tree).size() > chain.back().bytes.size() + kBlockBytes ? 1 : 0;
            change(tree, chance);
        }
    }
    EXPECT_GT(shared, 30U) << "most of them store less than they have";
}

TEST(Blocks, WhatDidNotChangeIsNotStored) {
    std::mt19937 chance(1);
    Tree tree{{"a", any_bytes(chance, 3 * kBlockBytes + 5)}, {"b", any_bytes(chance, 700)}};
    auto const full = take(tree, nullptr, 0, chance);
    tree["a"][kBlockBytes] ^= 1;
    auto const first = take(tree, &full, 1, chance);
    EXPECT_EQ(first.bytes.size(), kBlockBytes);
    auto const second = take(tree, &first, 2, chance);
    EXPECT_EQ(second.bytes.size(), 0U);
    EXPECT_THAT(second.list.find("a")->from, testing::ElementsAre(1, 2, 1, 1));
    EXPECT_TRUE(second.list.uses(2) && !second.list.uses(0));
}

TEST(Blocks, AListThatCannotBeOneIsRefused) {
    auto const line = [](std::string const& path, std::string const& more) {
        return "pgkeel blocks 1\n{\"path\":\"" + path + "\"," + more + "}\n";
    };
    std::string const hash(64, 'a');
    auto const good = line("a", "\"size\":5,\"hashes\":\"" + hash + "\",\"from\":[2]");
    EXPECT_TRUE(BlockList::parse(good, 2));
    EXPECT_TRUE(BlockList::parse("pgkeel blocks 1\n", 0));
    for (auto const& text :
         {std::string(), std::string("pgkeel blocks 2\n"), good.substr(0, good.size() - 1), good + good.substr(16),
          line("../a", "\"size\":5,\"hashes\":\"" + hash + "\""), line("/a", "\"size\":5,\"hashes\":\"" + hash + "\""),
          line("a", "\"size\":5"), line("a", "\"size\":0,\"hashes\":\"" + hash + "\""),
          line("a", "\"size\":18446744073709551615"), line("", "\"size\":0"),
          line("a", "\"size\":5,\"folder\":true,\"hashes\":\"" + hash + "\""),
          line("a", "\"size\":5,\"hashes\":\"" + hash + "\",\"from\":[3]"),
          line("a", "\"size\":5,\"hashes\":\"" + hash + "\",\"from\":[0,0]")})
        EXPECT_FALSE(BlockList::parse(text, 2)) << text;
}

TEST(Blocks, MoreThanTheListSaysIsRefused) {
    std::mt19937 chance(1);
    auto const full = take({{"a", "old"}}, nullptr, 0, chance);
    auto const next = take({{"a", "new"}}, &full, 1, chance);
    BlockSplitter splitter(next.list, [](BlockFile const&, std::uint64_t, std::string_view) { return Status(); });
    EXPECT_TRUE(splitter.feed("ne"));
    EXPECT_FALSE(splitter.complete());
    EXPECT_TRUE(splitter.feed("w"));
    EXPECT_TRUE(splitter.complete());
    EXPECT_FALSE(splitter.feed("!"));
}

}  // namespace
}  // namespace keel::archive
