// The readable story of a run. Off by default: the seed is run again with the story on when it fails.
#pragma once

#include <fmt/format.h>

#include <boost/describe.hpp>
#include <deque>
#include <string>

#include "rng.h"

namespace keel::sim {

// An enumerator's name.
template <class E>
char const* word(E value) {
    return boost::describe::enum_to_string(value, "?");
}

class Trace {
  public:
    bool on = false;
    bool live = false;  // print at once
    std::size_t keep = 400;

    void add(Time now, std::string text) {
        std::string line = fmt::format("{:>10.3f} ms  {}", static_cast<double>(now) / 1000.0, text);
        if (live) fmt::print("{}\n", line);
        lines_.push_back(std::move(line));
        if (lines_.size() > keep) lines_.pop_front();
    }
    std::deque<std::string> const& lines() const { return lines_; }

  private:
    std::deque<std::string> lines_;
};

}  // namespace keel::sim
