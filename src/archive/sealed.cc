#include "archive/sealed.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>

#include "archive/catalogue.h"
#include "archive/chunks.h"
#include "base/assert.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

// It says that the repository is encrypted, and proves a key without showing it.
constexpr char const* kMark = "encryption";
constexpr std::string_view kFormat = "pgkeel AES-256-GCM 1 ";
constexpr std::size_t kMarkMost = 4096, kKeyFileMost = 4096;

std::string mark_of(Secret const& key) { return std::string(kFormat) + to_hex(derive(key, "mark", kFormat)) + "\n"; }

std::string fresh_salt() {
    std::string out(kSaltBytes, '\0');
    KEEL_ASSERT(::RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) == 1);
    return out;
}

Error other_key(Objects const& inner, std::string const& key_file) {
    return {Code::denied,
            fmt::format("the key in {} is not the one under which the repository {} is", key_file, inner.where("")),
            "name the key's file in backup.encryption_key_file, the same on every node; or another, empty repository"};
}

class SealedUpload final : public Upload {
  public:
    SealedUpload(std::unique_ptr<Upload> inner, Secret const& key, std::string const& name)
        : inner_(std::move(inner)),
          sealer_(key, name, fresh_salt(), [this](std::string_view part) { return inner_->add(part); }) {}
    Status add(std::string_view bytes) override { return sealer_.add(bytes); }
    Status finish() override {
        KEEL_CHECK(sealer_.finish());
        return inner_->finish();
    }

  private:
    std::unique_ptr<Upload> inner_;
    ChunkSealer sealer_;
};

}  // namespace

Result<Secret> read_encryption_key(std::string const& path) {
    KEEL_TRY(auto text, runtime::read_private_file(path, kKeyFileMost));
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    constexpr std::string_view kDigits = "0123456789abcdef";
    bool const good = text.size() == 2 * runtime::Seal::kKeyBytes &&
                      std::ranges::all_of(text, [&](char c) { return kDigits.contains(c); });
    if (!good)
        return fail(Code::invalid, path + ": its first line is no key of 64 hex digits",
                    "make one with: openssl rand -hex 32; and keep a copy where the backups are not: nothing can be "
                    "restored without it");
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += 2)
        out += static_cast<char>(kDigits.find(text[i]) << 4U | kDigits.find(text[i + 1]));
    return Secret(std::move(out));
}

Result<std::shared_ptr<Objects const>> Sealed::over(std::shared_ptr<Objects const> inner, std::string const& key_file) {
    auto const mark = inner->get(kMark, kMarkMost);
    bool const marked = mark.has_value();
    if (!marked && mark.error().code != Code::not_found) return fail(mark.error());
    if (marked && !mark->starts_with(kFormat))
        return fail(Code::corrupt, inner->where(kMark) + " is of no format that this version knows",
                    "bring it back from a copy of the repository, or use a newer pgkeel");
    if (key_file.empty()) {
        if (!marked) return inner;
        return fail(Code::denied, fmt::format("the repository {} is encrypted", inner->where("")),
                    "name the key's file in backup.encryption_key_file");
    }
    KEEL_TRY(auto key, read_encryption_key(key_file));
    if (marked && *mark != mark_of(key)) return fail(other_key(*inner, key_file));
    if (!marked) {
        KEEL_TRY(auto const folders, inner->folders(""));
        if (std::ranges::any_of(folders, is_system_id))
            return fail(Code::conflict,
                        fmt::format("the repository {} has something in it that is not encrypted", inner->where("")),
                        "take backup.encryption_key_file out, or name another, empty repository");
    }
    return std::shared_ptr<Objects const>(new Sealed(std::move(inner), std::move(key), marked));
}

// Before the first object. Two nodes with one key write the same mark.
Status Sealed::mark() const {
    if (marked_) return {};
    auto const wanted = mark_of(key_);
    if (auto const made = inner_->create(kMark, wanted); !made && made.error().code != Code::conflict)
        return fail(made.error());
    KEEL_TRY(auto const there, inner_->get(kMark, kMarkMost));
    if (there != wanted) return fail(other_key(*inner_, "backup.encryption_key_file"));
    marked_ = true;
    return {};
}

std::string Sealed::fingerprint(std::string_view bytes) const {
    return to_hex(derive(key_, "name", sha256_hex(bytes)));
}

Result<std::string> Sealed::seal(std::string const& name, std::string_view bytes) const {
    KEEL_CHECK(mark());
    std::string out;
    ChunkSealer sealer(key_, name, fresh_salt(), [&out](std::string_view part) -> Status {
        out += part;
        return {};
    });
    KEEL_CHECK(sealer.add(bytes));
    KEEL_CHECK(sealer.finish());
    return out;
}

Status Sealed::read(std::string const& name, Bytes const& sink) const {
    ChunkOpener opener(key_, name, sink);
    KEEL_CHECK(inner_->read(name, [&opener](std::string_view part) { return opener.add(part); }));
    return opener.finish();
}

Status Sealed::put(std::string const& name, std::string_view bytes) const {
    KEEL_TRY(auto const sealed, seal(name, bytes));
    return inner_->put(name, sealed);
}

Status Sealed::create(std::string const& name, std::string_view bytes) const {
    KEEL_TRY(auto const sealed, seal(name, bytes));
    return inner_->create(name, sealed);
}

Result<std::unique_ptr<Upload>> Sealed::upload(std::string const& name, std::uint64_t expected) const {
    KEEL_CHECK(mark());
    KEEL_TRY(auto inner, inner_->upload(name, expected));
    return std::make_unique<SealedUpload>(std::move(inner), key_, name);
}

}  // namespace keel::archive
