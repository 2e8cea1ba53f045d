// Bytes on their way into a Wire: what could not be written at once waits here for the socket.
#pragma once

#include <string>

#include "runtime/wire.h"

namespace keel::relay {

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
                if (at_ > kCompact) compact();
                return moved.state;
            }
            at_ += moved.bytes;
        }
        // The buffer goes back, so that its memory is used again; a big one is given up.
        waiting_.clear();
        at_ = 0;
        if (waiting_.capacity() > kKeep)
            waiting_ = {};
        else
            waiting_.swap(bytes);
        return runtime::Wire::State::done;
    }
    std::size_t waiting() const { return waiting_.size() - at_; }

  private:
    static constexpr std::size_t kCompact = 64 * 1024;
    static constexpr std::size_t kKeep = 16 * 1024;
    void compact() {
        waiting_.erase(0, at_);
        at_ = 0;
    }
    std::string waiting_;
    std::size_t at_ = 0;
};

}  // namespace keel::relay
