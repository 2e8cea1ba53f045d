// Hashing and compression, in one piece and in streams of bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::archive {

class Sha256 {
  public:
    Sha256();
    ~Sha256();
    void add(std::string_view bytes);
    std::string hex();  // once

  private:
    void* context_;
};
std::string sha256_hex(std::string_view bytes);
std::string to_hex(std::string_view bytes);  // lower case

using Bytes = std::function<Status(std::string_view)>;

// zstd (RFC 8878).
class Compressor {
  public:
    explicit Compressor(Bytes out);
    ~Compressor();
    Status add(std::string_view bytes);
    Status finish();

  private:
    Status run(std::string_view bytes, bool last);
    void* stream_;
    Bytes out_;
};

class Decompressor {
  public:
    explicit Decompressor(Bytes out);
    ~Decompressor();
    Status add(std::string_view bytes);
    // corrupt when a frame is not at its end.
    Status finish() const;

  private:
    void* stream_;
    Bytes out_;
    bool open_ = false;
};

inline constexpr int kCompressLevel = 3;
Result<std::string> compress(std::string_view bytes, int level = kCompressLevel);
// exhausted when it would be longer than `most`.
Result<std::string> decompress(std::string_view bytes, std::size_t most);

}  // namespace keel::archive
