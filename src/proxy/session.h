// One client as a pure machine: who it is, what it waits for, which messages go to its server and which answers come
// back. Bytes in, bytes out; it says what it needs and is given it.
#pragma once

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/md5.h"
#include "auth/scram.h"
#include "protocol/startup.h"
#include "proxy/console.h"
#include "proxy/detached.h"
#include "proxy/server.h"
#include "proxy/shared.h"
#include "proxy/statements.h"
#include "proxy/text.h"
#include "proxy/wishes.h"

namespace keel::proxy {

// Which servers a client is for. split: whichever a statement may go to.
enum class Reads { primary, standby, split };

// What a read has to see.
struct Sight {
    Token token;         // unset: nothing
    Token shown;         // the same, because it was shown it before
    bool blind = false;  // it has to see what cannot be said: only the primary has it for sure
    // Since then at the latest it is in the history: a commit that was lost sight of. 0: there is none.
    Epoch since;
};

// What a client's side of TLS has shown.
struct ClientCertificate {
    bool good = false;  // one of an authority that is trusted
    std::string name = {};
};

// What became of a transaction whose COMMIT was on its way when its server was lost. Never `committed` in doubt.
enum class Fate { committed, not_committed, unknown };

class Session {
  public:
    // What it keeps to its end, and what is for its login alone.
    struct Lasting {
        std::uint64_t id = 0;
        std::uint32_t process = 0;
        std::array<char, 32> cancel_key{};  // protocol 3.0 gets the first four bytes
        bool tls_offered = false;
        bool tls_required = false;
        Reads reads = Reads::primary;
    };
    struct Seed : Lasting {
        std::string nonce;  // auth::scram_nonce
        auth::Md5Salt salt{};
        std::string
            crowded;  // why there is no room for it; told when it can be: before its startup packet libpq shows none
        std::string from;  // its address; empty: a Unix socket
    };
    enum class Need {
        nothing,
        tls,      // answer `out`, then speak TLS, then tls_done()
        users,    // fresh verifiers; then users_known()
        login,    // may this user log in now: admit() or refuse()
        server,   // attach(), or refuse()
        fate,     // of lost_xid() in lost_epoch(): fate_known(), or attach() of a server that is to be asked
        console,  // command() of the admin console: answer_console()
        cancel,   // somebody's request to cancel: see cancel(); then the connection ends
        close,    // write `out`, then close
    };

    Session(Shared& shared, Seed seed);

    // ---- events ----
    void from_client(std::string_view bytes);
    void from_server(std::string_view bytes);
    // What was stopped because the server's buffer was full goes on.
    void carry_on();
    // `certificate_hash`: what a login may be bound to (auth::ScramServer); empty: nothing.
    void tls_done(std::string certificate_hash = {}, ClientCertificate of_client = {});
    void users_known();
    void admit();
    void attach(Server& server);
    // The same, for a standby of which it is not known whether it has replayed the token: it is asked first. If it has
    // not, the session needs a server again.
    void attach_to_check(Server& server, Lsn lsn);
    // What the session had to see is not in the history any more: the client is told so, once.
    void token_lost();
    // Its server is gone. `complete`: everything that it ever sent has been seen (the end of the stream was, or its own
    // last word); so a transaction whose xid was not told has stored nothing.
    void lost(bool complete);
    void fate_known(Fate fate);
    bool is_asking_fate() const { return asking_fate_; }
    // Messages that answer the console's command; ReadyForQuery comes from here.
    void answer_console(std::string_view messages);
    // An ErrorResponse's body, or code and text: the client is told, and closed.
    void refuse(std::string_view report_body);
    void refuse(std::string_view code, std::string_view text, std::string_view hint = {});

    // ---- what it wants ----
    Need need() const { return need_; }
    // The server can be taken away: detach() forgets it.
    bool is_releasable();
    Server* server() const { return server_; }
    void detach() { server_ = nullptr; }
    // Of Need::server: a standby, if there is one; else the primary.
    bool wants_standby() const { return wants_standby_; }
    // Of a session that wants a standby.
    Sight sight();
    // What a standby said last of itself, once.
    std::optional<Lsn> take_replayed() { return std::exchange(replayed_, std::nullopt); }
    // Gives back the memory of buffers that are empty; for a client that has been idle for a while.
    void rest();
    // Reading from the client may stop: enough has piled up.
    bool is_full() const;

    // ---- facts ----
    std::uint64_t id() const { return seed_.id; }
    std::string const& user() const { return user_; }
    std::string const& database() const { return database_; }
    std::string const& application() const;
    bool is_ready() const { return phase_ == Phase::ready || phase_ == Phase::console; }
    // It talks to the proxy itself, never to a server.
    bool is_console() const { return database_ == kConsole; }
    // Of the console.
    std::string const& command() const { return command_->text; }
    bool in_transaction() const { return server_ != nullptr && server_->status != 'I'; }
    bool is_busy() { return server_ != nullptr && server_->owes(); }
    std::string const& pinned() const { return pinned_; }
    // Until it is ready.
    Credentials const& credentials() const { return login_->credentials; }
    // Of Need::cancel.
    protocol::Cancel const& cancel() const { return login_->cancel; }
    // Of Need::fate.
    std::uint64_t lost_xid() const { return lost_->xid; }
    Epoch lost_epoch() const { return lost_->epoch; }
    std::uint32_t process() const { return seed_.process; }
    std::string_view cancel_key() const { return {seed_.cancel_key.data(), seed_.cancel_key.size()}; }
    bool by_password() const { return by_password_; }
    // It is for replication: it has a server of its own, which nobody had before or gets afterwards, and whose startup
    // packet says startup_of_own().
    bool is_replication() const { return !replication_.empty(); }
    std::vector<std::pair<std::string, std::string>> startup_of_own() const;
    // What it does at its server is a read of the split, or a transaction of reads.
    bool is_split_off() const { return server_ != nullptr && on_standby_; }

    std::string out;  // to be written to the client
    std::uint64_t transactions = 0;
    std::uint64_t queries = 0;

  private:
    enum class Phase { first, users, proof, login, welcome, ready, console, closing };
    struct Unnamed {
        std::uint64_t number = 0;  // 0: none
        bool kept = false;         // `body` is the whole of it
        std::string body;
        FactsPtr facts;
    };
    // What to take back when a Parse, or a Close, fails or is skipped.
    struct Undo {
        std::string name = {};        // empty: the unnamed statement
        PreparedPtr statement = {};   // that the server is to prepare
        bool visible = false;         // the client's doing
        bool taken = false;           // nothing: the client has the name already
        bool evicted = false;         // the server was to drop it, to make room
        PreparedPtr before = {};      // what the name was
        Unnamed unnamed_before = {};  // the same of the unnamed statement, for the client and at the server
        std::uint64_t server_unnamed = 0;
        std::uint64_t unnamed = 0;  // and what it is now
    };

    // session_login.cc
    bool take_first(std::string_view rest, std::size_t& used);
    void start(protocol::Startup startup);
    bool take_settings(protocol::Startup const& startup);
    bool take_replication(std::string_view value);
    bool take_rule();
    void ask_proof();
    bool take_proof(std::string_view rest, std::size_t& used);
    void take_scram(std::string_view body);
    void deny();
    void welcome();
    void finish_login();
    void tell_key();

    // session_console.cc
    void welcome_console();
    std::size_t take_command(std::string_view rest);

    // session_client.cc, session_extended.cc
    void advance();
    std::size_t take_messages(std::string_view all);
    std::size_t take_message(std::string_view rest);
    std::size_t ask_server(protocol::Head const& head, std::string_view rest);
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
    std::string drop_by_sql(PreparedPtr const& statement);
    std::uint64_t number_dropped(TextFacts const& facts) const;
    void ensure(PreparedPtr const& statement);
    void ensure_unnamed();
    void prepare_anew(PreparedPtr const& statement);
    void drop_unnamed();
    void begin_unnamed();
    bool parse_deallocate(std::string_view body, FactsPtr const& facts);
    static TextFacts const& facts_of(FactsPtr const& facts);
    std::string server_name(std::string_view name);
    void keep_flight(std::string_view bytes, bool fresh);
    void protocol_violation(std::string_view text);

    // session_split.cc
    bool choose_server(std::string_view rest);
    bool must_wait() const;
    Wishes const& wishes();
    bool can_be_judged();
    void begin_trial();
    void end_trial();
    bool begins_again(std::string_view code);
    void run_again();
    void lost_in_trial();
    void take_replay(std::string_view body);
    void replay_told();
    void ask_shown();
    void take_shown(std::string_view body);
    bool owes_client();
    void note_commit(std::string_view lsn);
    void tell_lsn();
    void tell_reported();
    void tell_warning(std::string_view text);

    // session_server.cc
    void hear(std::string_view bytes);
    std::size_t pass_answer(protocol::Head const& head, std::string_view rest, bool hide);
    std::size_t take_answer(protocol::Head const& head, std::string_view rest);
    std::size_t take_error(protocol::Head const& head, std::string_view rest);
    void skip_batch();
    void take_complete(std::string_view body);
    std::size_t tell_in_own_words(std::string_view body, std::size_t at, std::string_view taken);
    void take_parameter(std::string_view body);
    void take_own_row(Reply reply, std::string_view body);
    void take_row(std::string_view body);
    void take_ready(char status);
    void begin_copy();
    void settle();
    Undo take_undo();
    void take_back(Undo& one, bool refused, bool kept);
    bool in_order(bool fits);

    // session_settings.cc
    void learnt();
    bool begin_restore();

    // session_lost.cc
    void ask_fate(Server& server);
    void fate_told();
    void lost_at_rest(bool skipping);
    void detach_from_server(bool aborted, bool skip, bool told);
    void undone(char status);
    bool goes_on_behind_rollback() const;
    bool splits() const;
    void take_parses_back();
    void tell_lost(std::string_view code, std::string_view text, char status);
    void tell_committed();

    Shared& shared_;
    Lasting seed_;
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
    std::string replication_;  // the startup packet's parameter; empty: it is for SQL
    std::uint16_t minor_ = 0;
    bool by_password_ = true;
    // What only the first packet and the login need: gone when they are over.
    struct Login {
        std::string nonce;
        auth::Md5Salt salt{};
        std::string crowded;
        std::string from;
        std::vector<std::string> unknown_options;
        std::string certificate_hash;
        ClientCertificate of_client;
        std::optional<auth::Method> method;  // as a rule says; none: there are no rules
        std::optional<auth::ScramServer> scram;
        bool scram_begun = false;
        std::optional<auth::ScramVerifier> verifier;
        Credentials credentials;
        protocol::Cancel cancel;
    };
    std::unique_ptr<Login> login_;
    struct Command {
        std::string text;
        bool skip = false;  // up to the next Sync
    };
    std::unique_ptr<Command> command_;  // of the console

    Server* server_ = nullptr;
    Settings settings_;                // as wanted
    Settings at_login_;                // as the startup packet had them
    Settings reported_;                // as the client was told
    std::vector<std::string> custom_;  // names of settings with a dot that it ever set
    std::string pinned_;               // why it keeps its server
    bool ask_ = false;                 // what the session has become is to be asked
    bool asking_fate_ = false;
    bool restoring_ = false;  // until the server has its settings nothing else is sent to it
    struct Refused {
        std::string code, text;
    };
    std::unique_ptr<Refused> restore_refused_;
    struct Learning {
        SettingsMap settings;
        std::string pins;
        bool failed = false;
    };
    std::unique_ptr<Learning> learning_;  // while the server is asked

    Names names_;
    std::string dropping_;  // what the server is dropping, in the client's words: Owed::drops
    Unnamed unnamed_;
    FactsPtr portal_;  // of the statement in the unnamed portal
    bool named_portal_commits_ = false;
    std::list<Undo> undo_;                // takes no memory while it is empty
    bool names_wait_ = false;             // a batch that is not answered may have changed what names mean
    std::unique_ptr<Detached> detached_;  // once a server was lost

    // What was sent since the server was free, while nothing of its answer has gone to the client: if it turns out that
    // nothing of it was done, it is sent again.
    std::string flight_;
    bool flight_kept_ = false;
    static constexpr std::size_t kNoMark = std::string::npos;
    // Where the next batch goes, and what is known of the one that is at a standby.
    bool wants_standby_ = false;
    bool insists_ = false;     // the next batch goes to the primary, whatever it is
    bool on_standby_ = false;  // the server is one, and was taken for this batch
    bool sent_ = false;        // something of the batch was sent to it
    bool checking_ = false;    // it is asked how far it has replayed; nothing else is sent before
    Lsn check_lsn_;
    std::optional<Lsn> replayed_;
    // While an answer of a standby is held, the batch may still be run at the primary instead.
    bool trial_ = false;
    bool again_ = false;  // that is what happens, once the standby has answered all
    std::string held_;
    std::size_t trial_mark_ = kNoMark;  // of `out`: what comes behind it may be taken back
    sql::TextHash trial_text_;
    bool trial_changes_names_ = false;
    Settings trial_reported_;
    std::unique_ptr<std::pair<Names, Unnamed>> trial_names_;
    // What it has committed, and what it asks for.
    Token token_;
    bool blind_ = false;
    Epoch blind_since_;
    // Of monotonic reads: up to where its reads can have seen. Blind: not known for the last one.
    Token shown_;
    bool shown_blind_ = false;
    bool showed_ = false;    // the server has answered something, and was not asked yet
    bool min_lost_ = false;  // the client knows that keel.min_lsn is not in the history
    Wishes wishes_;
    Settings wishes_of_;   // whose they are
    Settings judged_for_;  // of these reported settings it is known whether texts can be read
    bool judged_ = false;
    Settings also_told_;  // differs from reported_ by what the client is not told

    // Of a server that was lost, until the client has been told all.
    struct Lost {
        std::uint64_t xid = 0;
        Epoch epoch;
        bool in_transaction = false;
        bool unsynced = false;
        std::deque<Owed> owed;
        std::string fate;  // the answer's row
    };
    std::unique_ptr<Lost> lost_;
};

}  // namespace keel::proxy
