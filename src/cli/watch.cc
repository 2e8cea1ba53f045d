#include "cli/watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {
constexpr char const* kStatusPath = "/status";
}

void Watch::say(std::string const& who, std::string const& text) {
    auto const now = runtime::boot_now();
    if (zero_ == Instant{}) zero_ = now;
    fmt::print(out_, "{:>9.3f} s  {:<5} {}\n", to_seconds(now - zero_), who, text);
    std::fflush(out_);
    moments_.push_back({now, who, text});
}

runtime::Task<void> Watch::ask(Eye const& eye) {
    runtime::HttpCall call;
    call.path = kStatusPath;
    call.timeout = 200ms;
    auto const answer = co_await runtime::http_call(eye.target, call);
    auto const status = answer ? json::read<cluster::ClusterStatus>(answer->body)
                               : Result<cluster::ClusterStatus>(fail(answer.error()));
    std::string line;
    if (status) {
        auto const own = std::ranges::find(status->members, eye.name, &cluster::MemberStatus::name);
        bool const known = own != status->members.end();
        auto const state = known ? boost::describe::enum_to_string(own->state, "?") : "not a member";
        line = fmt::format("{}: {}", state, status->reason);
        seen_[eye.name] = {*status, runtime::boot_now()};
    } else if (seen_.erase(eye.name) != 0) {
        line = "does not answer";
    }
    if (line.empty() || said_[eye.name] == line) co_return;
    said_[eye.name] = line;
    if (aloud_) say(eye.name, line);
}

runtime::Task<void> Watch::look() {
    for (auto const& eye : eyes_) co_await ask(eye);
}

runtime::Task<void> Watch::keep_looking(Duration pause) {
    while (true) {
        co_await look();
        co_await runtime::sleep_for(pause);
    }
}

cluster::ClusterStatus const* Watch::of(std::string const& name) const {
    auto const found = seen_.find(name);
    return found == seen_.end() ? nullptr : &found->second.status;
}

cluster::ClusterStatus const* Watch::of_leader() const {
    for (auto const& [name, heard] : seen_) {
        auto const& status = heard.status;
        if (status.leader == name && status.leader_alive && status.phase == cluster::Phase::stable) return &status;
    }
    return nullptr;
}

bool Watch::is_whole(std::size_t standbys) const {
    auto const* status = of_leader();
    if (status == nullptr) return false;
    auto const good = std::ranges::count_if(status->members, [](cluster::MemberStatus const& member) {
        return member.state == cluster::State::standby && member.streaming && member.in_sync_set;
    });
    return static_cast<std::size_t>(good) == standbys;
}

}  // namespace keel::cli
