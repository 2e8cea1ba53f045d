// The few words that the agent, the guardian and the root of the tree share: until when PostgreSQL may run as a
// primary, and signs of life. In shared memory, so that a stalled disk can neither delay a renewal nor a kill.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
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
    pid_t guardian = 0;                  // the one on duty
    std::uint64_t guardian_beats = 0;    // counts up while a guardian is awake
    bool real_time = false;              // what that guardian got from the kernel
    bool in_memory = false;
};

class DeadlineFile {
  public:
    static std::string path_of(std::string const& directory);
    // Words of an earlier boot count as disarmed.
    static Result<DeadlineFile> open(std::string const& directory);
    // A look by somebody who is not the words' owner (the root of the tree, as root): nothing is created or mapped.
    static std::optional<DeadlineView> peek(std::string const& directory);
    // For the end of a node whose agent and guardian have ended in order; shared memory would keep it until the next
    // boot.
    static void remove(std::string const& directory);
    DeadlineFile(DeadlineFile&&) noexcept;
    DeadlineFile& operator=(DeadlineFile&&) noexcept;
    ~DeadlineFile();

    // None of these blocks or takes memory.
    DeadlineView view() const;
    // By the agent only.
    void arm(Instant deadline);
    void disarm();
    void server(pid_t postmaster, std::uint64_t start);
    void heartbeat(Instant now, std::uint64_t incarnation);
    // By the guardian only.
    void go_on_duty(pid_t self, bool real_time, bool in_memory);
    void beat();

    struct Words;

  private:
    explicit DeadlineFile(Words* words) : words_(words) {}
    Words* words_ = nullptr;
};

}  // namespace keel::agent
