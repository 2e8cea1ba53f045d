// Answers for a client whose server was lost in the middle of a transaction: what PostgreSQL says in an aborted
// transaction, until the client rolls back.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "proxy/statements.h"
#include "proxy/text.h"

namespace keel::proxy {

// A client's names for its prepared statements.
using Names = std::unordered_map<std::string, PreparedPtr>;

class Detached {
  public:
    // `aborted`: a transaction is to be rolled back. `skip`: the client's batch has failed, up to its Sync. `told`: the
    // client has been sent the error; else the next thing that it sends is answered with it.
    void begin(bool aborted, bool skip, bool told);
    bool active() const { return aborted_ || skip_; }
    bool aborted() const { return aborted_; }
    // Answers one whole message of the client, into `out`. False: it is not for this machine but for a server, which
    // happens only when the transaction is over with it (ROLLBACK; and more in one text).
    struct Context {
        TextCache& texts;
        PreparedPool& prepared;
        Names& names;
    };
    bool take(char type, std::string_view body, std::string& out, Context context);

  private:
    void refuse(std::string& out, bool extended);
    bool take_query(std::string_view text, std::string& out, TextCache& texts);
    void take_parse(std::string_view body, std::string& out, Context& context);
    bool take_bind(std::string_view body, std::string& out, Context& context);
    sql::Verb exit_of(std::string const& statement, Context& context) const;

    bool aborted_ = false;
    bool skip_ = false;
    bool told_ = false;
    sql::Verb unnamed_ = sql::Verb::unknown;         // of the unnamed statement, when it ends the transaction
    std::unordered_map<std::string, bool> portals_;  // that end the transaction; true: by ROLLBACK
};

}  // namespace keel::proxy
