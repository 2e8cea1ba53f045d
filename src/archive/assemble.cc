#include "archive/assemble.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/files.h"

namespace keel::archive {

namespace {

using postgres::Bound;

// Files below a directory, one at a time.
class Files {
  public:
    Files(std::string root, Bound const& bound) : root_(std::move(root)), bound_(bound) {}
    Files(Files const&) = delete;
    Files& operator=(Files const&) = delete;
    ~Files() { (void)close(); }

    Status folder(std::string const& path) { return runtime::ensure_directory(root_ + "/" + path, 0700); }
    Status create(std::string const& path) { return open(path, O_WRONLY | O_CREAT | O_EXCL); }
    // Of the size that it will have, with nothing in it.
    Status create(std::string const& path, std::uint64_t size) {
        KEEL_CHECK(create(path));
        if (::ftruncate(file_, static_cast<off_t>(size)) != 0) return fail(runtime::system_error(errno, path_));
        return close();
    }
    Status write(std::string_view part) {
        while (!part.empty()) {
            auto const done = ::write(file_, part.data(), part.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path_));
            part.remove_prefix(static_cast<std::size_t>(done));
        }
        return {};
    }
    // Into a file that is there.
    Status write_at(std::string const& path, std::uint64_t at, std::string_view part) {
        if (file_ < 0 || path_ != root_ + "/" + path) KEEL_CHECK(open(path, O_WRONLY));
        if (::lseek(file_, static_cast<off_t>(at), SEEK_SET) < 0) return fail(runtime::system_error(errno, path_));
        return write(part);
    }
    Status close() {
        int const file = std::exchange(file_, -1);
        if (file >= 0 && ::close(file) != 0) return fail(runtime::system_error(errno, path_));
        return {};
    }
    // All of them at once: they lie on one file system.
    Status sync() {
        KEEL_CHECK(close());
        int const root = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool const good = root >= 0 && ::syncfs(root) == 0;
        int const why = errno;
        if (root >= 0) ::close(root);
        if (!good) return fail(runtime::system_error(why, root_));
        return {};
    }

  private:
    Status open(std::string const& path, int how) {
        if (bound_.over()) return fail(bound_.why("the restore"));
        KEEL_CHECK(close());
        path_ = root_ + "/" + path;
        file_ = ::open(path_.c_str(), how | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file_ < 0) return fail(runtime::system_error(errno, path_));
        return {};
    }

    std::string root_, path_;
    Bound bound_;
    int file_ = -1;
};

Status unpack_tar(Repository const& repository, Backup const& backup, Files& files, BackupProgress const& progress) {
    TarReader reader({[&](TarEntry const& one) {
                          return one.kind == TarEntry::Kind::directory ? files.folder(one.path)
                                                                       : files.create(one.path);
                      },
                      [&](std::string_view part) { return files.write(part); }, [&] { return files.close(); }});
    KEEL_CHECK(read_data(repository, backup, [&](std::string_view part) { return reader.feed(part); }, progress));
    if (reader.complete()) return {};
    return fail(Code::corrupt, "the tar of the backup " + backup.label + " is cut off", "use another backup");
}

// The blocks of one source: those that the backup takes from it go where they belong.
class Taken {
  public:
    Taken(BlockList const& wanted, std::uint32_t source, Files& files)
        : wanted_(wanted), source_(source), files_(files) {}
    Status hear(std::string const& path, std::uint64_t block, std::string_view bytes) {
        auto const* file = wanted_.find(path);
        if (file == nullptr || block >= file->blocks() || file->source(block) != source_) return {};
        if (bytes.size() != file->bytes(block))
            return fail(Code::corrupt, "a block of " + path + " has another length than it had", "use another backup");
        ++written_;
        return files_.write_at(path, block * kBlockBytes, bytes);
    }
    std::uint64_t written() const { return written_; }

  private:
    BlockList const& wanted_;
    std::uint32_t source_;
    Files& files_;
    std::uint64_t written_ = 0;
};

// What it stores itself, block by block.
Status read_source(Repository const& repository, Parts::Source const& source, Taken& taken,
                   BackupProgress const& progress) {
    if (source.backup.kind == BackupKind::incremental) {
        BlockSplitter splitter(source.list, [&](BlockFile const& file, std::uint64_t block, std::string_view bytes) {
            return taken.hear(file.path, block, bytes);
        });
        return read_data(
            repository, source.backup, [&](std::string_view part) { return splitter.feed(part); }, progress);
    }
    BlockCutter cutter(BlockCutter::numbered([&](std::string const& path, std::uint64_t block, std::string_view bytes) {
        return taken.hear(path, block, bytes);
    }));
    return read_data(repository, source.backup, [&](std::string_view part) { return cutter.feed(part); }, progress);
}

}  // namespace

Result<Parts> find_parts(Repository const& repository, Backup const& backup) {
    Parts out;
    if (backup.kind == BackupKind::full) return out;
    KEEL_TRY(out.list, read_blocklist(repository, backup));
    KEEL_TRY(auto const all, repository.backups(backup.system_id));
    for (std::uint32_t number = 0; number <= backup.chain.size(); ++number) {
        if (number > 0 && !out.list.uses(number)) continue;
        auto const& label = number == 0 ? backup.label : backup.chain[number - 1];
        auto const found = std::ranges::find(all, label, &Backup::label);
        if (found == all.end())
            return fail(Code::corrupt,
                        fmt::format("the backup {}, which {} is built on, is not there", label, backup.label),
                        "choose a target that another backup reaches, and take a full one: pgkeel backup create");
        KEEL_TRY(auto const missing, missing_file(repository, *found));
        if (!missing.empty())
            return fail(
                Code::corrupt,
                fmt::format("{} is not there, which {} is built on", repository.objects().where(missing), backup.label),
                "bring it back from a copy of the repository, and take a full one: pgkeel backup create");
        Parts::Source source{*found, {}, number};
        if (found->kind == BackupKind::incremental) {
            KEEL_TRY(source.list, read_blocklist(repository, *found));
        }
        out.sources.push_back(std::move(source));
    }
    return out;
}

Status assemble(Repository const& repository, Backup const& backup, Parts const& parts, std::string const& directory,
                BackupProgress const& progress, Bound const& bound) {
    Files files(directory, bound);
    if (backup.kind == BackupKind::full) {
        KEEL_CHECK(unpack_tar(repository, backup, files, progress));
        return files.sync();
    }
    std::uint64_t wanted = 0, written = 0;
    for (auto const& one : parts.list.files()) {
        wanted += one.blocks();
        KEEL_CHECK(one.folder ? files.folder(one.path) : files.create(one.path, one.size));
    }
    for (auto const& source : parts.sources) {
        Taken taken(parts.list, source.number, files);
        KEEL_CHECK(read_source(repository, source, taken, progress));
        written += taken.written();
    }
    if (written != wanted)
        return fail(
            Code::corrupt,
            fmt::format("of {} blocks of the backup {} only {} are in the repository", wanted, backup.label, written),
            "use another backup");
    return files.sync();
}

}  // namespace keel::archive
