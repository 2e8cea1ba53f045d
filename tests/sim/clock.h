// One node's boot clock: an offset that starts anew at each boot, a rate within 1000 ppm, blind to a hypervisor's
// pause.
#pragma once

#include "base/time.h"
#include "rng.h"

namespace keel::sim {

class HostClock {
  public:
    void boot(Time truth, Time value, std::int64_t rate_ppm) {
        base_truth_ = truth;
        base_local_ = value;
        ppm_ = rate_ppm;
    }
    Time local(Time truth) const {
        Time const span = truth - base_truth_;
        return base_local_ + span + span * ppm_ / 1'000'000;
    }
    // When the clock will show `local`, if it is not paused meanwhile.
    Time truth(Time local) const {
        Time const span = local - base_local_;
        return base_truth_ + span - span * ppm_ / 1'000'000 + 2;
    }
    // The machine stood still from `since` until `truth` and its clock did not notice.
    void skip(Time since, Time truth) {
        base_local_ = local(since);
        base_truth_ = truth;
    }
    // A wall clock's step; only for the deliberate fault "lease on wall clock".
    void step(Time truth, Time by) {
        base_local_ = local(truth) + by;
        base_truth_ = truth;
    }
    Instant instant(Time truth) const { return Instant(Duration(local(truth))); }

    std::int64_t wall_offset_ms = 0;

  private:
    Time base_truth_ = 0;
    Time base_local_ = 0;
    std::int64_t ppm_ = 0;
};

}  // namespace keel::sim
