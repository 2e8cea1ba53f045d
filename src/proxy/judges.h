// Which statements a standby may serve, by database: the verdicts, remembered by the text's hash.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/text.h"
#include "sql/catalogue.h"

namespace keel::proxy {

class Judges {
  public:
    // Forgets the verdicts. Empty: nothing is known of this database any more, and all goes to the primary.
    void put(std::string const& database, std::shared_ptr<sql::Catalogue const> catalogue);
    // May a standby serve the statement? `trusted`: somebody asked for a standby, so no proof is needed.
    bool may_serve(std::string const& database, TextFacts const& facts, std::string_view text, bool trusted);
    // A standby has refused it. Remembered until the catalogue changes.
    void refused(std::string const& database, sql::TextHash const& text);
    // It is a new database, then.
    void forget(std::string const& database) { courts_.erase(database); }
    // Whether the database was asked about since the last call.
    bool take_used(std::string const& database);
    // Databases that were asked about for the first time since the last call.
    std::vector<std::string> take_new();

  private:
    static constexpr std::size_t kMost = 4096;
    struct Court {
        bool used = false;
        std::shared_ptr<sql::Catalogue const> catalogue;
        std::unordered_map<sql::TextHash, bool, sql::TextHashHash> verdicts;
        std::unordered_map<sql::TextHash, bool, sql::TextHashHash> refused;
    };
    Court& court(std::string const& database);

    std::map<std::string, Court> courts_;
    std::vector<std::string> new_;
};

}  // namespace keel::proxy
