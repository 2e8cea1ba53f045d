// Stores complete segments while the next ones are received. Several are checked, hashed and compressed at once; they
// become visible in the repository one after the other, in order: whoever lists it sees no hole that is none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/repository.h"

namespace keel::archive {

class SegmentStore {
  public:
    struct Segment {
        SegmentId id;
        std::string bytes;
        bool has_tail = false;  // its beginning is in the repository, and goes when the whole is there
    };

    // Each thread opens the repository for itself, when it has something to store.
    SegmentStore(config::RepositorySettings settings, Duration retry, std::string system, Origin origin);
    // Waits for what is being stored. What has not begun is dropped.
    ~SegmentStore();
    SegmentStore(SegmentStore const&) = delete;
    SegmentStore& operator=(SegmentStore const&) = delete;

    bool has_room() const;
    bool is_idle() const;
    // In order, and only while there is room.
    void add(Segment segment);
    // What became durable since the last call, with all that was added before it. The error is of the first that could
    // not be stored; nothing behind that one is.
    Result<std::vector<SegmentId>> take_stored();
    // Until something has become durable or has failed.
    void wait(Duration most) const;
    // For so long the repository has given no sign to the one that waits longest for it.
    Duration silent() const;
    // The memory of a segment that is stored, for the next one.
    std::string spare();

  private:
    struct Shared;
    struct Worker;
    std::unique_ptr<Shared> shared_;
};

}  // namespace keel::archive
