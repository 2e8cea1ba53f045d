// What the sources of conditions share. Private to this folder.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "alert/conditions.h"

namespace keel::alert {

inline std::string span_text(double seconds) {
    if (seconds < 120) return fmt::format("{:.0f} s", seconds);
    if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
    return fmt::format("{:.1f} h", seconds / 3600);
}

// Collects conditions of rules that are on.
class Found {
  public:
    explicit Found(Settings const& settings) : settings_(settings) {}
    void add(char const* rule, std::string subject, std::string node, std::string text) {
        auto const& in_force = settings_.rule(rule);
        if (in_force.on) push(rule, std::move(subject), std::move(node), in_force.severity, std::move(text));
    }
    // When `value` has reached the rule's limit.
    void measure(char const* rule, double value, std::string subject, std::string node, std::string text) {
        auto const& in_force = settings_.rule(rule);
        if (!in_force.on || value < in_force.limit) return;
        bool const critical = in_force.critical > 0 && value >= in_force.critical;
        push(rule, std::move(subject), std::move(node), critical ? Severity::critical : in_force.severity,
             std::move(text));
    }
    void push(char const* rule, std::string subject, std::string node, Severity severity, std::string text) {
        out_.push_back({rule, cut(subject, 200), std::move(node), severity, cut(text, kTextMax)});
    }
    Settings const& settings() const { return settings_; }
    std::vector<Condition> take() { return std::move(out_); }

  private:
    Settings const& settings_;
    std::vector<Condition> out_;
};

// conditions_backup.cc
void judge_backups(Found& found, cluster::Sight const& sight, cluster::ClusterStatus const& status);

}  // namespace keel::alert
