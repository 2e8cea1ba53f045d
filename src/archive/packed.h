// What is stored of a stream: compressed, hashed.
#pragma once

#include "archive/bytes.h"
#include "archive/objects.h"

namespace keel::archive {

class PackedUpload {
  public:
    explicit PackedUpload(Upload& upload)
        : upload_(upload), compressor_([this](std::string_view part) { return write(part); }) {}
    Status add(std::string_view bytes) {
        bytes_ += bytes.size();
        return compressor_.add(bytes);
    }
    Status finish() {
        KEEL_CHECK(compressor_.finish());
        return upload_.finish();
    }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t stored() const { return stored_; }
    std::string hash() { return hash_.hex(); }

  private:
    Status write(std::string_view part) {
        hash_.add(part);
        stored_ += part.size();
        return upload_.add(part);
    }

    Upload& upload_;
    std::uint64_t bytes_ = 0, stored_ = 0;
    Sha256 hash_;
    Compressor compressor_;
};

}  // namespace keel::archive
