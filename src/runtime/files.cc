#include "runtime/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace keel::runtime {

namespace {

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int get() const { return number_; }
    // The error of a close counts: NFS and quotas report there.
    bool close() { return ::close(std::exchange(number_, -1)) == 0; }

  private:
    int number_;
};

std::string parent_of(std::string const& path) {
    auto const parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

Status write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t const written = ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(system_error(errno, "write"));
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

// The mode is set whatever the umask, and before a byte is in the file.
Status write_synced(std::string const& path, std::string_view bytes, mode_t mode) {
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) return fail(system_error(errno, "open"));
    if (::fchmod(file.get(), mode) != 0) return fail(system_error(errno, "chmod"));
    KEEL_CHECK(write_all(file.get(), bytes));
    if (::fsync(file.get()) != 0) return fail(system_error(errno, "fsync"));
    if (!file.close()) return fail(system_error(errno, "close"));
    return {};
}

}  // namespace

Error system_error(int error_number, std::string const& what) {
    Error error{Code::unavailable, what + ": " + std::strerror(error_number)};
    switch (error_number) {
        case ENOENT:
        case ESRCH:
            error.code = Code::not_found;
            break;
        case EACCES:
        case EPERM:
        case EROFS:
            error.code = Code::denied;
            break;
        case ENOSPC:
        case EDQUOT:
            error.code = Code::exhausted;
            error.mend = "free space on that file system";
            break;
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case EAGAIN:
            error.code = Code::exhausted;
            break;
        case EADDRINUSE:
        case EEXIST:
            error.code = Code::conflict;
            break;
        case ENOTDIR:
        case EISDIR:
        case ENAMETOOLONG:
        case ELOOP:
        case EADDRNOTAVAIL:
            error.code = Code::invalid;
            break;
        case ETIMEDOUT:
            error.code = Code::timeout;
            break;
        default:
            break;
    }
    return error;
}

Result<std::string> read_file(std::string const& path, std::size_t size_limit) {
    Descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return fail(system_error(errno, path));
    std::string bytes;
    char chunk[16 * 1024];
    for (;;) {
        ssize_t const got = ::read(file.get(), chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(system_error(errno, path));
        if (got == 0) return bytes;
        bytes.append(chunk, static_cast<std::size_t>(got));
        if (bytes.size() > size_limit) {
            return fail(Code::exhausted, path + ": longer than " + std::to_string(size_limit) + " bytes");
        }
    }
}

Result<std::string> read_private_file(std::string const& path, std::size_t size_limit) {
    struct stat seen{};
    if (::stat(path.c_str(), &seen) == 0 && (seen.st_mode & 077U) != 0)
        return fail(Code::denied, path + ": a secret that others on the machine may read is not used",
                    "chmod 0600 it, and change the secret if others could have read it");
    return read_file(path, size_limit);
}

Status write_atomically(std::string const& path, std::string_view bytes, mode_t mode) {
    auto const beside = path + ".new";
    if (auto status = write_synced(beside, bytes, mode); !status) {
        ::unlink(beside.c_str());
        return fail(std::move(status.error()).in(path));
    }
    if (::rename(beside.c_str(), path.c_str()) != 0) {
        Error error = system_error(errno, path + ": rename");
        ::unlink(beside.c_str());
        return fail(std::move(error));
    }
    if (auto status = fsync_directory(parent_of(path)); !status) {
        status.error().outcome = Outcome::unknown;  // renamed, but perhaps not for a crash
        return status;
    }
    return {};
}

Status fsync_directory(std::string const& path) {
    Descriptor const directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0) return fail(system_error(errno, path));
    if (::fsync(directory.get()) != 0) return fail(system_error(errno, path + ": fsync"));
    return {};
}

Status ensure_directory(std::string const& path, mode_t mode) {
    if (!exists(path)) {
        if (auto const parent = parent_of(path); parent != path && !exists(parent)) {
            KEEL_CHECK(ensure_directory(parent, mode));
        }
        if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail(system_error(errno, path));
        KEEL_CHECK(fsync_directory(parent_of(path)));
    }
    struct stat seen{};
    if (::stat(path.c_str(), &seen) != 0) return fail(system_error(errno, path));
    if (!S_ISDIR(seen.st_mode)) return fail(Code::invalid, path + ": is not a directory", "move that file away");
    if ((seen.st_mode & 07777) != mode && ::chmod(path.c_str(), mode) != 0) return fail(system_error(errno, path));
    return {};
}

Status remove_durably(std::string const& path) {
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return fail(system_error(errno, path));
    }
    return fsync_directory(parent_of(path));
}

void raise_descriptor_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
}

bool exists(std::string const& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<std::uint64_t> free_bytes(std::string const& path) {
    struct statvfs seen{};
    if (::statvfs(path.c_str(), &seen) != 0) return fail(system_error(errno, path));
    return static_cast<std::uint64_t>(seen.f_bavail) * seen.f_frsize;
}

Result<FileLock> FileLock::take(std::string const& path) {
    int const descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return fail(system_error(errno, path));
    FileLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail(system_error(errno, path));
        char holder[32]{};
        ssize_t const got = ::pread(descriptor, holder, sizeof holder - 1, 0);
        auto const pid = got > 0 ? " (pid " + std::string(holder, std::strcspn(holder, "\n")) + ")" : std::string();
        return fail(Code::conflict, path + " is locked: another agent" + pid + " runs on this directory",
                    "stop the other one, or choose another --dir");
    }
    auto const pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(descriptor, 0) == 0) KEEL_CHECK(write_all(descriptor, pid));
    return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

FileLock::~FileLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace keel::runtime
