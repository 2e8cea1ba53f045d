// The words of the admin console: commands as an operator writes them, and the tables that answer them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/users.h"
#include "base/result.h"

namespace keel::proxy {

// Who names this database talks to the proxy itself, on every one of its ports.
inline constexpr std::string_view kConsole = "pgkeel";

struct Command {
    enum class Verb { nothing, show, pause, resume, kill, kill_client, reconnect, reload };
    Verb verb = Verb::nothing;
    // SHOW: what, in capitals. The others: a database, or a client's number; empty: all.
    std::string object;
    std::uint64_t client = 0;  // of kill_client
};

// One command with or without its semicolon. Errors: invalid, with what there is instead.
Result<Command> parse_command(std::string_view text);

// What SHOW HELP shows.
struct HelpLine {
    char const* command;
    char const* who;
    char const* text;
};
std::vector<HelpLine> const& help_lines();

// Errors: denied.
Status may_look(auth::User const& user);
Status may_use(auth::User const& user, Command const& command);

// Rows of texts and numbers as messages of the protocol.
class Table {
  public:
    struct Column {
        char const* name;
        bool number = false;
    };
    using Cell = std::optional<std::string>;

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    // As many cells as there are columns.
    void row(std::vector<Cell> cells);
    std::size_t rows() const { return count_; }
    // RowDescription, the rows and CommandComplete.
    void write(std::string& out) const;

  private:
    std::vector<Column> columns_;
    std::string rows_;
    std::size_t count_ = 0;
};

}  // namespace keel::proxy
