#include "proxy/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "protocol/frame.h"

namespace keel::proxy {

namespace {

using Verb = Command::Verb;

constexpr char const* kHelpHint = "SHOW HELP lists what there is.";
constexpr std::uint32_t kText = 25, kNumber = 20;  // OIDs of text and int8

std::vector<std::string> const& shown() {
    static std::vector<std::string> const all = {"CLIENTS", "CONFIG",     "DATABASES", "HELP",    "LISTS",
                                                 "NODES",   "NODE_POOLS", "POOLS",     "SERVERS", "STATE",
                                                 "STATS",   "SETTINGS",   "VERSION"};
    return all;
}

std::string upper(std::string_view text) {
    std::string out(text);
    for (auto& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return out;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

struct Word {
    std::string text;
    bool quoted = false;
};

// Words, and names in double quotes; a semicolon may only end it.
Result<std::vector<Word>> words_of(std::string_view text) {
    std::vector<Word> out;
    std::size_t at = 0;
    while (at < text.size()) {
        if (is_space(text[at])) {
            ++at;
        } else if (text[at] == ';') {
            if (text.find_first_not_of("; \t\r\n\f", at) != std::string_view::npos)
                return fail(Code::invalid, "the console takes one command at a time", "Send them one after the other.");
            break;
        } else if (text[at] == '"') {
            Word word{{}, true};
            for (++at;; ++at) {
                if (at >= text.size()) return fail(Code::invalid, "a name in quotes does not end", "Close it with \".");
                if (text[at] != '"') {
                    word.text += text[at];
                } else if (at + 1 < text.size() && text[at + 1] == '"') {
                    word.text += text[at++];
                } else {
                    break;
                }
            }
            ++at;
            out.push_back(std::move(word));
        } else {
            auto const end = std::min(text.find_first_of("; \t\r\n\f\"", at), text.size());
            out.push_back({std::string(text.substr(at, end - at)), false});
            at = end;
        }
    }
    return out;
}

// What PgBouncer has, and this proxy has not on purpose.
std::string_view why_not(std::string_view word) {
    if (word == "SHUTDOWN" || word == "SUSPEND")
        return "pgkeel node starts and stops the proxy; PAUSE holds work back.";
    if (word == "DISABLE" || word == "ENABLE") return "PAUSE and RESUME hold work back and let it go.";
    if (word == "SET") return "Settings stand in [proxy] of node.toml; RELOAD reads it.";
    if (word == "WAIT_CLOSE") return "RECONNECT, and look at SHOW SERVERS.";
    if (word == "BEGIN" || word == "COMMIT" || word == "ROLLBACK" || word == "START")
        return "The console has no transactions: connect with autocommit.";
    if (word == "SELECT") return "The console speaks no SQL: SHOW HELP lists what there is.";
    return {};
}

Result<Command> parse_show(std::vector<Word> const& words) {
    if (words.size() < 2) return fail(Code::invalid, "SHOW what?", kHelpHint);
    auto name = upper(words[1].text);
    if (std::ranges::find(shown(), name) == shown().end())
        return fail(Code::invalid, fmt::format("there is nothing to show named \"{}\"", words[1].text),
                    fmt::format("There are {}.", fmt::join(shown(), ", ")));
    if (words.size() > 2)
        return fail(Code::invalid, fmt::format("\"{}\" is too much behind SHOW {}", words[2].text, name),
                    fmt::format("Write SHOW {}.", name));
    return Command{Verb::show, std::move(name), 0};
}

Result<Command> parse_kill_client(Word const& word) {
    Command out{Verb::kill_client, word.text, 0};
    auto const* const end = word.text.data() + word.text.size();
    auto const read = std::from_chars(word.text.data(), end, out.client);
    if (read.ec != std::errc{} || read.ptr != end)
        return fail(Code::invalid, fmt::format("\"{}\" is no number of a client", word.text),
                    "SHOW CLIENTS has it in the column id.");
    return out;
}

}  // namespace

Result<Command> parse_command(std::string_view text) {
    KEEL_TRY(auto const words, words_of(text));
    if (words.empty()) return Command{};
    auto const first = words[0].quoted ? std::string{} : upper(words[0].text);
    if (first == "SHOW") return parse_show(words);
    if (first == "HELP" && words.size() == 1) return Command{Verb::show, "HELP", 0};
    struct Known {
        char const* word;
        Verb verb;
        std::size_t least, most;  // words behind it
        char const* form;
    };
    static constexpr Known kKnown[] = {{"PAUSE", Verb::pause, 0, 1, "PAUSE [database]"},
                                       {"RESUME", Verb::resume, 0, 1, "RESUME [database]"},
                                       {"KILL", Verb::kill, 1, 1, "KILL database"},
                                       {"KILL_CLIENT", Verb::kill_client, 1, 1, "KILL_CLIENT number"},
                                       {"RECONNECT", Verb::reconnect, 0, 1, "RECONNECT [database]"},
                                       {"RELOAD", Verb::reload, 0, 0, "RELOAD"}};
    for (auto const& known : kKnown) {
        if (first != known.word) continue;
        if (words.size() - 1 < known.least || words.size() - 1 > known.most)
            return fail(Code::invalid, fmt::format("{} has the form {}", known.word, known.form),
                        fmt::format("Write {}; a name with blanks stands in double quotes.", known.form));
        if (known.verb == Verb::kill_client) return parse_kill_client(words[1]);
        auto object = words.size() > 1 ? words[1].text : std::string{};
        if (words.size() > 1 && object.empty())
            return fail(Code::invalid, "a database has a name", fmt::format("Write {}.", known.form));
        if (object == kConsole)
            return fail(Code::invalid, fmt::format("\"{}\" is the console itself", kConsole), "Name a database.");
        return Command{known.verb, std::move(object), 0};
    }
    auto const why = why_not(first);
    return fail(Code::invalid, fmt::format("\"{}\" is no command of the console", words[0].text),
                why.empty() ? kHelpHint : std::string(why));
}

std::vector<HelpLine> const& help_lines() {
    static constexpr char const* kLook = "pg_monitor";
    static constexpr char const* kChange = "superuser";
    static std::vector<HelpLine> const all = {
        {"SHOW POOLS", kLook, "clients and servers by database and user"},
        {"SHOW NODE_POOLS", kLook, "the same by node: who waits for which"},
        {"SHOW CLIENTS", kLook, "connections of clients"},
        {"SHOW SERVERS", kLook, "connections to servers"},
        {"SHOW DATABASES", kLook, "databases that somebody uses, and which are paused"},
        {"SHOW STATS", kLook, "counts by database, and averages of the last whole minute"},
        {"SHOW NODES", kLook, "the cluster as the agent told it: who leads, who takes reads"},
        {"SHOW STATE", kLook, "whether work goes on, and why not"},
        {"SHOW LISTS", kLook, "how many there are of each"},
        {"SHOW SETTINGS", kLook, "settings in force; SHOW CONFIG is the same"},
        {"SHOW VERSION", kLook, "the version of this program"},
        {"PAUSE [database]", kChange,
         "new work waits; answers when the last transaction is over and its server closed. Leaving before that undoes "
         "it"},
        {"RESUME [database]", kChange, "work goes on; without a database: everywhere"},
        {"RECONNECT [database]", kChange, "servers are closed as they become free, and opened anew"},
        {"KILL database", kChange, "closes its clients and servers at once; new work waits for RESUME"},
        {"KILL_CLIENT number", kChange, "closes one client (id of SHOW CLIENTS)"},
        {"RELOAD", kChange, "reads [proxy] of node.toml and the certificates; says what needs a restart"}};
    return all;
}

Status may_look(auth::User const& user) {
    if (user.superuser || user.monitor) return {};
    return fail(Code::denied, fmt::format("role \"{}\" may not use the console", user.name),
                "It is for superusers and members of pg_monitor (GRANT pg_monitor TO ...).");
}

Status may_use(auth::User const& user, Command const& command) {
    if (command.verb == Verb::nothing || command.verb == Verb::show) return may_look(user);
    if (user.superuser) return {};
    return fail(Code::denied, fmt::format("role \"{}\" may only look", user.name),
                "What changes something is for superusers.");
}

void Table::row(std::vector<Cell> cells) {
    ++count_;
    protocol::Message message(rows_, 'D');
    message.u16(static_cast<std::uint16_t>(columns_.size()));
    cells.resize(columns_.size());
    for (auto const& cell : cells) {
        if (!cell)
            message.u32(0xffffffffU);
        else
            message.u32(static_cast<std::uint32_t>(cell->size())).bytes(*cell);
    }
}

void Table::write(std::string& out) const {
    {
        protocol::Message head(out, 'T');
        head.u16(static_cast<std::uint16_t>(columns_.size()));
        for (auto const& column : columns_) {
            // No table's column; of any length; no modifier; as text.
            head.text(column.name).u32(0).u16(0).u32(column.number ? kNumber : kText);
            head.u16(column.number ? 8 : 0xffff).u32(0xffffffffU).u16(0);
        }
    }
    out += rows_;
    protocol::write_command_complete(out, "SHOW");
}

}  // namespace keel::proxy
