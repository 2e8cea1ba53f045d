#include "alert/book.h"

#include <algorithm>
#include <tuple>

#include "base/json.h"
#include "base/utf8.h"

namespace keel::alert {

namespace {

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
        auto const length = character_bytes(text.substr(at));
        out += length > 0 ? text.substr(at, length) : std::string_view("?");
        at += std::max<std::size_t>(length, 1);
        if (out.size() + kEllipsis.size() <= bytes) fits = out.size();
    }
    if (out.size() > bytes) {
        out.resize(fits);
        out += kEllipsis;
    }
    return out;
}

}  // namespace keel::alert
