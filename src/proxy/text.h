// What a proxy needs to know of a query's text, remembered by its hash.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sql/statement.h"
#include "sql/text_hash.h"

namespace keel::proxy {

struct TextFacts {
    std::size_t statements = 0;
    sql::Verb verb = sql::Verb::unknown;  // of the first statement
    bool chain = false;                   // COMMIT or ROLLBACK AND CHAIN
    bool has_commit = false;              // a COMMIT, or END, stands somewhere in it
    bool rolls_back = false;              // a ROLLBACK of the whole transaction stands somewhere in it
    bool splits = false;                  // may commit more than once, or begin anew behind a commit
    bool asks_session = false;            // may leave something behind in the session: ask the server afterwards
    bool blind_commit = false;            // COMMIT PREPARED: nobody tells where it ended
    bool shows_lsn = false;               // SHOW keel.lsn, alone
    bool reads = false;                   // one statement, a read by its form, that leaves nothing in the session
    bool begins_read_only = false;        // one BEGIN READ ONLY that a standby can serve
    sql::Hint hint = sql::Hint::none;     // of the first statement
    sql::TextHash key;                    // of the text
    bool loads = false;                   // LOAD: the server can not be given to others afterwards
    std::string deallocates;              // the name, when it is one DEALLOCATE of one
    bool drops_all = false;               // DEALLOCATE ALL or DISCARD ALL stands somewhere in it
    std::vector<std::string> custom;      // names of settings with a dot that it sets
};

TextFacts look_at(std::string_view text);

// Shared by the cache and by whoever has such a text prepared.
using FactsPtr = std::shared_ptr<TextFacts const>;

class TextCache {
  public:
    explicit TextCache(sql::HashKey key) : key_(key) {}
    FactsPtr const& of(std::string_view text);
    // Of a text that was not read: everything is possible.
    FactsPtr const& unread() const { return unread_; }

  private:
    static constexpr std::size_t kMost = 4096;
    sql::HashKey key_;
    std::unordered_map<sql::TextHash, FactsPtr, sql::TextHashHash> known_;
    FactsPtr unread_ = std::make_shared<TextFacts>(look_at("\xff"));
};

}  // namespace keel::proxy
