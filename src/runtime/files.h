// Files that survive a crash: written beside, synced, renamed, directory synced. All calls block.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace keel::runtime {

// not_found, denied, unavailable; exhausted when longer than `size_limit` bytes.
Result<std::string> read_file(std::string const& path, std::size_t size_limit);
// The same of a secret: denied when others on the machine may read the file.
Result<std::string> read_private_file(std::string const& path, std::size_t size_limit);
// The file is either the old one or the new one, whatever happens, and the new one once this returned. ENOSPC and
// EDQUOT give Code::exhausted; a failed fsync leaves the old file and says so.
Status write_atomically(std::string const& path, std::string_view bytes, mode_t mode);
// Makes the directory's entries durable.
Status fsync_directory(std::string const& path);
// Creates the directory and its missing parents (they with the same mode); an existing one gets `mode`.
Status ensure_directory(std::string const& path, mode_t mode);
// Removes a file; a missing one is fine. The removal is durable when this returned.
Status remove_durably(std::string const& path);
bool exists(std::string const& path);
// As many descriptors as this process may ever have.
void raise_descriptor_limit();
// What an unprivileged process may still write there.
Result<std::uint64_t> free_bytes(std::string const& path);

// An exclusive lock (flock) on a file, held until the object or the process ends; the holder's pid is written into it.
// Not inherited by child processes that exec.
class FileLock {
  public:
    // Does not wait: conflict, naming the holder's pid, when another process has it.
    static Result<FileLock> take(std::string const& path);
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    ~FileLock();

  private:
    explicit FileLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_ = -1;
};

// "path: what: No space left on device" with the code that fits `error_number`.
Error system_error(int error_number, std::string const& what);

}  // namespace keel::runtime
