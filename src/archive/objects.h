// Where a repository keeps its bytes: objects, each written once and as a whole, under a name with slashes in it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/bytes.h"

namespace keel::archive {

// An object that is too big for memory, piece by piece. It exists once finish() has succeeded, and not before.
class Upload {
  public:
    Upload() = default;
    Upload(Upload const&) = delete;
    Upload& operator=(Upload const&) = delete;
    virtual ~Upload() = default;  // one that is not finished is given up
    virtual Status add(std::string_view bytes) = 0;
    virtual Status finish() = 0;
};

// All calls block. Several processes of several machines may be at work at once.
class Objects {
  public:
    Objects() = default;
    Objects(Objects const&) = delete;
    Objects& operator=(Objects const&) = delete;
    virtual ~Objects() = default;

    // For messages.
    virtual std::string where(std::string const& name) const = 0;
    // Every name that begins with `prefix`, ascending.
    virtual Result<std::vector<std::string>> list(std::string const& prefix) const = 0;
    // What follows `prefix`, empty or with a slash at its end, up to the next slash; ascending, each once.
    virtual Result<std::vector<std::string>> folders(std::string const& prefix) const = 0;
    // not_found when it is known to be absent. Nothing of it is in memory but a piece.
    virtual Status read(std::string const& name, Bytes const& sink) const = 0;
    // Replaces one of the same name.
    virtual Status put(std::string const& name, std::string_view bytes) const = 0;
    // conflict when there is one of the same name.
    virtual Status create(std::string const& name, std::string_view bytes) const = 0;
    // `expected`: about how long it will be.
    virtual Result<std::unique_ptr<Upload>> upload(std::string const& name, std::uint64_t expected) const = 0;
    // An absent one is fine.
    virtual Status remove(std::string const& name) const = 0;
    // Every object whose name begins with `prefix`, which ends with a slash, and what uploads left there that were not
    // finished.
    virtual Status remove_all(std::string const& prefix) const = 0;

    // The same for the same bytes: for names.
    virtual std::string fingerprint(std::string_view bytes) const { return sha256_hex(bytes); }

    // exhausted when it is longer than `most`.
    Result<std::string> get(std::string const& name, std::size_t most) const {
        std::string out;
        KEEL_CHECK(read(name, [&](std::string_view part) -> Status {
            if (out.size() + part.size() > most)
                return fail(Code::exhausted, where(name) + " is longer than it may be");
            out += part;
            return {};
        }));
        return out;
    }
};

}  // namespace keel::archive
