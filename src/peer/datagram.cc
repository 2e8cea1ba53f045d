#include "peer/datagram.h"

#include "peer/frame.h"

namespace keel::peer {

namespace {

constexpr char kFormat = 1;

void put_u64(std::string& out, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

std::uint64_t get_u64(std::string_view in) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(in[i]);
    return value;
}

}  // namespace

DatagramKey::DatagramKey(std::string_view material)
    : id(get_u64(material)), seal(Secret(std::string(material.substr(8)))) {}

std::string make_datagram(DatagramKey const& key, std::uint64_t number, std::string_view frame) {
    if (kDatagramHead + frame.size() + runtime::Seal::kTagBytes > kDatagramMost) return {};
    std::string out(1, kFormat);
    put_u64(out, key.id);
    put_u64(out, number);
    auto const sealed = key.seal.seal(number, out, frame);
    return sealed.empty() ? std::string() : out + sealed;
}

std::optional<DatagramHead> read_head(std::string_view datagram) {
    bool const ours = datagram.size() >= kDatagramHead + kFrameHead + runtime::Seal::kTagBytes &&
                      datagram.size() <= kDatagramMost && datagram.front() == kFormat;
    if (!ours) return std::nullopt;
    return DatagramHead{get_u64(datagram.substr(1)), get_u64(datagram.substr(9))};
}

std::optional<std::string> open_datagram(DatagramKey const& key, std::string_view datagram) {
    auto const head = read_head(datagram);
    if (!head || head->key != key.id) return std::nullopt;
    return key.seal.open(head->number, datagram.substr(0, kDatagramHead), datagram.substr(kDatagramHead));
}

bool Window::first(std::uint64_t number) {
    if (number == 0) return true;
    if (number > newest_) {
        auto const ahead = number - newest_;
        seen_ = ahead < kSize ? seen_ << ahead : std::bitset<kSize>();
        newest_ = number;
        seen_.set(0);
        return true;
    }
    auto const behind = newest_ - number;
    if (behind >= kSize || seen_.test(behind)) return false;
    seen_.set(behind);
    return true;
}

}  // namespace keel::peer
