// What the demo and drills see of a cluster: every agent is asked for its status, and each change becomes one line.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "cluster/status.h"
#include "runtime/http.h"

namespace keel::cli {

// What was seen when, for the report. Lines are printed as they come.
struct Moment {
    Instant at;
    std::string who;  // name of a node, or of whoever watches
    std::string text;
};

// One agent to be asked.
struct Eye {
    std::string name;  // of its node
    runtime::HttpTarget target;
};

// What an agent said, and when its answer came.
struct Heard {
    cluster::ClusterStatus status;
    Instant at;
};

class Watch {
  public:
    // Lines go to `out`.
    explicit Watch(std::vector<Eye> eyes, std::FILE* out = stdout) : eyes_(std::move(eyes)), out_(out) {}

    // Times are shown relative to this from now on.
    void set_zero(Instant zero) { zero_ = zero; }
    void say(std::string const& who, std::string const& text);
    // With `aloud`, a change of a node's state or reason is a line.
    void set_aloud(bool aloud) { aloud_ = aloud; }

    // Asks all agents once, at most 200 ms each.
    runtime::Task<void> look();
    // Looks again and again, also while others run.
    runtime::Task<void> keep_looking(Duration pause);

    // The newest report of the node's agent; null while it does not answer.
    cluster::ClusterStatus const* of(std::string const& name) const;
    // The report of an agent that sees a reigning leader; null when nobody does.
    cluster::ClusterStatus const* of_leader() const;
    // A leader, and `standbys` others that stream and are in the sync set.
    bool is_whole(std::size_t standbys) const;
    // The newest reports of all agents that answer, by the names of their nodes.
    std::map<std::string, Heard> const& seen() const { return seen_; }
    std::vector<Moment> const& moments() const { return moments_; }

  private:
    runtime::Task<void> ask(Eye const& eye);

    std::vector<Eye> eyes_;
    std::FILE* out_;
    Instant zero_;
    bool aloud_ = false;
    std::map<std::string, Heard> seen_;
    std::map<std::string, std::string> said_;
    std::vector<Moment> moments_;
};

}  // namespace keel::cli
