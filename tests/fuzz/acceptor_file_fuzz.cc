// The acceptor's file on a bad disk. Input: where (three bytes, big endian), and what stands there instead.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "consensus/acceptor_file.h"
#include "fuzz.h"

namespace keel::fuzz {

namespace {

using consensus::AcceptorFile;
NodeId const kNode{"a"};

// A file with two valid slots, in memory where there is /dev/shm; removed at the end.
struct Disk {
    std::filesystem::path path;
    std::size_t size = 0;
    int descriptor = -1;

    Disk() {
        auto const root = std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
        path = root / ("pgkeel-fuzz-acceptor-" + std::to_string(::getpid()));
        std::filesystem::remove(path);
        must(AcceptorFile::create(path, {"c0ffee", kNode, 7, consensus::genesis(kNode, 7, "first")}).has_value());
        auto file = AcceptorFile::open(path, "c0ffee", kNode);
        must(file.has_value() && file->save(consensus::genesis(kNode, 7, "second")).has_value());
        size = std::filesystem::file_size(path);
        descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    ~Disk() {
        ::close(descriptor);
        std::filesystem::remove(path);
    }
    Disk(Disk const&) = delete;
    Disk& operator=(Disk const&) = delete;
};

}  // namespace

std::vector<std::string> seeds() {
    return {std::string("\0\0\0x", 4), std::string("\0\x10\0y", 4), std::string("\x08\x10\x08zzzzzzzz", 11)};
}

// Whatever stands there: the newer state, the older one, or a refusal. Never a third state.
void eat(std::string_view bytes) {
    static Disk disk;
    if (bytes.size() < 4) return;
    auto const byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
    auto const where = (byte(0) << 16U | byte(1) << 8U | byte(2)) % disk.size;
    auto const what = bytes.substr(3, disk.size - where);
    std::string old(what.size(), '\0');
    must(::pread(disk.descriptor, old.data(), old.size(), static_cast<off_t>(where)) ==
         static_cast<ssize_t>(old.size()));
    must(::pwrite(disk.descriptor, what.data(), what.size(), static_cast<off_t>(where)) ==
         static_cast<ssize_t>(what.size()));
    auto const opened = AcceptorFile::open(disk.path, "c0ffee", kNode);
    if (opened) {
        auto const& value = opened->content().durable.value;
        must(value.has_value() && (value->text == "first" || value->text == "second"));
    }
    must(::pwrite(disk.descriptor, old.data(), old.size(), static_cast<off_t>(where)) ==
         static_cast<ssize_t>(old.size()));
}

}  // namespace keel::fuzz
