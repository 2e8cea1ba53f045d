// The second, lossy way between two nodes: small messages of the cluster also go as sealed datagrams to the same port.
// TCP waits for what was lost before it delivers what came after, longer each time; a lease cannot. Both ways carry the
// message's number, and whatever comes second is dropped. Pure: no socket.
//
//   u8 format (1) | u64 key id | u64 number | sealed frame (frame.h) and tag      big endian; the head is sealed, too
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/seal.h"

namespace keel::peer {

inline constexpr std::size_t kDatagramHead = 17;
inline constexpr std::size_t kDatagramMost = 1200;  // passes every network in one piece
inline constexpr char const* kKeyLabel = "EXPORTER-pgkeel-datagrams";
inline constexpr std::size_t kKeyMaterial = 8 + runtime::Seal::kKeyBytes;

// Both ends of a TLS connection derive the same; who dialled seals, who was dialled opens.
struct DatagramKey {
    std::uint64_t id = 0;
    runtime::Seal seal;

    explicit DatagramKey(std::string_view material);  // exactly kKeyMaterial bytes
};

// Empty: too long for a datagram, or OpenSSL failed.
std::string make_datagram(DatagramKey const& key, std::uint64_t number, std::string_view frame);

struct DatagramHead {
    std::uint64_t key = 0;
    std::uint64_t number = 0;
};
// Nothing: not a datagram of ours.
std::optional<DatagramHead> read_head(std::string_view datagram);
// The frame. Nothing: not sealed with this key, or changed on its way.
std::optional<std::string> open_datagram(DatagramKey const& key, std::string_view datagram);

// Which numbers have come. What is older than the window counts as having come: it is too late, or replayed.
class Window {
  public:
    // True the first time for each number. 0 has no number (a node of an older release sent it): always true.
    bool first(std::uint64_t number);

  private:
    static constexpr std::size_t kSize = 1024;
    std::uint64_t newest_ = 0;
    std::bitset<kSize> seen_;  // [n]: newest_ - n
};

}  // namespace keel::peer
