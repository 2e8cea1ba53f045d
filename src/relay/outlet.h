// Bytes on their way into a Wire: what could not be written at once waits here for the socket.
#pragma once

#include <string>

#include "runtime/wire.h"

namespace keel::relay {

// One buffer for all connections of a thread: who writes borrows it, so that whoever has nothing to write has none.
class Spare {
  public:
    void lend(std::string& to) {
        if (to.empty() && to.capacity() < buffer_.capacity()) to.swap(buffer_);
    }
    void take_back(std::string& from) {
        if (!from.empty()) return;
        if (from.capacity() > buffer_.capacity() && from.capacity() <= kMost) from.swap(buffer_);
        from.shrink_to_fit();
    }

  private:
    static constexpr std::size_t kMost = 1024 * 1024;
    std::string buffer_;
};

class Outlet {
  public:
    // Takes all of `bytes` (which is empty afterwards) and writes what goes.
    runtime::Wire::State flush(runtime::Wire& wire, std::string& bytes) {
        if (waiting_.empty())
            waiting_.swap(bytes);
        else
            waiting_ += bytes;
        bytes.clear();
        while (at_ < waiting_.size()) {
            auto const moved = wire.write(std::string_view(waiting_).substr(at_));
            if (moved.state != runtime::Wire::State::done) {
                // What is left is moved less often than what went.
                if (at_ > kCompact && at_ >= waiting()) compact();
                return moved.state;
            }
            at_ += moved.bytes;
        }
        // The buffer goes back, so that its memory is used again.
        waiting_.clear();
        at_ = 0;
        waiting_.swap(bytes);
        waiting_.shrink_to_fit();
        return runtime::Wire::State::done;
    }
    std::size_t waiting() const { return waiting_.size() - at_; }

  private:
    static constexpr std::size_t kCompact = 64 * 1024;
    void compact() {
        waiting_.erase(0, at_);
        at_ = 0;
    }
    std::string waiting_;
    std::size_t at_ = 0;
};

}  // namespace keel::relay
