#include "consensus/acceptor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/json.h"
#include "runtime/files.h"

namespace keel::consensus {

namespace {

constexpr std::string_view kTitle = "pgkeel acceptor 1\n";
constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kMagic = 0x706b65656c616363;  // "pkeelacc"
constexpr std::size_t kHead = 3 * sizeof(std::uint64_t) + SHA256_DIGEST_LENGTH;
constexpr std::size_t kFileBytes = kPage + 2 * AcceptorFile::kSlotBytes;

off_t slot_offset(int slot) {
    return static_cast<off_t>(kPage + static_cast<std::size_t>(slot) * AcceptorFile::kSlotBytes);
}

void put(std::string& out, std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(number >> shift));
}

std::uint64_t get(std::string_view in) {
    std::uint64_t number = 0;
    for (std::size_t i = 8; i-- > 0;) number = number << 8 | static_cast<unsigned char>(in[i]);
    return number;
}

// Of sequence, length and body.
std::string digest(std::uint64_t sequence, std::string_view body) {
    std::string covered;
    put(covered, sequence);
    put(covered, body.size());
    covered += body;
    std::array<unsigned char, SHA256_DIGEST_LENGTH> sum{};
    SHA256(reinterpret_cast<unsigned char const*>(covered.data()), covered.size(), sum.data());
    return {sum.begin(), sum.end()};
}

Result<std::string> encode_slot(std::uint64_t sequence, AcceptorFile::Content const& content) {
    auto const body = json::write(content);
    if (body.size() + kHead > AcceptorFile::kSlotBytes) {
        return fail(Code::exhausted,
                    "the cluster record is too large for the acceptor's file: " + std::to_string(body.size()) +
                        " bytes, room for " + std::to_string(AcceptorFile::kSlotBytes - kHead),
                    "make the cluster's settings shorter");
    }
    std::string out;
    put(out, kMagic);
    put(out, sequence);
    put(out, body.size());
    out += digest(sequence, body);
    return out + body;
}

struct Slot {
    std::uint64_t sequence = 0;
    AcceptorFile::Content content;
};

std::optional<Slot> decode_slot(std::string_view bytes) {
    if (bytes.size() < kHead || get(bytes) != kMagic) return {};
    auto const sequence = get(bytes.substr(8));
    auto const length = get(bytes.substr(16));
    if (length > bytes.size() - kHead) return {};
    auto const body = bytes.substr(kHead, length);
    if (bytes.substr(24, SHA256_DIGEST_LENGTH) != digest(sequence, body)) return {};
    auto content = json::read<AcceptorFile::Content>(body);
    if (!content) return {};
    return Slot{sequence, std::move(*content)};
}

Status write_all(int descriptor, std::string_view bytes, off_t offset, std::string const& path) {
    while (!bytes.empty()) {
        auto const written = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(runtime::system_error(errno, path + ": write"));
        bytes.remove_prefix(static_cast<std::size_t>(written));
        offset += written;
    }
    return {};
}

Status sync(int descriptor, std::string const& path) {
    if (::fdatasync(descriptor) == 0) return {};
    return fail(runtime::system_error(errno, path + ": fdatasync"));
}

}  // namespace

Status AcceptorFile::create(std::filesystem::path const& path, Content const& content) {
    if (runtime::exists(path)) {
        return fail(Code::conflict, path.string() + " exists already",
                    "this node belongs to a cluster; use another --dir");
    }
    std::string bytes(kTitle);
    bytes.resize(kFileBytes, '\0');
    KEEL_TRY(auto const slot, encode_slot(1, content));
    bytes.replace(static_cast<std::size_t>(slot_offset(0)), slot.size(), slot);
    return runtime::write_atomically(path, bytes, 0600);
}

Result<AcceptorFile> AcceptorFile::open(std::filesystem::path const& path, std::string const& cluster_id,
                                        NodeId const& node) {
    KEEL_TRY(auto const bytes, runtime::read_file(path, 2 * kFileBytes));
    std::string_view const all = bytes;
    if (!all.starts_with(kTitle)) {
        return fail(
            Code::corrupt, path.string() + " is not an acceptor's file of this version",
            "upgrade pgkeel; if the disk is at fault, move the file away: the other voters give this node a new seat");
    }
    std::optional<Slot> best;
    int at = 0;
    for (int i = 0; i < 2; ++i) {
        auto const offset = static_cast<std::size_t>(slot_offset(i));
        auto slot = all.size() > offset ? decode_slot(all.substr(offset, kSlotBytes)) : std::nullopt;
        if (!slot || (best && best->sequence > slot->sequence)) continue;
        best = std::move(slot);
        at = i;
    }
    if (!best) {
        return fail(Code::corrupt, path.string() + ": neither slot is valid, the disk has lost what was synced",
                    "check the disk, then move the file away: the other voters give this node a new seat");
    }
    if (best->content.cluster_id != cluster_id || best->content.node != node) {
        return fail(Code::invalid,
                    path.string() + " belongs to node " + best->content.node.value + " of cluster " +
                        best->content.cluster_id + ", this is node " + node.value + " of cluster " + cluster_id,
                    "do not copy a node's directory: `pgkeel join` makes a new one");
    }
    AcceptorFile file;
    file.path_ = path.string();
    file.content_ = std::move(best->content);
    file.sequence_ = best->sequence;
    file.slot_ = at;
    file.descriptor_ = ::open(file.path_.c_str(), O_RDWR | O_CLOEXEC);
    if (file.descriptor_ < 0) return fail(runtime::system_error(errno, file.path_ + ": open"));
    return file;
}

AcceptorFile::AcceptorFile(AcceptorFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      content_(std::move(other.content_)),
      sequence_(other.sequence_),
      slot_(other.slot_) {}

AcceptorFile& AcceptorFile::operator=(AcceptorFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    std::swap(content_, other.content_);
    std::swap(sequence_, other.sequence_);
    std::swap(slot_, other.slot_);
    return *this;
}

AcceptorFile::~AcceptorFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Status AcceptorFile::save(Durable const& durable) {
    Content next = content_;
    next.durable = durable;
    // Also after a failed save the number grows: what it left in the slot, if anything, must not win later.
    KEEL_TRY(auto const bytes, encode_slot(++sequence_, next));
    KEEL_CHECK(write_all(descriptor_, bytes, slot_offset(1 - slot_), path_));
    KEEL_CHECK(sync(descriptor_, path_));
    content_ = std::move(next);
    slot_ = 1 - slot_;
    return {};
}

}  // namespace keel::consensus
