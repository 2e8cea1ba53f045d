#include "archive/blocks.h"

#include <algorithm>
#include <memory>

#include "base/json.h"

namespace keel::archive {

namespace {

constexpr std::size_t kDigits = 64;
constexpr std::uint64_t kSizeMost = std::uint64_t{1} << 50U;
constexpr std::string_view kFormat = "pgkeel blocks 1";

bool is_sound(BlockFile const& file, std::size_t chain) {
    if (file.size > kSizeMost) return false;
    auto const blocks = file.blocks();
    bool const hex = file.hashes.find_first_not_of("0123456789abcdef") == std::string::npos;
    bool const known = std::ranges::all_of(file.from, [&](std::uint32_t one) { return one <= chain; });
    return hex && known && file.hashes.size() == blocks * kDigits &&
           (file.from.empty() || file.from.size() == blocks) && path_inside(file.path) == file.path &&
           (!file.folder || file.size == 0) && (file.folder || !file.path.empty());
}

}  // namespace

std::string_view BlockFile::hash(std::uint64_t block) const {
    return std::string_view(hashes).substr(std::min<std::uint64_t>(block * kDigits, hashes.size()), kDigits);
}

std::size_t BlockFile::bytes(std::uint64_t block) const {
    return std::min<std::uint64_t>(kBlockBytes, size - block * kBlockBytes);
}

std::string BlockList::text() const {
    std::string out(kFormat);
    out += '\n';
    for (auto const& one : files_) out += json::write(one) + "\n";
    return out;
}

Result<BlockList> BlockList::parse(std::string_view text, std::size_t chain) {
    BlockList out;
    bool first = true;
    while (!text.empty()) {
        auto const end = text.find('\n');
        auto const line = text.substr(0, end);
        if (end == std::string_view::npos || (first && line != kFormat))
            return fail(Code::corrupt, "the list of a backup's blocks cannot be read");
        text.remove_prefix(end + 1);
        if (std::exchange(first, false)) continue;
        auto one = json::read<BlockFile>(line);
        if (!one || !is_sound(*one, chain) || out.find(one->path) != nullptr)
            return fail(Code::corrupt, "the list of a backup's blocks does not describe files");
        out.add(*std::move(one));
    }
    if (first) return fail(Code::corrupt, "the list of a backup's blocks is empty");
    return out;
}

void BlockList::add(BlockFile file) {
    by_path_[file.path] = files_.size();
    files_.push_back(std::move(file));
}

BlockFile const* BlockList::find(std::string const& path) const {
    auto const found = by_path_.find(path);
    return found == by_path_.end() ? nullptr : &files_[found->second];
}

bool BlockList::uses(std::uint32_t source) const {
    return std::ranges::any_of(
        files_, [&](BlockFile const& one) { return std::ranges::find(one.from, source) != one.from.end(); });
}

BlockCutter::BlockCutter(Sink sink)
    : sink_(std::move(sink)),
      reader_({[this](TarEntry const& entry) { return sink_.begin(entry); },
               [this](std::string_view part) { return add(part); },
               [this]() -> Status {
                   if (!block_.empty()) KEEL_CHECK(sink_.block(block_));
                   block_.clear();
                   return sink_.end();
               }}) {}

BlockCutter::Sink BlockCutter::numbered(Hear hear) {
    struct At {
        std::string path;
        std::uint64_t block = 0;
    };
    auto const at = std::make_shared<At>();
    return {[at](TarEntry const& one) -> Status {
                *at = {one.path, 0};
                return {};
            },
            [at, hear = std::move(hear)](std::string_view bytes) { return hear(at->path, at->block++, bytes); },
            [] { return Status(); }};
}

Status BlockCutter::add(std::string_view part) {
    while (!part.empty()) {
        auto const more = part.substr(0, kBlockBytes - block_.size());
        block_ += more;
        part.remove_prefix(more.size());
        if (block_.size() < kBlockBytes) continue;
        KEEL_CHECK(sink_.block(block_));
        block_.clear();
    }
    return {};
}

BlockTaker::BlockTaker(BlockList const* parent, std::size_t chain, Bytes fresh)
    : parent_(parent),
      parent_source_(static_cast<std::uint32_t>(chain)),
      fresh_(std::move(fresh)),
      cutter_({[this](TarEntry const& entry) { return begin(entry); },
               [this](std::string_view block) { return take(block); }, [this] { return end(); }}) {}

Status BlockTaker::begin(TarEntry const& entry) {
    if (list_.find(entry.path) != nullptr) return fail(Code::corrupt, "the server sent " + entry.path + " twice");
    file_ = BlockFile{entry.path, entry.kind == TarEntry::Kind::directory, entry.size, {}, {}};
    before_ = parent_ == nullptr ? nullptr : parent_->find(entry.path);
    if (parent_ != nullptr && !file_.folder) hash_ = std::make_unique<Sha256>();
    return {};
}

Status BlockTaker::take(std::string_view block) {
    auto const number = file_.hashes.size() / kDigits;
    auto const hash = sha256_hex(block);
    bool const same = before_ != nullptr && before_->hash(number) == hash;
    if (hash_) hash_->add(block);
    file_.hashes += hash;
    if (parent_ != nullptr) {
        auto const source = same ? before_->source(number) : 0;
        file_.from.push_back(same && source == 0 ? parent_source_ : source);
    }
    return same ? Status() : fresh_(block);
}

Status BlockTaker::end() {
    if (hash_) whole_[file_.path] = hash_->hex();
    hash_.reset();
    list_.add(std::move(file_));
    return {};
}

void BlockSplitter::advance() {
    auto const& files = list_.files();
    for (; file_ < files.size(); ++file_, block_ = 0) {
        for (; block_ < files[file_].blocks(); ++block_)
            if (files[file_].source(block_) == 0) return;
    }
}

Status BlockSplitter::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (complete()) return fail(Code::corrupt, "the backup stores more blocks than its list has");
        auto const& file = list_.files()[file_];
        auto const more = bytes.substr(0, file.bytes(block_) - bytes_.size());
        bytes_ += more;
        bytes.remove_prefix(more.size());
        if (bytes_.size() < file.bytes(block_)) continue;
        KEEL_CHECK(sink_(file, block_, bytes_));
        bytes_.clear();
        ++block_;
        advance();
    }
    return {};
}

}  // namespace keel::archive
