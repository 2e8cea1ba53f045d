#include "runtime/shared_words.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/files.h"

namespace keel::runtime {

std::string shared_path(std::string const& directory, std::string const& in_memory, std::string const& on_disk) {
    struct statx place{};
    if (::statx(AT_FDCWD, directory.c_str(), 0, STATX_INO | STATX_BTIME, &place) != 0) return {};
    if (::access("/dev/shm", W_OK) != 0) return directory + "/state/" + on_disk;
    // Zero where the file system does not keep it.
    auto const born = place.stx_btime.tv_sec * 1'000'000'000 + place.stx_btime.tv_nsec;
    return fmt::format("/dev/shm/{}-{:x}-{:x}-{:x}", in_memory, ::makedev(place.stx_dev_major, place.stx_dev_minor),
                       place.stx_ino, born);
}

Result<void*> map_shared(std::string const& path, std::size_t size) {
    int const file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return fail(system_error(errno, path));
    struct stat status{};
    bool const safe = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid() &&
                      (status.st_mode & 077U) == 0;
    void* mapped = MAP_FAILED;
    auto const wanted = static_cast<off_t>(size);
    if (safe && (status.st_size >= wanted || ::ftruncate(file, wanted) == 0))
        mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int const why = errno;
    ::close(file);
    if (!safe)
        return fail(Code::denied, path + " belongs to somebody else or may be opened by others",
                    "remove it, and run pgkeel node as the user that ran it before");
    if (mapped == MAP_FAILED) return fail(system_error(why, path));
    return mapped;
}

std::string boot_id() {
    auto const text = read_file("/proc/sys/kernel/random/boot_id", 256);
    return text ? text->substr(0, 36) : std::string("unknown");
}

}  // namespace keel::runtime
