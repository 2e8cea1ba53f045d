#include "agent/deadline_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "runtime/files.h"
#include "runtime/shared_words.h"

namespace keel::agent {

namespace {

constexpr std::uint64_t kMagic = 0x6b65656c64656164;  // "keeldead"
constexpr std::uint64_t kRealTime = 1;
constexpr std::uint64_t kInMemory = 2;

template <class Word>
Word read(Word const& word) {
    return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}
template <class Word>
void write(Word& word, Word value) {
    __atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}

}  // namespace

// An agent adopts what one of another version left, which leads on: words are only ever added, at the end.
struct DeadlineFile::Words {
    std::uint64_t magic;
    char boot_id[40];
    std::int64_t deadline_us;
    std::uint64_t armed;
    std::int64_t postmaster;
    std::uint64_t postmaster_start;
    std::int64_t heartbeat_us;
    std::uint64_t incarnation;
    std::int64_t guardian;
    std::uint64_t guardian_beats;
    std::uint64_t guardian_traits;
};

namespace {

using Words = DeadlineFile::Words;

bool of_this_boot(Words const& words, std::string const& boot) {
    return words.magic == kMagic && std::strncmp(words.boot_id, boot.c_str(), sizeof words.boot_id) == 0;
}

DeadlineView view_of(Words const& words) {
    DeadlineView out;
    out.armed = read(words.armed) != 0;
    out.deadline = Instant(Duration(read(words.deadline_us)));
    out.postmaster = static_cast<pid_t>(read(words.postmaster));
    out.postmaster_start = read(words.postmaster_start);
    out.heartbeat = Instant(Duration(read(words.heartbeat_us)));
    out.incarnation = read(words.incarnation);
    out.guardian = static_cast<pid_t>(read(words.guardian));
    out.guardian_beats = read(words.guardian_beats);
    auto const traits = read(words.guardian_traits);
    out.real_time = (traits & kRealTime) != 0;
    out.in_memory = (traits & kInMemory) != 0;
    return out;
}

}  // namespace

std::string DeadlineFile::path_of(std::string const& directory) {
    return runtime::shared_path(directory, "pgkeel", "deadline");
}

Result<DeadlineFile> DeadlineFile::open(std::string const& directory) {
    auto const path = path_of(directory);
    if (path.empty()) return fail(runtime::system_error(errno, directory));
    KEEL_TRY(void* const mapped, runtime::map_shared(path, sizeof(Words)));
    auto* words = static_cast<Words*>(mapped);
    if (auto const boot = runtime::boot_id(); !of_this_boot(*words, boot)) {
        *words = {};
        std::strncpy(words->boot_id, boot.c_str(), sizeof words->boot_id - 1);
        write(words->magic, kMagic);
    }
    return DeadlineFile(words);
}

std::optional<DeadlineView> DeadlineFile::peek(std::string const& directory) {
    int const file = ::open(path_of(directory).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    Words words{};
    // Read, not mapped: the owner may cut the file, and that must not end whoever looks.
    auto const got = ::pread(file, &words, sizeof words, 0);
    ::close(file);
    if (got != sizeof words || !of_this_boot(words, runtime::boot_id())) return std::nullopt;
    return view_of(words);
}

void DeadlineFile::remove(std::string const& directory) {
    if (auto const path = path_of(directory); !path.empty()) (void)::unlink(path.c_str());
}

DeadlineFile::DeadlineFile(DeadlineFile&& other) noexcept : words_(std::exchange(other.words_, nullptr)) {}
DeadlineFile& DeadlineFile::operator=(DeadlineFile&& other) noexcept {
    std::swap(words_, other.words_);
    return *this;
}
DeadlineFile::~DeadlineFile() {
    if (words_ != nullptr) ::munmap(words_, sizeof(Words));
}

DeadlineView DeadlineFile::view() const { return view_of(*words_); }

void DeadlineFile::arm(Instant deadline) {
    // The deadline first: a guardian that sees `armed` must not meet the deadline of an older reign.
    write(words_->deadline_us, std::int64_t{deadline.time_since_epoch().count()});
    write(words_->armed, std::uint64_t{1});
}

void DeadlineFile::disarm() { write(words_->armed, std::uint64_t{0}); }

void DeadlineFile::server(pid_t postmaster, std::uint64_t start) {
    write(words_->postmaster_start, start);
    write(words_->postmaster, std::int64_t{postmaster});
}

void DeadlineFile::heartbeat(Instant now, std::uint64_t incarnation) {
    write(words_->incarnation, incarnation);
    write(words_->heartbeat_us, std::int64_t{now.time_since_epoch().count()});
}

void DeadlineFile::go_on_duty(pid_t self, bool real_time, bool in_memory) {
    write(words_->guardian_traits, (real_time ? kRealTime : 0) | (in_memory ? kInMemory : 0));
    write(words_->guardian, std::int64_t{self});
}

void DeadlineFile::beat() { __atomic_add_fetch(&words_->guardian_beats, std::uint64_t{1}, __ATOMIC_SEQ_CST); }

}  // namespace keel::agent
