#include "web/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/clock.h"
#include "web/token.h"

namespace keel::web {

namespace {

constexpr std::size_t kIdBytes = 32;

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

Sessions::Opened Sessions::open(std::string access_sha256, Instant now) {
    std::erase_if(sessions_, [now](auto const& entry) { return entry.second.ends <= now; });
    // One access pushes out its own log-ins, nobody else's.
    auto const same = [&](auto const& entry) { return entry.second.access_sha256 == access_sha256; };
    bool const own = std::cmp_greater_equal(std::ranges::count_if(sessions_, same), kSessionsOfOne);
    if (own || sessions_.size() >= kSessionsMax) {
        auto goes = sessions_.end();
        for (auto it = sessions_.begin(); it != sessions_.end(); ++it)
            if ((!own || same(*it)) && (goes == sessions_.end() || it->second.ends < goes->second.ends)) goes = it;
        sessions_.erase(goes);
    }
    Opened out{runtime::random_hex(kIdBytes), runtime::random_hex(kIdBytes)};
    sessions_[sha256_hex(out.id)] = {std::move(access_sha256), out.csrf, now + kSessionLife};
    return out;
}

std::optional<Session> Sessions::find(std::string_view id, Instant now) const {
    auto const found = id.empty() ? sessions_.end() : sessions_.find(sha256_hex(id));
    if (found == sessions_.end() || found->second.ends <= now) return std::nullopt;
    return found->second;
}

void Sessions::close(std::string_view id) { sessions_.erase(sha256_hex(id)); }

std::string cookie_name(NodeId const& node) { return "__Host-pgkeel-" + node.value.substr(0, 8); }

std::string cookie_value(std::string_view header, std::string_view name) {
    while (!header.empty()) {
        auto const end = header.find(';');
        auto const pair = trimmed(header.substr(0, end));
        header = end == header.npos ? std::string_view() : header.substr(end + 1);
        auto const equals = pair.find('=');
        if (equals != pair.npos && trimmed(pair.substr(0, equals)) == name)
            return std::string(trimmed(pair.substr(equals + 1)));
    }
    return {};
}

std::string cookie_text(std::string const& name, std::string const& id) {
    auto const life = id.empty() ? 0 : std::chrono::duration_cast<std::chrono::seconds>(kSessionLife).count();
    return fmt::format("{}={}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", name, id, life);
}

}  // namespace keel::web
