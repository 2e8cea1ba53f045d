#include "auth/users.h"

namespace keel::auth {

void UserTable::put(User user) {
    std::string name = user.name;
    users_.insert_or_assign(std::move(name), std::move(user));
}

void UserTable::remove(std::string_view name) {
    if (auto const found = users_.find(name); found != users_.end()) users_.erase(found);
}

void UserTable::assign(std::vector<User> users) {
    users_.clear();
    for (auto& user : users) put(std::move(user));
}

User const* UserTable::find(std::string_view name) const {
    auto const found = users_.find(name);
    return found == users_.end() ? nullptr : &found->second;
}

Status may_log_in(User const& user, Login const& login) {
    if (!user.can_login)
        return fail(Code::denied, "role \"" + user.name + "\" is not permitted to log in", "ALTER ROLE ... LOGIN");
    if (login.by_password && user.valid_until_us < login.now_us)
        return fail(Code::denied, "the password of role \"" + user.name + "\" has expired",
                    "ALTER ROLE ... PASSWORD ... VALID UNTIL ...");
    if (!user.superuser && user.connection_limit >= 0 && login.connections >= user.connection_limit)
        return fail(Code::exhausted, "too many connections for role \"" + user.name + "\"",
                    "close some, or ALTER ROLE ... CONNECTION LIMIT");
    return {};
}

}  // namespace keel::auth
