// The book of alerts: what is wrong, what of it people were told, and what is still to be told. One per cluster; the
// speaker writes it, every data node keeps a copy on its disk.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace keel::alert {

enum class Severity { info, warning, critical };
BOOST_DESCRIBE_ENUM(Severity, info, warning, critical)

// Something that is so now.
struct Condition {
    std::string rule;
    std::string subject;  // "bela", "slot pgkeel_...", "epoch 3"; empty: the cluster
    std::string node;     // name of the member that it is about; empty: the cluster
    Severity severity = Severity::warning;
    std::string text;  // one sentence
};
BOOST_DESCRIBE_STRUCT(Condition, (), (rule, subject, node, severity, text))

// pending: not for long enough yet (hold-off). acknowledged: somebody takes care, so no reminders. resolved: over.
enum class Phase { pending, firing, acknowledged, resolved };
BOOST_DESCRIBE_ENUM(Phase, pending, firing, acknowledged, resolved)

// Times are the speaker's, milliseconds since 1970; 0: not yet.
struct Alert {
    std::string rule, subject, node;
    Severity severity = Severity::warning;
    Phase phase = Phase::pending;
    std::string text;
    std::int64_t since_ms = 0;  // first seen
    std::int64_t gone_ms = 0;   // not seen any more since
    std::int64_t told_ms = 0;   // last put into a notice
    std::int64_t first_told_ms = 0;
    std::int64_t ended_ms = 0;
    Severity told_severity = Severity::info;
    std::string acknowledged_by;
    std::set<std::string> escalated;  // channels that wait for somebody to care, and were told because nobody did
};
BOOST_DESCRIBE_STRUCT(Alert, (),
                      (rule, subject, node, severity, phase, text, since_ms, gone_ms, told_ms, first_told_ms, ended_ms,
                       told_severity, acknowledged_by, escalated))

// "lag_bytes:bela", as people name an alert.
std::string name_of(std::string const& rule, std::string const& subject);

struct Silence {
    std::string alert;  // a rule, or a rule with its subject
    std::int64_t until_ms = 0;
    std::string by;
    std::string why;
};
BOOST_DESCRIBE_STRUCT(Silence, (), (alert, until_ms, by, why))

// What one line of a notice says of an alert.
enum class Word { firing, worse, still, escalated, resolved };
BOOST_DESCRIBE_ENUM(Word, firing, worse, still, escalated, resolved)

struct Line {
    std::string rule, subject, node;
    Severity severity = Severity::warning;
    Word word = Word::firing;
    std::string text;
    std::int64_t since_ms = 0;
    std::int64_t ended_ms = 0;
    std::set<std::string> escalated;  // those of the alert; with the word `escalated`, the new ones of them
};
BOOST_DESCRIBE_STRUCT(Line, (), (rule, subject, node, severity, word, text, since_ms, ended_ms, escalated))

// Alerts that changed at the same moment, until every channel has delivered it.
struct Notice {
    std::uint64_t number = 0;
    std::int64_t at_ms = 0;
    std::vector<Line> lines;
    std::set<std::string> open;  // channels that have not
};
BOOST_DESCRIBE_STRUCT(Notice, (), (number, at_ms, lines, open))

struct Book {
    std::uint64_t term = 0;    // whose it is: grows with each epoch, and with its leader
    std::uint64_t serial = 0;  // counts its changes
    std::vector<Alert> alerts;
    std::vector<Notice> outbox;
    std::vector<Silence> silences;
    std::uint64_t next_number = 1;  // of a notice
    std::uint64_t dropped = 0;      // notices that no channel took in time, or for which there was no room
    std::uint64_t reign = 0;        // last stable epoch that was seen
    std::string leader;             // its leader's name
};
BOOST_DESCRIBE_STRUCT(Book, (), (term, serial, alerts, outbox, silences, next_number, dropped, reign, leader))

inline constexpr std::size_t kAlertsMax = 300;
inline constexpr std::size_t kOutboxMax = 100;
inline constexpr std::size_t kSilencesMax = 100;
inline constexpr std::size_t kTextMax = 600;  // bytes of one sentence

bool is_newer(Book const& a, Book const& than);
// Alerts of `old` that people were told of, and that `next` does not know.
std::vector<Alert> told_only_in(Book const& old, Book const& next);
// True when any of them was new to the book.
bool take_over(Book& book, std::vector<Alert> const& told);
std::string encode(Book const& book);
// From a file or a peer: corrupt when it is no book, exhausted when it has more than a book may have.
Result<Book> decode_book(std::string_view text);

// What a data node tells the others: what is wrong with itself, and, from the speaker, the book.
struct Report {
    std::vector<Condition> conditions;
    std::string channels;  // the channels that it would deliver by, as one text to compare
    bool has_book = false;
    Book book;
    std::vector<Alert> told;  // by this node, when it spoke for a part of the cluster: somebody must tell their end
};
BOOST_DESCRIBE_STRUCT(Report, (), (conditions, channels, has_book, book, told))
std::string encode(Report const& report);
Result<Report> decode_report(std::string_view text);

// The answer to a report.
struct Taken {
    std::int64_t unix_ms = 0;  // by the clock of who took it; 0: it did not say
};
BOOST_DESCRIBE_STRUCT(Taken, (), (unix_ms))

// At most `bytes` of it, cut between characters, with an ellipsis; bytes that are no UTF-8 become "?".
std::string cut(std::string_view text, std::size_t bytes);

}  // namespace keel::alert
