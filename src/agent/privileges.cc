#include "agent/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "runtime/files.h"

namespace keel::agent {

Result<Account> find_account(std::string const& user) {
    auto const* entry = ::getpwnam(user.c_str());
    if (entry == nullptr)
        return fail(Code::not_found, "there is no user \"" + user + "\" on this machine",
                    "create it, or name another one as `user` in node.toml");
    if (entry->pw_uid == 0)
        return fail(Code::denied, "PostgreSQL must not run as root", "name an ordinary user as `user` in node.toml");
    return Account{entry->pw_uid, entry->pw_gid};
}

Status become_user(std::string const& user) {
    if (::geteuid() != 0) return {};
    KEEL_TRY(auto const account, find_account(user));
    if (::initgroups(user.c_str(), account.group) != 0 ||
        ::setresgid(account.group, account.group, account.group) != 0 ||
        ::setresuid(account.user, account.user, account.user) != 0)
        return fail(runtime::system_error(errno, "becoming the user " + user));
    return {};
}

}  // namespace keel::agent
