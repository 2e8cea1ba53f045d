// What child.cc and process.cc share: pidfd system calls and the list of children that have an owner.
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace keel::runtime {

Status signal_pid_fd(int descriptor, int number);
// reap_orphans() leaves these to their Child objects.
void remember_child(pid_t pid);
void forget_child(pid_t pid);

}  // namespace keel::runtime
