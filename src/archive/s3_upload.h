// An object that grows: up to a part in one piece, beyond that as a multipart upload. In memory is one part.
#pragma once

#include "archive/s3.h"

namespace keel::archive {

class S3Upload final : public Upload {
  public:
    S3Upload(S3 const& store, std::string key, std::uint64_t expected);
    ~S3Upload() override;
    Status add(std::string_view bytes) override;
    Status finish() override;

  private:
    Status send_part();
    Status complete();

    S3 const& store_;
    std::string key_;
    std::size_t part_bytes_;
    std::string part_;
    std::string id_;  // empty: not begun
    std::vector<std::string> tags_;
    std::uint64_t sent_ = 0;
};

}  // namespace keel::archive
