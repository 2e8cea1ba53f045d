// Ctrl-C, SIGTERM and SIGHUP as the end of a bound, for blocking work that has to be tidied up after.
#pragma once

#include "postgres/bound.h"

namespace keel::cli {

class Interrupts {
  public:
    Interrupts();
    Interrupts(Interrupts const&) = delete;
    Interrupts& operator=(Interrupts const&) = delete;
    ~Interrupts();  // from then on they end the program again

    postgres::Bound bound(Duration span) const;
    bool came() const;
};

}  // namespace keel::cli
