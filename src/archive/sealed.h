// Objects whose contents are encrypted at rest, in any place. Names and sizes are visible there, contents are not.
#pragma once

#include "archive/objects.h"
#include "base/secret.h"

namespace keel::archive {

// The first line of a file that only its owner may read: 64 hex digits. Gives 32 bytes.
Result<Secret> read_encryption_key(std::string const& path);

class Sealed final : public Objects {
  public:
    // Puts the encryption over `inner` when a key file is named. denied when the repository is under another key, or
    // under one and none is named; conflict when there is something in it that is not encrypted.
    static Result<std::shared_ptr<Objects const>> over(std::shared_ptr<Objects const> inner,
                                                       std::string const& key_file);

    std::string where(std::string const& name) const override { return inner_->where(name); }
    Result<std::vector<std::string>> list(std::string const& prefix) const override { return inner_->list(prefix); }
    Result<std::vector<std::string>> folders(std::string const& prefix) const override {
        return inner_->folders(prefix);
    }
    Status read(std::string const& name, Bytes const& sink) const override;
    Status put(std::string const& name, std::string_view bytes) const override;
    Status create(std::string const& name, std::string_view bytes) const override;
    Result<std::unique_ptr<Upload>> upload(std::string const& name, std::uint64_t expected) const override;
    Status remove(std::string const& name) const override { return inner_->remove(name); }
    Status remove_all(std::string const& prefix) const override { return inner_->remove_all(prefix); }
    // A plain hash in a name would let others test what they guess of the content.
    std::string fingerprint(std::string_view bytes) const override;

  private:
    Sealed(std::shared_ptr<Objects const> inner, Secret key, bool marked)
        : inner_(std::move(inner)), key_(std::move(key)), marked_(marked) {}
    Result<std::string> seal(std::string const& name, std::string_view bytes) const;
    Status mark() const;

    std::shared_ptr<Objects const> inner_;
    Secret key_;
    mutable bool marked_;
};

}  // namespace keel::archive
