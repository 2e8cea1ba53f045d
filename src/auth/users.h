// The roles that may log in, as the cluster's pg_authid had them last.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace keel::auth {

struct User {
    std::string name = {};
    Secret verifier = {};  // SCRAM-SHA-256$..., md5..., or empty: no password login
    // rolvaliduntil in microseconds of the Unix epoch; none: for ever.
    std::int64_t valid_until_us = kForever;
    bool can_login = true;
    int connection_limit = -1;  // -1: none
    bool superuser = false;     // no limit holds for a superuser
    bool monitor = false;       // has the rights of pg_monitor
    bool replication = false;   // REPLICATION: may have connections that stream
    // Roles that it is a member of, directly or not, by grant: being a superuser makes it none.
    std::vector<std::string> groups = {};

    static constexpr std::int64_t kForever = INT64_MAX;
};

class UserTable {
  public:
    void put(User user);
    void remove(std::string_view name);
    // As the agent hands it over: replaces everything.
    void assign(std::vector<User> users);
    User const* find(std::string_view name) const;
    std::size_t size() const { return users_.size(); }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    std::unordered_map<std::string, User, Hash, std::equal_to<>> users_;
};

// Whether somebody who proved to be `user` may log in now. A failed judgement says why in the words of PostgreSQL's
// log, which are not for the client. `by_password`: valid_until holds for passwords only, as in PostgreSQL.
struct Login {
    std::int64_t now_us = 0;  // of the Unix epoch
    int connections = 0;      // that the user has already
    bool by_password = true;
};
Status may_log_in(User const& user, Login const& login);

}  // namespace keel::auth
