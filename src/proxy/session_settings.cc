// A session's settings and the server's: what the one has become, and how the other comes to have it.
#include "proxy/session.h"

namespace keel::proxy {

void Session::learnt() {
    auto const found = std::move(learning_);
    if (found->failed) {
        // It keeps this server: what it has become is not known, and must not become another client's.
        pinned_ = "settings could not be read";
        server_->retire = true;
        return;
    }
    server_->settings = shared_.settings->intern(found->settings);
    // RESET goes back to what came with the connection, which the server knows nothing of. Not where an empty value
    // cannot be told from none.
    for (auto const& [name, value] : *at_login_) {
        if (!name.contains('.')) found->settings.emplace(name, value);
    }
    settings_ = shared_.settings->intern(std::move(found->settings));
    if (pinned_ != "LOAD") pinned_ = std::move(found->pins);
    if (seed_.reads != Reads::primary) (void)wishes();
}

// Has the server take this session's settings, if it has others. Until it has, nothing else is sent: under other
// settings (a role, a search path) it would not be what the client means.
bool Session::begin_restore() {
    if (server_->settings == settings_) return false;
    auto const sql = difference(*server_->settings, *settings_);
    server_->settings = settings_;
    if (sql.empty()) return false;
    protocol::write_query(server_->out, sql);
    server_->owe({Reply::restore, true});
    server_->unnamed = 0;
    restoring_ = true;
    return true;
}

}  // namespace keel::proxy
