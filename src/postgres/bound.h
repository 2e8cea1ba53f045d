// How long a blocking call may take: a deadline, and the wish of another thread that it ends now.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "base/result.h"
#include "runtime/clock.h"

namespace keel::postgres {

class Bound {
  public:
    explicit Bound(Duration span) : until_(runtime::boot_now() + span) {}
    // Ends early as soon as `generation` differs from `mine`: that is how a kill overtakes a command.
    Bound(Duration span, std::atomic<std::uint64_t> const& generation, std::uint64_t mine)
        : until_(runtime::boot_now() + span), generation_(&generation), mine_(mine) {}

    // The same interruption, another span, never longer than this one.
    Bound at_most(Duration span) const {
        Bound out = *this;
        out.until_ = std::min(until_, runtime::boot_now() + span);
        return out;
    }
    bool overtaken() const { return generation_ != nullptr && generation_->load() != mine_; }
    bool expired() const { return runtime::boot_now() >= until_; }
    bool over() const { return overtaken() || expired(); }
    Duration left() const { return std::max(Duration{0}, until_ - runtime::boot_now()); }
    // For poll(2): at most 20 ms, so that an interruption is seen soon.
    int poll_ms() const { return static_cast<int>(std::min<std::int64_t>(20, to_ms(left()) + 1)); }
    // False, without waiting, when it is over.
    bool pause(Duration span) const {
        if (over()) return false;
        std::this_thread::sleep_for(std::min(span, left()));
        return true;
    }
    Error why(std::string const& doing) const {
        if (overtaken()) return {Code::conflict, doing + ": overtaken by a kill of the server"};
        return {Code::timeout, doing + ": no end in time"};
    }

  private:
    Instant until_;
    std::atomic<std::uint64_t> const* generation_ = nullptr;
    std::uint64_t mine_ = 0;
};

}  // namespace keel::postgres
