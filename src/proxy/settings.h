// A session's settings as a shared map: two sessions with the same settings share one object, so that "nothing to do"
// is the comparison of two pointers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace keel::proxy {

// By name in lower case. `role` and `session_authorization` are settings of their own: RESET ALL does not clear them.
using SettingsMap = std::map<std::string, std::string, std::less<>>;
using Settings = std::shared_ptr<SettingsMap const>;

class SettingsPool {
  public:
    SettingsPool();
    Settings const& empty() const { return empty_; }
    // The one object with this content.
    Settings intern(SettingsMap map);
    std::size_t size() const { return known_.size(); }

  private:
    void sweep();
    Settings empty_;
    std::map<SettingsMap, std::weak_ptr<SettingsMap const>> known_;
    std::size_t sweep_at_ = 256;
};

std::string lower(std::string_view text);
// A string constant that means the same under every setting: E'...' where a backslash is in it.
std::string quote_literal(std::string_view text);

// SQL that takes a session from one map to the other; empty: they are equal. Run as one simple query it does all or
// nothing.
std::string difference(SettingsMap const& from, SettingsMap const& to);

// Asks a session what it has become: rows (name, value) for settings that were set in it, and rows ("", reason) for
// what ties a client to it. `custom` are names with a dot, which no view shows; `user` is who logged in.
std::string question(std::vector<std::string> const& custom, std::string_view user);

}  // namespace keel::proxy
