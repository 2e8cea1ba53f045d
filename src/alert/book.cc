#include "alert/book.h"

#include <algorithm>
#include <tuple>

#include "base/json.h"

namespace keel::alert {

namespace {

std::size_t sequence_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead < 0xe0) return 2;
    if (lead >= 0xe0 && lead < 0xf0) return 3;
    if (lead >= 0xf0 && lead < 0xf5) return 4;
    return 0;
}

bool continues(std::string_view text, std::size_t at, std::size_t length) {
    if (length == 0 || at + length > text.size()) return false;
    for (std::size_t i = 1; i < length; ++i)
        if ((static_cast<unsigned char>(text[at + i]) & 0xc0U) != 0x80U) return false;
    auto const lead = static_cast<unsigned char>(text[at]);
    auto const second = length > 1 ? static_cast<unsigned char>(text[at + 1]) : 0U;
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if (lead == 0xe0 && second < 0xa0) return false;
    if (lead == 0xed && second >= 0xa0) return false;
    if (lead == 0xf0 && second < 0x90) return false;
    return lead != 0xf4 || second < 0x90;
}

Status check_limits(Book const& book) {
    std::size_t lines = 0;
    for (auto const& notice : book.outbox) lines += notice.lines.size();
    if (book.alerts.size() > 2 * kAlertsMax || book.outbox.size() > kOutboxMax || book.silences.size() > kSilencesMax ||
        lines > kOutboxMax * kAlertsMax)
        return fail(Code::exhausted, "a book of alerts with more in it than one may have");
    return {};
}

}  // namespace

std::string name_of(std::string const& rule, std::string const& subject) {
    return subject.empty() ? rule : rule + ":" + subject;
}

bool is_newer(Book const& a, Book const& than) {
    return std::tuple(a.term, a.serial) > std::tuple(than.term, than.serial);
}

namespace {

bool knows(Book const& book, Alert const& alert) {
    return std::ranges::any_of(
        book.alerts, [&](Alert const& one) { return one.rule == alert.rule && one.subject == alert.subject; });
}

}  // namespace

std::vector<Alert> told_only_in(Book const& old, Book const& next) {
    std::vector<Alert> out;
    for (auto const& alert : old.alerts) {
        bool const on = alert.phase == Phase::firing || alert.phase == Phase::acknowledged;
        if (on && alert.told_ms != 0 && !knows(next, alert)) out.push_back(alert);
    }
    return out;
}

bool take_over(Book& book, std::vector<Alert> const& told) {
    bool changed = false;
    for (auto const& alert : told) {
        if (knows(book, alert) || book.alerts.size() >= kAlertsMax) continue;
        book.alerts.push_back(alert);
        changed = true;
    }
    if (changed) ++book.serial;
    return changed;
}

std::string encode(Book const& book) { return json::write(book); }

Result<Book> decode_book(std::string_view text) {
    KEEL_TRY(auto book, json::read<Book>(text));
    KEEL_CHECK(check_limits(book));
    return book;
}

std::string encode(Report const& report) { return json::write(report); }

Result<Report> decode_report(std::string_view text) {
    KEEL_TRY(auto report, json::read<Report>(text));
    if (report.conditions.size() > kAlertsMax || report.told.size() > kAlertsMax)
        return fail(Code::exhausted, "a report with too many conditions");
    KEEL_CHECK(check_limits(report.book));
    return report;
}

std::string cut(std::string_view text, std::size_t bytes) {
    constexpr std::string_view kEllipsis = "...";
    std::string out;
    std::size_t fits = 0;  // of `out`, with an ellipsis behind it
    for (std::size_t at = 0; at < text.size() && out.size() <= bytes;) {
        auto const length = sequence_length(static_cast<unsigned char>(text[at]));
        bool const sound = continues(text, at, length);
        out += sound ? text.substr(at, length) : std::string_view("?");
        at += sound ? length : 1;
        if (out.size() + kEllipsis.size() <= bytes) fits = out.size();
    }
    if (out.size() > bytes) {
        out.resize(fits);
        out += kEllipsis;
    }
    return out;
}

}  // namespace keel::alert
