// Watches the disk that takes a node's WAL, in a thread of its own: do writes come back, are they refused, how full is
// it. Keeps a ballast there, a file whose room is given back when the disk fills up.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/time.h"
#include "cluster/messages.h"

namespace keel::postgres {

struct DiskLimits {
    Duration stall = 2s;  // a write that takes longer hangs
    std::uint64_t ballast_bytes = 64U << 20U;
    bool operator==(DiskLimits const&) const = default;
};

class DiskProbe {
  public:
    // The server's data directory. A node without one has nothing to probe.
    explicit DiskProbe(std::string data) : data_(std::move(data)) {}
    // Waits for a write that hangs: the kernel lets nobody go before.
    ~DiskProbe();
    DiskProbe(DiskProbe const&) = delete;
    DiskProbe& operator=(DiskProbe const&) = delete;

    void begin();
    void set_limits(DiskLimits const& limits);

    struct Sight {
        cluster::Disk disk = cluster::Disk::sound;
        std::string text;  // empty: nothing to be said
    };
    // Never blocks. To be called all the time: a write hangs only as long as somebody looked on, so that a pause of
    // the whole process is not taken for one.
    Sight look(Instant now);

  private:
    struct Room {
        std::uint64_t free_bytes = 0;
        unsigned used_percent = 0;
    };
    void probe_for_ever();
    std::string probe();
    std::string write_in(std::string const& directory) const;
    std::string measure(std::string const& directory);
    void keep_ballast(std::string const& directory, Room const& room);
    DiskLimits limits();

    std::string const data_;
    std::mutex mutex_;  // guards what follows, held for moments only
    DiskLimits limits_;
    bool under_way_ = false;
    std::uint64_t number_ = 0;  // of the probe
    std::string failure_;       // of the last one
    unsigned passes_ = 0;       // in a row
    Room room_;
    std::string trouble_;  // why the disk is useless; until enough probes have passed
    bool tight_ = false;
    // What look() has seen.
    std::uint64_t seen_number_ = 0;
    Instant looked_;
    Duration hung_{0};

    bool ending_ = false;
    std::condition_variable wake_;
    std::jthread thread_;
};

}  // namespace keel::postgres
