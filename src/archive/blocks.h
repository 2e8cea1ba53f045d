// The blocks that the files of a base backup consist of, and in which backup each is stored: what an incremental backup
// is compared with, and put together by. Pure.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "archive/bytes.h"
#include "archive/tar.h"

namespace keel::archive {

inline constexpr std::size_t kBlockBytes = 1U << 20U;

struct BlockFile {
    std::string path;
    bool folder = false;
    std::uint64_t size = 0;
    std::string hashes;               // SHA-256 of each block, 64 hex digits, one behind the other
    std::vector<std::uint32_t> from;  // of each: 0: this backup stores it; i: the i-th of its chain. Empty: all 0

    std::uint64_t blocks() const { return (size + kBlockBytes - 1) / kBlockBytes; }
    // Of one that is not there: empty.
    std::string_view hash(std::uint64_t block) const;
    std::uint32_t source(std::uint64_t block) const { return from.empty() ? 0 : from[block]; }
    std::size_t bytes(std::uint64_t block) const;
};
BOOST_DESCRIBE_STRUCT(BlockFile, (), (path, folder, size, hashes, from))

// In the order in which the server sent them, and so of what is stored.
class BlockList {
  public:
    // JSON, a line for each file.
    std::string text() const;
    // corrupt when it cannot be one of a backup with a chain of `chain` others.
    static Result<BlockList> parse(std::string_view text, std::size_t chain);

    void add(BlockFile file);
    std::vector<BlockFile> const& files() const { return files_; }
    BlockFile const* find(std::string const& path) const;  // nullptr: none
    // Whether any block is stored in the i-th of the chain.
    bool uses(std::uint32_t source) const;

  private:
    std::vector<BlockFile> files_;
    std::unordered_map<std::string, std::size_t> by_path_;
};

// Cuts the files of a tar into blocks. `end` comes after the last block of each file.
class BlockCutter {
  public:
    struct Sink {
        std::function<Status(TarEntry const&)> begin;
        std::function<Status(std::string_view)> block;
        std::function<Status()> end;
    };
    explicit BlockCutter(Sink sink);
    // To hear of each block alone: the path of its file, its number in it, its bytes.
    using Hear = std::function<Status(std::string const& path, std::uint64_t block, std::string_view bytes)>;
    static Sink numbered(Hear hear);
    BlockCutter(BlockCutter const&) = delete;
    BlockCutter& operator=(BlockCutter const&) = delete;
    Status feed(std::string_view tar) { return reader_.feed(tar); }
    bool complete() const { return reader_.complete(); }

  private:
    Status add(std::string_view part);
    Sink sink_;
    std::string block_;
    TarReader reader_;
};

// Makes the list of a backup out of its tar. What the parent has at the same place of the same file is referenced,
// wherever that is stored; everything else is handed to `fresh`.
class BlockTaker {
  public:
    // `parent`: nullptr for a full one; the last of a chain of `chain` otherwise.
    BlockTaker(BlockList const* parent, std::size_t chain, Bytes fresh);
    Status feed(std::string_view tar) { return cutter_.feed(tar); }
    bool complete() const { return cutter_.complete(); }
    BlockList const& list() const { return list_; }
    // SHA-256 of whole files, of an incremental one: by path.
    std::unordered_map<std::string, std::string> const& whole() const { return whole_; }

  private:
    Status begin(TarEntry const& entry);
    Status take(std::string_view block);
    Status end();

    BlockList const* parent_;
    std::uint32_t parent_source_;
    Bytes fresh_;
    BlockList list_;
    BlockFile file_;
    BlockFile const* before_ = nullptr;  // the same file in the parent
    std::unique_ptr<Sha256> hash_;
    std::unordered_map<std::string, std::string> whole_;
    BlockCutter cutter_;
};

// Hears what an incremental backup stores, all blocks in a row, and says of each whose it is.
class BlockSplitter {
  public:
    using Sink = std::function<Status(BlockFile const&, std::uint64_t block, std::string_view bytes)>;
    BlockSplitter(BlockList const& list, Sink sink) : list_(list), sink_(std::move(sink)) { advance(); }
    // corrupt when there is more than the list says.
    Status feed(std::string_view bytes);
    bool complete() const { return file_ == list_.files().size(); }

  private:
    void advance();  // to the next block that is stored
    BlockList const& list_;
    Sink sink_;
    std::size_t file_ = 0;
    std::uint64_t block_ = 0;
    std::string bytes_;
};

}  // namespace keel::archive
