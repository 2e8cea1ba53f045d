#include "agent/deadline_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "runtime/files.h"

namespace keel::agent {

namespace {
constexpr std::uint64_t kMagic = 0x6b65656c64656164;  // "keeldead"
constexpr std::size_t kBootId = 36;
}  // namespace

struct DeadlineFile::Words {
    std::uint64_t magic;
    char boot_id[40];
    std::atomic<std::int64_t> deadline_us;
    std::atomic<std::uint64_t> armed;
    std::atomic<std::int64_t> postmaster;
    std::atomic<std::uint64_t> postmaster_start;
    std::atomic<std::int64_t> heartbeat_us;
    std::atomic<std::uint64_t> incarnation;
};

namespace {

std::string boot_id() {
    auto const text = runtime::read_file("/proc/sys/kernel/random/boot_id", 256);
    return text ? text->substr(0, kBootId) : std::string("unknown");
}

// Empty when there is no such directory.
std::string path_in_memory(std::string const& directory) {
    struct stat place{};
    if (::stat(directory.c_str(), &place) != 0) return {};
    return fmt::format("/dev/shm/pgkeel-{:x}-{:x}", place.st_dev, place.st_ino);
}

int open_words(std::string const& path) {
    return ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

}  // namespace

Result<DeadlineFile> DeadlineFile::open(std::string const& directory) {
    auto path = path_in_memory(directory);
    if (path.empty()) return fail(runtime::system_error(errno, directory));
    int descriptor = open_words(path);
    if (descriptor < 0 && (errno == ENOENT || errno == EROFS)) {
        path = directory + "/state/deadline";
        descriptor = open_words(path);
    }
    if (descriptor < 0) return fail(runtime::system_error(errno, path));
    struct stat status{};
    void* mapped = MAP_FAILED;
    bool const ours = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid() &&
                      (status.st_mode & 077U) == 0;
    if (ours && ::ftruncate(descriptor, sizeof(Words)) == 0)
        mapped = ::mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    int const why = errno;
    ::close(descriptor);
    if (!ours)
        return fail(Code::denied, path + " belongs to somebody else or may be opened by others",
                    "remove it, and run pgkeel node as the user that ran it before");
    if (mapped == MAP_FAILED) return fail(runtime::system_error(why, path));
    auto* words = static_cast<Words*>(mapped);
    auto const boot = boot_id();
    if (words->magic != kMagic || std::strncmp(words->boot_id, boot.c_str(), sizeof words->boot_id) != 0) {
        words->armed = 0;
        words->deadline_us = 0;
        words->postmaster = 0;
        words->incarnation = 0;
        std::strncpy(words->boot_id, boot.c_str(), sizeof words->boot_id - 1);
        words->magic = kMagic;
    }
    return DeadlineFile(words);
}

void DeadlineFile::remove(std::string const& directory) {
    if (auto const path = path_in_memory(directory); !path.empty()) (void)::unlink(path.c_str());
}

DeadlineFile::DeadlineFile(DeadlineFile&& other) noexcept : words_(std::exchange(other.words_, nullptr)) {}
DeadlineFile& DeadlineFile::operator=(DeadlineFile&& other) noexcept {
    std::swap(words_, other.words_);
    return *this;
}
DeadlineFile::~DeadlineFile() {
    if (words_ != nullptr) ::munmap(words_, sizeof(Words));
}

DeadlineView DeadlineFile::view() const {
    DeadlineView out;
    out.armed = words_->armed != 0;
    out.deadline = Instant(Duration(words_->deadline_us));
    out.postmaster = static_cast<pid_t>(words_->postmaster);
    out.postmaster_start = words_->postmaster_start;
    out.heartbeat = Instant(Duration(words_->heartbeat_us));
    out.incarnation = words_->incarnation;
    return out;
}

void DeadlineFile::arm(Instant deadline) {
    // The deadline first: a guardian that sees `armed` must not meet the deadline of an older reign.
    words_->deadline_us = deadline.time_since_epoch().count();
    words_->armed = 1;
}

void DeadlineFile::disarm() { words_->armed = 0; }

void DeadlineFile::server(pid_t postmaster, std::uint64_t start) {
    words_->postmaster_start = start;
    words_->postmaster = postmaster;
}

void DeadlineFile::heartbeat(Instant now, std::uint64_t incarnation) {
    words_->incarnation = incarnation;
    words_->heartbeat_us = now.time_since_epoch().count();
}

}  // namespace keel::agent
