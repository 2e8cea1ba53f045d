// One client as a pure machine: who it is, what it waits for, which messages go to its server and which answers come
// back. Bytes in, bytes out; it says what it needs and is given it.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/md5.h"
#include "auth/scram.h"
#include "auth/users.h"
#include "protocol/startup.h"
#include "proxy/detached.h"
#include "proxy/policy.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/statements.h"
#include "proxy/text.h"

namespace keel::proxy {

// Values of ParameterStatus that a login gives, by database, user and the client's settings: with them a login is
// answered while there is no server.
class Welcomes {
  public:
    Settings find(std::string const& database, std::string const& user, Settings const& settings) const;
    void put(std::string const& database, std::string const& user, Settings const& settings, Settings reported);

  private:
    static constexpr std::size_t kMost = 10'000;
    std::map<std::tuple<std::string, std::string, Settings>, Settings> known_;
};

// What all sessions of a thread share. All live longer than the sessions.
struct Shared {
    Policy const* policy = nullptr;
    SettingsPool* settings = nullptr;
    PreparedPool* prepared = nullptr;
    TextCache* texts = nullptr;
    auth::UserTable const* users = nullptr;
    Welcomes* welcomes = nullptr;
    Secret mock;                     // for users that do not exist
    std::uint64_t unnamed_next = 0;  // numbers of unnamed statements
};

// Up to here a message is looked at as a whole; a longer one is forwarded by its length, and what it does is found out
// afterwards. A Parse, which may be needed again, may be longer.
inline constexpr std::size_t kWholeMax = 64 * 1024;
inline constexpr std::size_t kParseMax = 1024 * 1024;

// What became of a transaction whose COMMIT was on its way when its server was lost. Never `committed` in doubt.
enum class Fate { committed, not_committed, unknown };

class Session {
  public:
    struct Seed {
        std::uint64_t id = 0;
        std::string nonce;  // auth::scram_nonce
        auth::Md5Salt salt{};
        std::uint32_t process = 0;
        std::string cancel_key;  // 32 bytes; protocol 3.0 gets the first four
        bool tls_offered = false;
        bool tls_required = false;
        std::string
            crowded;  // why there is no room for it; told when it can be: before its startup packet libpq shows none
    };
    enum class Need {
        nothing,
        tls,     // answer `out`, then speak TLS, then tls_done()
        users,   // fresh verifiers; then users_known()
        login,   // may this user log in now: admit() or refuse()
        server,  // attach(), or refuse()
        fate,    // of lost_xid() in lost_epoch(): fate_known(), or attach() of a server that is to be asked
        cancel,  // somebody's request to cancel: see cancel(); then the connection ends
        close,   // write `out`, then close
    };

    Session(Shared& shared, Seed seed);

    // ---- events ----
    void from_client(std::string_view bytes);
    void from_server(std::string_view bytes);
    // What was stopped because the server's buffer was full goes on.
    void carry_on();
    void tls_done();
    void users_known();
    void admit();
    void attach(Server& server);
    // Its server is gone. `complete`: everything that it ever sent has been seen (the end of the stream was, or its own
    // last word); so a transaction whose xid was not told has stored nothing.
    void lost(bool complete);
    void fate_known(Fate fate);
    bool is_asking_fate() const { return asking_fate_; }
    // An ErrorResponse's body, or code and text: the client is told, and closed.
    void refuse(std::string_view report_body);
    void refuse(std::string_view code, std::string_view text, std::string_view hint = {});

    // ---- what it wants ----
    Need need() const { return need_; }
    // The server can be taken away: detach() forgets it.
    bool is_releasable();
    Server* server() const { return server_; }
    void detach() { server_ = nullptr; }
    // Reading from the client may stop: enough has piled up.
    bool is_full() const;

    // ---- facts ----
    std::uint64_t id() const { return seed_.id; }
    std::string const& user() const { return user_; }
    std::string const& database() const { return database_; }
    std::string const& application() const;
    bool is_ready() const { return phase_ == Phase::ready; }
    bool in_transaction() const { return server_ != nullptr && server_->status != 'I'; }
    bool is_busy() { return server_ != nullptr && server_->owes(); }
    std::string const& pinned() const { return pinned_; }
    Credentials const& credentials() const { return credentials_; }
    protocol::Cancel const& cancel() const { return cancel_; }
    std::uint64_t lost_xid() const { return lost_xid_; }
    Epoch lost_epoch() const { return lost_epoch_; }
    std::uint32_t process() const { return seed_.process; }
    std::string const& cancel_key() const { return seed_.cancel_key; }
    bool by_password() const { return by_password_; }

    std::string out;  // to be written to the client
    std::uint64_t transactions = 0;
    std::uint64_t queries = 0;

  private:
    enum class Phase { first, users, proof, login, welcome, ready, closing };
    struct Unnamed {
        std::uint64_t number = 0;  // 0: none
        bool kept = false;         // `body` is the whole of it
        std::string body;
        TextFacts facts;
    };
    // What to take back when a Parse fails.
    struct Undo {
        std::string name;
        PreparedPtr statement;
        bool visible = false;
    };

    // session_login.cc
    bool take_first(std::string_view rest, std::size_t& used);
    void start(protocol::Startup startup);
    bool take_settings(protocol::Startup const& startup);
    void ask_proof();
    bool take_proof(std::string_view rest, std::size_t& used);
    void take_scram(std::string_view body);
    void deny();
    void welcome();
    void finish_login();

    // session_client.cc, session_extended.cc
    void advance();
    std::size_t take_message(std::string_view rest);
    std::size_t take_detached(protocol::Head const& head, std::string_view rest);
    std::size_t forward(protocol::Head const& head, std::string_view rest);
    std::size_t take_copy(protocol::Head const& head, std::string_view rest);
    std::size_t take_query(protocol::Head const& head, std::string_view rest);
    std::size_t take_parse(protocol::Head const& head, std::string_view rest);
    std::size_t take_bind(protocol::Head const& head, std::string_view rest);
    std::size_t take_named(protocol::Head const& head, std::string_view rest);
    std::size_t take_execute(protocol::Head const& head, std::string_view rest);
    std::size_t take_sync(protocol::Head const& head, std::string_view rest);
    void note(TextFacts const& facts);
    bool is_whole(protocol::Head const& head, std::string_view rest);
    bool rewrite_deallocate(std::string const& name);
    void ensure(PreparedPtr const& statement);
    void ensure_unnamed();
    std::string server_name(std::string_view name);
    void keep_flight(std::string_view bytes, bool fresh);
    void protocol_violation(std::string_view text);

    // session_server.cc
    std::size_t pass_answer(protocol::Head const& head, std::string_view rest, bool hide);
    std::size_t take_answer(protocol::Head const& head, std::string_view rest);
    std::size_t take_error(protocol::Head const& head, std::string_view rest);
    void skip_batch();
    void take_complete(std::string_view body);
    void take_parameter(std::string_view body);
    void take_row(std::string_view body);
    void take_ready(char status);
    void begin_copy();
    void learnt();
    bool begin_restore();
    void fate_told();
    void settle();
    void tell_reported();
    void undo_parse(bool failed);
    bool in_order(bool fits);

    // session_lost.cc
    void lost_at_rest(bool skipping);
    void undone(char status);
    bool splits() const;
    void take_parses_back();
    void tell_lost(std::string_view code, std::string_view text, char status);
    void tell_committed();

    Shared& shared_;
    Seed seed_;
    Phase phase_ = Phase::first;
    Need need_ = Need::nothing;
    std::string in_;         // of the client, not taken yet
    std::string server_in_;  // of the server
    std::size_t pass_ = 0;   // bytes of a client's message that are on their way
    bool pass_drop_ = false;
    std::size_t answer_pass_ = 0;  // bytes of a server's message that are on their way
    bool answer_hidden_ = false;
    bool encrypted_ = false;

    std::string user_, database_;
    std::uint16_t minor_ = 0;
    std::vector<std::string> unknown_options_;
    bool by_password_ = true;
    std::optional<auth::ScramServer> scram_;
    bool scram_begun_ = false;
    std::optional<auth::ScramVerifier> verifier_;
    Credentials credentials_;
    protocol::Cancel cancel_;

    Server* server_ = nullptr;
    Settings settings_;                // as wanted
    Settings reported_;                // as the client was told
    std::vector<std::string> custom_;  // names of settings with a dot that it ever set
    std::string pinned_;               // why it keeps its server
    bool ask_ = false;                 // what the session has become is to be asked
    bool asking_fate_ = false;
    std::string fate_;
    bool restoring_ = false;  // until the server has its settings nothing else is sent to it
    std::string restore_error_;
    std::string restore_code_;
    SettingsMap learning_;
    std::string learning_pins_;
    bool learn_failed_ = false;

    Names names_;
    Unnamed unnamed_;
    TextFacts portal_;  // of the statement in the unnamed portal
    bool named_portal_commits_ = false;
    std::deque<Undo> undo_;
    Detached detached_;

    // What was sent since the server was free, while nothing of its answer has gone to the client: if it turns out that
    // nothing of it was done, it is sent again.
    std::string flight_;
    bool flight_kept_ = false;
    std::uint64_t lost_xid_ = 0;
    Epoch lost_epoch_;
    bool lost_in_transaction_ = false;
    std::deque<Owed> lost_owed_;
    bool lost_unsynced_ = false;
};

}  // namespace keel::proxy
