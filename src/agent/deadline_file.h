// The few words that the agent and the guardian share: until when PostgreSQL may run as a primary. In shared memory, so
// that a stalled disk can neither delay a renewal nor a kill.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace keel::agent {

struct DeadlineView {
    bool armed = false;  // the server may be a primary
    Instant deadline;    // then it must be gone
    pid_t postmaster = 0;
    std::uint64_t postmaster_start = 0;  // proc(5) stat field 22; with the pid it names a process for ever
    Instant heartbeat;                   // of the agent
    std::uint64_t incarnation = 0;       // of the agent that wrote last
};

class DeadlineFile {
  public:
    // In /dev/shm, named by device and inode of the node's directory (a copied directory is another one); in
    // <directory>/state where there is no /dev/shm. Words of an earlier boot count as disarmed.
    static Result<DeadlineFile> open(std::string const& directory);
    // For the end of a node whose agent and guardian have ended in order; shared memory would keep it until the next
    // boot.
    static void remove(std::string const& directory);
    DeadlineFile(DeadlineFile&&) noexcept;
    DeadlineFile& operator=(DeadlineFile&&) noexcept;
    ~DeadlineFile();

    DeadlineView view() const;
    // By the agent only; none of these blocks.
    void arm(Instant deadline);
    void disarm();
    void server(pid_t postmaster, std::uint64_t start);
    void heartbeat(Instant now, std::uint64_t incarnation);

    struct Words;

  private:
    explicit DeadlineFile(Words* words) : words_(words) {}
    Words* words_ = nullptr;
};

}  // namespace keel::agent
