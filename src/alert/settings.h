// alerts.toml of a node: which rules apply with which limits, and the channels that people are told by. The same file
// belongs on every data node, because any of them may come to lead. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alert/book.h"
#include "base/time.h"
#include "config/problem.h"

namespace keel::alert {

inline constexpr char const* kFileName = "alerts.toml";

// One rule as it is in force. What `limit` and `critical` count is in the table of rules; 0: the rule has none.
struct Rule {
    std::string name;
    bool on = true;
    Severity severity = Severity::warning;
    Duration hold{};      // hold-off: for how long it must be so
    double limit = 0;     // from here on it is so
    double critical = 0;  // and from here on it is critical
    std::string unit;     // "bytes", "seconds", "percent", "transactions", "days"
    std::string about;    // one sentence
};

enum class Kind { telegram, webhook, email, alertmanager, command };
BOOST_DESCRIBE_ENUM(Kind, telegram, webhook, email, alertmanager, command)

struct Channel {
    Kind kind = Kind::webhook;
    std::string name;                    // unique among all channels
    Severity least = Severity::warning;  // what is less is not told by it
    Duration after{};                    // told only of what nobody has acknowledged for so long; 0: of all
    std::string url;                     // telegram: of the Bot API; email: smtp://host:port or smtps://
    std::string secret_file;             // token, password, or a whole header; first line, mode 0600
    std::string ca_file;                 // empty: the system's
    std::string chat;                    // telegram
    std::string user, from;              // email
    std::vector<std::string> to;         // email
    bool plain = false;                  // email: no TLS at all
    std::vector<std::string> program;    // command: path and arguments
    bool operator==(Channel const&) const = default;
};

struct Settings {
    std::map<std::string, Rule> rules;
    std::vector<Channel> channels;
    Duration repeat = std::chrono::hours(4);  // a reminder of what goes on
    Rule const& rule(char const* name) const { return rules.at(name); }
};

// The defaults, without a channel.
Settings standard_settings();

struct Parsed {
    Settings settings;
    std::vector<config::Problem> problems;  // in the order of their lines; any makes the file unusable
};
Parsed parse_settings(std::string_view text, std::string const& file);

// Whether this line of a notice is for this channel.
bool hears(Channel const& channel, Line const& line);

// What two nodes compare: kinds, names and targets, never a secret.
std::string channels_text(std::vector<Channel> const& channels);

}  // namespace keel::alert
