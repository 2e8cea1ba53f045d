// The fork and the exec: everything is prepared before the fork, as only async-signal-safe calls may stand after it.
#pragma once

#include "runtime/child.h"

namespace keel::runtime {

struct Started {
    pid_t pid = 0;
    int pid_fd = -1;
    int out = -1;  // our ends of the pipes; -1: none
    int err = -1;
};

Result<Started> start_child(ChildSpec const& spec);

}  // namespace keel::runtime
