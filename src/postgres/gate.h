// The agent's side of the words that it shares with the extension inside PostgreSQL (ext/pgkeel_gate.h): may commits be
// acknowledged, and what does the server say of itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

struct pgkeel_gate;

namespace keel::postgres {

// SyncCommitLevel of PostgreSQL, as far as it is asked for.
enum class Floor : std::uint32_t { none = 0, flushed_by_standbys = 3 };

struct GateOrders {
    Instant deadline;  // until then commits may be acknowledged
    Epoch epoch;
    bool recheck = true;  // no standby must have a commit: the deadline counts after the commit record as well
    Floor floor = Floor::none;
};

struct GateFacts {
    Instant told;  // when the server wrote them; Instant{}: it never did
    std::uint32_t library_version = 0;
    pid_t postmaster = 0;
    bool in_recovery = false;
    Lsn flush, replay;
    Duration fsync{-1};    // of the WAL disk, the last one; -1: not known yet
    Duration hanging{-1};  // how long an fsync has not come back; -1: none is under way
    std::uint64_t refused = 0;
    std::uint64_t held = 0;
    struct Sender {
        NodeId node;
        bool streaming = false;
        bool synchronous = false;
        Lsn sent, write, flush, replay;
    };
    std::vector<Sender> senders;
};

class Gate {
  public:
    // In /dev/shm, named by device, inode and birth of the node's directory; in <directory>/state where there is no
    // /dev/shm. New words, and those of an earlier boot, are shut; those of a predecessor stay as they are.
    static Result<Gate> open(std::string const& directory);
    // What pgkeel.gate_file must say.
    static std::string path_of(std::string const& directory);
    // For the end of a node that has ended in order.
    static void remove(std::string const& directory);
    Gate(Gate&& other) noexcept;
    Gate& operator=(Gate&& other) noexcept;
    ~Gate();

    // None of these blocks.
    void order(GateOrders const& orders, Instant now);
    void shut(Instant now);
    // Cancels and terminations reach a commit that waits for standbys: before a shutdown in order.
    void let_signals_through(bool through);
    // What the server wrote last; what was found when it writes all the time.
    GateFacts facts(Instant now) const;

  private:
    explicit Gate(pgkeel_gate* words) : words_(words) {}
    pgkeel_gate* words_ = nullptr;
};

// The extension for the server in `binaries`: beside this program (a build), or where the server looks itself. Empty:
// none, or one that cannot be read.
std::string find_extension(std::string const& binaries);

// What status says about the fence inside the running server: "full", or "degraded (...)" with what to do about it.
std::string judge_fence(std::string const& extension, std::string const& refusal, pid_t postmaster,
                        GateFacts const& facts, Instant now);

}  // namespace keel::postgres
