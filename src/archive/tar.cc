#include "archive/tar.h"

#include <algorithm>
#include <optional>

namespace keel::archive {

namespace {

constexpr std::size_t kBlock = 512;

std::string_view text_at(std::string_view header, std::size_t at, std::size_t most) {
    auto const field = header.substr(at, most);
    return field.substr(0, std::min(field.find('\0'), field.size()));
}

// Octal digits, or, for what does not fit, base 256 with the top bit set.
std::optional<std::uint64_t> number_at(std::string_view header, std::size_t at, std::size_t width) {
    auto const field = header.substr(at, width);
    std::uint64_t out = 0;
    if ((static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
        for (std::size_t i = width - 8; i < width; ++i) out = (out << 8U) | static_cast<unsigned char>(field[i]);
        return out;
    }
    for (char const c : field) {
        if (c == '\0' || c == ' ') break;
        if (c < '0' || c > '7') return std::nullopt;
        out = out * 8 + static_cast<std::uint64_t>(c - '0');
    }
    return out;
}

bool has_good_sum(std::string_view header) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i)
        sum += i >= 148 && i < 156 ? static_cast<unsigned char>(' ') : static_cast<unsigned char>(header[i]);
    return number_at(header, 148, 8) == sum;
}

}  // namespace

std::optional<std::string> path_inside(std::string path) {
    while (path.starts_with("./")) path.erase(0, 2);
    while (path.ends_with('/')) path.pop_back();
    if (path == ".") return std::string();
    if (path.starts_with('/')) return std::nullopt;
    std::string_view rest = path;
    while (!rest.empty()) {
        auto const end = std::min(rest.find('/'), rest.size());
        auto const part = rest.substr(0, end);
        if (part.empty() || part == "." || part == "..") return std::nullopt;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return path;
}

Status TarReader::take_header() {
    if (header_.find_first_not_of('\0') == std::string::npos) return {};  // the end, twice
    auto const size = number_at(header_, 124, 12);
    if (!has_good_sum(header_) || !size || *size > (std::uint64_t{1} << 50U))
        return fail(Code::corrupt, "the stream is no tar");
    std::string name(text_at(header_, 0, 100));
    if (header_.compare(257, 5, "ustar") == 0 && !text_at(header_, 345, 155).empty())
        name = std::string(text_at(header_, 345, 155)) + "/" + name;
    auto path = path_inside(name);
    if (!path) return fail(Code::corrupt, "the tar has a path that leads out of the directory: " + name);
    TarEntry entry{TarEntry::Kind::file, std::move(*path), *size};
    char const kind = header_[156];
    if (kind == '5')
        entry.kind = TarEntry::Kind::directory;
    else if (kind != '0' && kind != '\0')
        return fail(Code::invalid, "the tar has a link: " + name, "tablespaces cannot be restored");
    if (entry.kind == TarEntry::Kind::directory && entry.size != 0) return fail(Code::corrupt, "the stream is no tar");
    if (entry.kind == TarEntry::Kind::file && entry.path.empty())
        return fail(Code::corrupt, "the tar has a file without a name");
    left_ = entry.size;
    padding_ = (kBlock - entry.size % kBlock) % kBlock;
    KEEL_CHECK(sink_.begin(entry));
    return left_ == 0 ? sink_.end() : Status{};
}

Status TarReader::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (left_ > 0) {
            auto const part = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
            KEEL_CHECK(sink_.data(part));
            left_ -= part.size();
            bytes.remove_prefix(part.size());
            if (left_ == 0) KEEL_CHECK(sink_.end());
        } else if (padding_ > 0) {
            auto const part = std::min<std::uint64_t>(padding_, bytes.size());
            padding_ -= part;
            bytes.remove_prefix(part);
        } else {
            auto const part = std::min(kBlock - header_.size(), bytes.size());
            header_ += bytes.substr(0, part);
            bytes.remove_prefix(part);
            if (header_.size() < kBlock) continue;
            KEEL_CHECK(take_header());
            header_.clear();
        }
    }
    return {};
}

}  // namespace keel::archive
