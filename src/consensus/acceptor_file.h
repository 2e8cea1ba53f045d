// The acceptor's memory on disk: two alternating slots with sequence and SHA-256, so that a write torn at any byte
// leaves the older one. The space is written beforehand: an overwrite needs none.
//
// Format: one page "pgkeel acceptor 1\n", then two slots of kSlotBytes. A slot is {magic u64, sequence u64, length u64,
// sha256 of sequence, length and body} little-endian, then the body: JSON of Content. The valid slot with the higher
// sequence counts.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "consensus/register.h"

namespace keel::consensus {

class AcceptorFile {
  public:
    struct Content {
        std::string cluster_id;
        NodeId node;
        Seat seat = 0;
        Durable durable;
    };
    // Head and body; a larger one is refused with Code::exhausted.
    static constexpr std::size_t kSlotBytes = 512U << 10U;

    // Creates the file with `content`, all or nothing: beside, fsynced, renamed. Fails when there is one already.
    static Status create(std::filesystem::path const& path, Content const& content);
    // not_found: there is none. corrupt: neither slot is valid (never the result of a crash). invalid: it belongs to
    // another cluster or node, which for a copied directory is the message the user needs.
    static Result<AcceptorFile> open(std::filesystem::path const& path, std::string const& cluster_id,
                                     NodeId const& node);

    AcceptorFile(AcceptorFile&& other) noexcept;
    AcceptorFile& operator=(AcceptorFile&& other) noexcept;
    ~AcceptorFile();

    Content const& content() const { return content_; }
    // Writes and fsyncs. After an error the file holds the old state or the new one, and save() may be called again.
    // Blocks for the time of one fdatasync.
    Status save(Durable const& durable);

  private:
    AcceptorFile() = default;
    int descriptor_ = -1;
    std::string path_;
    Content content_;
    std::uint64_t sequence_ = 0;
    int slot_ = 0;  // the one that holds the state
};
BOOST_DESCRIBE_STRUCT(AcceptorFile::Content, (), (cluster_id, node, seat, durable))

}  // namespace keel::consensus
