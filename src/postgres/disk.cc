#include "postgres/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "postgres/process.h"
#include "runtime/log.h"

namespace keel::postgres {

namespace {
namespace log = runtime::log;

constexpr Duration kEvery = 500ms;
constexpr Duration kLookAtMost = 600ms;  // between two looks of a process that runs
constexpr unsigned kPassesToTrust = 10;
constexpr unsigned kWarnPercent = 90;
constexpr unsigned kTightPercent = 95;
constexpr unsigned kBallastPercent = 85;  // with the ballast on it
constexpr std::uint64_t kSegment = 16U << 20U;

// Base backups and pg_rewind leave out names that begin like this.
constexpr char const* kProbeFile = "/pgsql_tmp_pgkeel_agent";
constexpr char const* kBallastFile = "/pgsql_tmp_pgkeel_ballast";

std::string why(std::string const& path, int number) { return path + ": " + std::strerror(number); }

bool on_one_disk(std::string const& a, std::string const& b) {
    struct stat one{}, other{};
    return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev;
}

}  // namespace

DiskProbe::~DiskProbe() {
    std::lock_guard const lock(mutex_);
    ending_ = true;
    wake_.notify_all();
}

void DiskProbe::begin() {
    thread_ = std::jthread([this] { probe_for_ever(); });
}

void DiskProbe::set_limits(DiskLimits const& limits) {
    std::lock_guard const lock(mutex_);
    limits_ = limits;
}

DiskLimits DiskProbe::limits() {
    std::lock_guard const lock(mutex_);
    return limits_;
}

// ---- the thread

void DiskProbe::probe_for_ever() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
        under_way_ = true;
        ++number_;
        lock.unlock();
        auto failure = probe();
        lock.lock();
        under_way_ = false;
        failure_ = std::move(failure);
        passes_ = failure_.empty() ? passes_ + 1 : 0;
        wake_.wait_for(lock, kEvery, [this] { return ending_; });
    }
}

// Empty when the disk takes writes, or there is nothing to write to yet.
std::string DiskProbe::probe() {
    auto const wal = data_ + "/pg_wal";
    if (::access(wal.c_str(), F_OK) != 0) return {};
    if (auto failure = write_in(wal); !failure.empty()) return failure;
    // A server that runs finds out about its other disk by itself, and writes of a checkpoint make that one slow.
    if (!on_one_disk(data_, wal) && !find_postmaster(data_)) {
        if (auto failure = write_in(data_); !failure.empty()) return failure;
    }
    return measure(wal);
}

// One block over and over, as WAL is written. Opened each time, so that the file system can be taken away and repaired.
std::string DiskProbe::write_in(std::string const& directory) const {
    auto const path = directory + kProbeFile;
    int const file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return why(path, errno);
    std::array<char, 512> block{};
    bool const written = ::pwrite(file, block.data(), block.size(), 0) == static_cast<ssize_t>(block.size());
    bool const passed = written && ::fdatasync(file) == 0;
    int const number = errno;
    ::close(file);
    return passed ? std::string() : why(path, number);
}

std::string DiskProbe::measure(std::string const& directory) {
    struct statvfs told{};
    if (::statvfs(directory.c_str(), &told) != 0) return why(directory, errno);
    // As df has it: what root alone may use is nobody's.
    auto const usable = told.f_blocks - told.f_bfree + told.f_bavail;
    Room room;
    room.free_bytes = told.f_bavail * told.f_frsize;
    room.used_percent = usable == 0 ? 0 : static_cast<unsigned>(100 - told.f_bavail * 100 / usable);
    keep_ballast(directory, room);
    if (::statvfs(directory.c_str(), &told) == 0) room.free_bytes = told.f_bavail * told.f_frsize;
    {
        std::lock_guard const lock(mutex_);
        room_ = room;
    }
    if (room.free_bytes >= kSegment) return {};
    return fmt::format(
        "{}: less room than a segment of WAL needs ({} MB); remove what is not PostgreSQL's, or enlarge it", directory,
        kSegment >> 20U);
}

void DiskProbe::keep_ballast(std::string const& directory, Room const& room) {
    auto const path = directory + kBallastFile;
    auto const wanted = limits().ballast_bytes;
    struct stat file{};
    auto const there = ::stat(path.c_str(), &file) == 0 ? static_cast<std::uint64_t>(file.st_size) : 0;
    bool const full = room.used_percent >= kTightPercent || room.free_bytes < kSegment;
    if (there != 0 && (full || there != wanted)) {
        (void)::unlink(path.c_str());
        if (full)
            log::warning("postgres", "the WAL disk is {} % full: gave {} MB of ballast back", room.used_percent,
                         there >> 20U);
        return;
    }
    if (there == wanted || full) return;
    // Each per cent of the disk is this much, nearly.
    auto const per_cent = room.free_bytes / std::max(1U, 100 - room.used_percent);
    if (per_cent == 0 || room.used_percent + wanted / per_cent >= kBallastPercent) return;
    int const made = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0) return;
    // Where the file system cannot set room aside there is no ballast: writing it out would take long, and zeros may
    // take no room at all.
    bool const done = ::fallocate(made, 0, 0, static_cast<off_t>(wanted)) == 0;
    ::close(made);
    if (!done) (void)::unlink(path.c_str());
}

// ---- what it amounts to

DiskProbe::Sight DiskProbe::look(Instant now) {
    std::lock_guard const lock(mutex_);
    bool const same = under_way_ && number_ == seen_number_;
    hung_ = same ? hung_ + std::min(now - looked_, kLookAtMost) : Duration{0};
    seen_number_ = under_way_ ? number_ : 0;
    looked_ = now;
    if (hung_ >= limits_.stall) {
        trouble_ = fmt::format("a write to its WAL disk hangs (for more than {} ms)", to_ms(limits_.stall));
        passes_ = 0;
    } else if (!failure_.empty()) {
        trouble_ = failure_;
    } else if (passes_ >= kPassesToTrust) {
        trouble_.clear();
    }
    tight_ = room_.used_percent >= (tight_ ? kWarnPercent : kTightPercent);
    if (!trouble_.empty()) return {cluster::Disk::useless, trouble_};
    std::string text;
    if (room_.used_percent >= kWarnPercent) text = fmt::format("its WAL disk is {} % full", room_.used_percent);
    return {tight_ ? cluster::Disk::tight : cluster::Disk::sound, text};
}

}  // namespace keel::postgres
