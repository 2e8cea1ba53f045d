// Reads a tar stream piece by piece, as BASE_BACKUP sends it (POSIX ustar). Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::archive {

struct TarEntry {
    enum class Kind { file, directory };
    Kind kind = Kind::file;
    std::string path;  // relative, without ".." and "." parts
    std::uint64_t size = 0;
};

// Without a leading "./" and a trailing "/"; nothing when it leads out of the directory.
std::optional<std::string> path_inside(std::string path);

class TarReader {
  public:
    struct Sink {
        std::function<Status(TarEntry const&)> begin;
        std::function<Status(std::string_view)> data;  // of the entry that began last
        std::function<Status()> end;
    };
    explicit TarReader(Sink sink) : sink_(std::move(sink)) {}

    // corrupt: not a tar, or a path that leads out of the directory. invalid: a link (tablespaces).
    Status feed(std::string_view bytes);
    // Whether the stream may end here.
    bool complete() const { return header_.empty() && left_ == 0; }

  private:
    Status take_header();

    Sink sink_;
    std::string header_;
    std::uint64_t left_ = 0;     // of the entry's bytes
    std::uint64_t padding_ = 0;  // behind them
};

}  // namespace keel::archive
