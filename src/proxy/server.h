// One connection to a PostgreSQL server as a pure machine: logs in, and keeps account of every answer that is still to
// come. Bytes in, bytes out; who moves them is not its business.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scram.h"
#include "base/ids.h"
#include "base/secret.h"
#include "base/time.h"
#include "protocol/frame.h"
#include "proxy/settings.h"
#include "proxy/statements.h"

namespace keel::proxy {

// What a pooled connection is for: connections with equal keys are as good as each other.
struct PoolKey {
    std::string database;
    std::string user;
    NodeId node;  // the one it leads to; empty: whoever is primary
    // The number of the client whose own it is from its first packet to its end; 0: anybody's.
    std::uint64_t own = 0;
    std::size_t lane = 0;  // an endpoint that has pools of its own
    auto operator<=>(PoolKey const&) const = default;
};

// How a proxy proves to a server that it speaks for the user: what the user's own login gave it.
struct Credentials {
    std::optional<auth::ScramClient::Keys> scram;
    Secret md5;  // md5...
    // The login showed no password: the server is to take the node's certificate for it.
    bool by_node = false;
};

enum class Reply : std::uint8_t {
    parse,
    bind,
    describe_statement,  // ParameterDescription first, then as a portal
    describe_portal,     // RowDescription or NoData
    execute,
    close,
    query,
    sync,
    function,
    copy_end,  // no answer of its own: where the client ended its COPY data
    restore,   // our own query: settings
    learn,     // our own query: what the session has become
    fate,      // our own query: what became of a transaction
    replay,    // our own query: how far a standby has replayed
    shown,     // our own query: up to where a read can have seen
    tell,      // our own query: keel.lsn, for a SHOW that comes behind it
    clean,     // our own query: DISCARD ALL
};
inline bool ends_in_ready(Reply reply) {
    return reply == Reply::query || reply == Reply::sync || reply == Reply::function || reply >= Reply::restore;
}

// Of Owed::drops: every statement.
inline constexpr std::uint64_t kDropsAll = ~std::uint64_t{0};

// An answer that the server owes.
struct Owed {
    Reply reply = Reply::query;
    bool hidden = false;      // not for the client
    bool commits = false;     // of a COMMIT, or of what may be one
    bool rolls_back = false;  // of a ROLLBACK: what stands behind it is of another transaction
    bool splits = false;      // it may hold more than one transaction
    bool undoes = false;      // a Close that there is something to take back of
    bool keeps = false;       // a Parse of what the server has: if it is skipped, it still has it
    // The number of a statement that it drops by SQL, once the server has said so.
    std::uint64_t drops = 0;
};

class Server {
  public:
    struct Seed {
        std::uint64_t id = 0;
        PoolKey key;
        Epoch epoch;
        NodeId node;        // whom it leads to
        Timeline timeline;  // of its reign; 0: not known
        Credentials credentials;
        std::string nonce;  // auth::scram_nonce
        // Of a client's own: what its startup packet is to say.
        std::vector<std::pair<std::string, std::string>> startup;
    };
    enum class Phase { login, probe, ready, broken };

    Server(Seed seed, SettingsPool& settings);

    // ---- login ----
    void begin();
    // Takes what it understands of `in`, until ready or broken; the rest stays there.
    void login(std::string& in);
    Phase phase() const { return phase_; }
    // Why it is broken: an ErrorResponse's body of the server, or a report of ours. Empty: lost.
    std::string const& refusal() const { return refusal_; }
    void mark_broken(std::string_view code, std::string_view text);

    // ---- account ----
    void owe(Owed owed) { owed_.push_back(owed); }
    bool owes();
    Owed& next() { return owed_.front(); }
    void paid() { owed_.pop_front(); }
    std::deque<Owed>& owed() { return owed_; }
    // Which statements there will be is not known before it has answered.
    bool is_dropping() const;
    // Nothing is owed, no transaction is open, nothing is half sent: it may go to another client.
    bool is_free() { return !owes() && !unsynced && !skipping && !copying_in && pass == 0 && status == 'I'; }

    // Sends DISCARD ALL; cleaned() takes the answer: nothing yet, or whether the server is as new.
    void begin_clean();
    std::optional<bool> cleaned(std::string& in);

    void parameter(std::string_view name, std::string_view value);
    // It can store nothing.
    bool is_standby() const;

    std::uint64_t id() const { return seed_.id; }
    PoolKey const& key() const { return seed_.key; }
    Epoch epoch() const { return seed_.epoch; }
    Timeline timeline() const { return seed_.timeline; }
    // Of a standby, which goes on to another timeline without its connections noticing.
    void follow(Timeline timeline) { seed_.timeline = timeline; }
    NodeId const& node() const { return seed_.node; }
    std::uint32_t process() const { return process_; }
    std::string const& cancel_key() const { return cancel_key_; }

    std::string out;       // to be written to it
    std::size_t pass = 0;  // bytes of a message that is being forwarded
    bool pass_hidden = false;
    char status = 'I';        // of the last ReadyForQuery
    bool unsynced = false;    // messages of the extended protocol were sent since the last Sync
    bool copying_in = false;  // it has asked for COPY data and the client has not ended it
    bool skipping = false;    // after an error: it drops everything up to the next Sync
    bool committed = false;   // in what is being answered: what follows is another transaction
    bool retire = false;      // to be closed when it is free
    bool tells_xids = false;  // the extension is there: no transaction commits with an xid that was not told before
    std::uint64_t xid = 0;    // of the transaction that is open; 0: none was told
    Settings settings;        // that differ from what a login gives
    Settings reported;        // values of ParameterStatus
    PreparedOnServer prepared;
    std::uint64_t unnamed = 0;  // whose unnamed statement it has: a number that the session chose; 0: nobody's

  private:
    void authenticate(std::string_view body);
    void refuse(std::string body);
    void answer(std::string_view payload);

    Seed seed_;
    SettingsPool& pool_;
    Phase phase_ = Phase::login;
    std::optional<auth::ScramClient> scram_;
    std::string refusal_;
    std::uint32_t process_ = 0;
    std::string cancel_key_;
    std::deque<Owed> owed_;
};

}  // namespace keel::proxy
