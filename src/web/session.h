// Log-ins of people with a browser: an access token is shown once, then a cookie stands for it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace keel::web {

struct Session {
    std::string access_sha256;  // of the token's secret: whether it still opens anything is looked up each time
    std::string csrf;           // what a page of ours sends with each change, and no other page can know
    Instant ends;
};

// In memory only: an agent that starts anew knows no log-in.
class Sessions {
  public:
    struct Opened {
        std::string id;  // for the cookie; kept by its hash only
        std::string csrf;
    };
    // The oldest makes room when there are too many.
    Opened open(std::string access_sha256, Instant now);
    std::optional<Session> find(std::string_view id, Instant now) const;
    void close(std::string_view id);
    std::size_t size() const { return sessions_.size(); }

  private:
    std::map<std::string, Session> sessions_;  // by the hash of the id
};

inline constexpr Duration kSessionLife = 12h;
inline constexpr std::size_t kSessionsMax = 200;
inline constexpr std::size_t kSessionsOfOne = 20;  // by one access

// Cookies are not kept apart by port, and one machine may have several nodes.
std::string cookie_name(NodeId const& node);
// The value of this cookie in a header "Cookie: a=1; b=2" (RFC 6265, section 4.2); empty: it is not there.
std::string cookie_value(std::string_view header, std::string_view name);
// For "Set-Cookie". Without an id: it is taken away.
std::string cookie_text(std::string const& name, std::string const& id);

}  // namespace keel::web
