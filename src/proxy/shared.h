// What all sessions of a thread share, and the bounds that hold for each.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "auth/rules.h"
#include "auth/users.h"
#include "proxy/figures.h"
#include "proxy/judges.h"
#include "proxy/policy.h"
#include "proxy/settings.h"
#include "proxy/statements.h"
#include "proxy/text.h"
#include "proxy/token.h"

namespace keel::proxy {

// Values of ParameterStatus that a login gives, by database, user, the client's settings and whether a standby gave
// them: with them a login is answered while there is no server.
class Welcomes {
  public:
    Settings find(std::string const& database, std::string const& user, Settings const& settings, bool standby) const;
    void put(std::string const& database, std::string const& user, Settings const& settings, Settings reported);

  private:
    static constexpr std::size_t kMost = 10'000;
    std::map<std::tuple<std::string, std::string, Settings, bool>, Settings> known_;
};

// What all sessions of a thread share. All live longer than the sessions.
struct Shared {
    Policy const* policy = nullptr;
    SettingsPool* settings = nullptr;
    PreparedPool* prepared = nullptr;
    TextCache* texts = nullptr;
    auth::UserTable const* users = nullptr;
    std::vector<auth::Rule> const* rules = nullptr;  // none: whoever has the password may log in
    Welcomes* welcomes = nullptr;
    Judges* judges = nullptr;
    Causal causal = Causal::session;
    bool monotonic = false;
    Token newest;                    // of all commits that were told through this proxy
    bool newest_blind = false;       // and there are such of which nobody told where they ended
    Epoch newest_since;              // and such that were lost sight of: in the history since then at the latest
    Secret mock;                     // for users that do not exist
    std::uint64_t unnamed_next = 0;  // numbers of unnamed statements
    std::string version;             // of this program
    Figures figures;
};

// Up to here a message is looked at as a whole; a longer one is forwarded by its length, and what it does is found out
// afterwards. A Parse, which may be needed again, may be longer.
inline constexpr std::size_t kWholeMax = 64 * 1024;
inline constexpr std::size_t kParseMax = 1024 * 1024;
// An empty buffer that is bigger is given up at once, another one when its client rests.
inline constexpr std::size_t kKeptMax = 4096;

}  // namespace keel::proxy
