// What a proxy needs to know of a query's text, remembered by its hash.
#pragma once

#include <cstdint>
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
    bool splits = false;                  // may commit more than once, or begin anew behind a commit
    bool asks_session = false;            // may leave something behind in the session: ask the server afterwards
    bool loads = false;                   // LOAD: the server can not be given to others afterwards
    std::string deallocates;              // the name, when it is one DEALLOCATE of one
    std::vector<std::string> custom;      // names of settings with a dot that it sets
};

TextFacts look_at(std::string_view text);

class TextCache {
  public:
    explicit TextCache(sql::HashKey key) : key_(key) {}
    TextFacts const& of(std::string_view text);
    // Of a text that was not read: everything is possible.
    TextFacts const& unread() const { return unread_; }

  private:
    static constexpr std::size_t kMost = 4096;
    sql::HashKey key_;
    std::unordered_map<sql::TextHash, TextFacts, sql::TextHashHash> known_;
    TextFacts unread_ = look_at("\xff");
};

}  // namespace keel::proxy
