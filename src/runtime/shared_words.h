// Small files of words that the processes of one node map together. In shared memory, so that a stalled disk holds
// nobody up.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace keel::runtime {

// /dev/shm/<in_memory>-<device>-<inode>-<birth> of the node's directory, so that a copied directory has words of its
// own, and so has one that got the inode of a directory that was removed; where nobody may write to /dev/shm,
// <directory>/state/<on_disk>. Empty: there is no such directory.
std::string shared_path(std::string const& directory, std::string const& in_memory, std::string const& on_disk);

// Maps the file for reading and writing; a new one is all zeros. One that is there may be longer, and is never cut:
// whoever has it mapped must not lose a page. denied: somebody else owns it or may open it.
Result<void*> map_shared(std::string const& path, std::size_t size);

// Of this start of the machine: words of an earlier one mean nothing. 36 characters.
std::string boot_id();

}  // namespace keel::runtime
