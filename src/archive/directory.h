// Objects in a directory that every node sees: an object is a file.
#pragma once

#include "archive/objects.h"

namespace keel::archive {

class Directory final : public Objects {
  public:
    // not_found, denied, with the mend.
    static Result<std::shared_ptr<Objects const>> open(std::string const& path);

    std::string where(std::string const& name) const override { return path_ + "/" + name; }
    Result<std::vector<std::string>> list(std::string const& prefix) const override;
    Result<std::vector<std::string>> folders(std::string const& prefix) const override;
    Status read(std::string const& name, Bytes const& sink) const override;
    Status put(std::string const& name, std::string_view bytes) const override;
    Status create(std::string const& name, std::string_view bytes) const override;
    Result<std::unique_ptr<Upload>> upload(std::string const& name, std::uint64_t expected) const override;
    Status remove(std::string const& name) const override;
    Status remove_all(std::string const& prefix) const override;

  private:
    explicit Directory(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

}  // namespace keel::archive
