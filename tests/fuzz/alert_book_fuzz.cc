// What a peer or a file says is the book of alerts; one that is taken is gone on with, and told from.
#include "alert/courier.h"
#include "alert/engine.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    alert::Report report;
    report.has_book = true;
    report.conditions.push_back({"disk", "anna", "anna", alert::Severity::critical, "full"});
    alert::Alert alert;
    alert.rule = "disk";
    alert.subject = "anna";
    alert.phase = alert::Phase::firing;
    report.book.alerts.push_back(alert);
    alert::Line line;
    line.rule = "disk";
    report.book.outbox.push_back({1, 5, {line}, {"hook"}});
    report.told = report.book.alerts;
    return {alert::encode(report)};
}

void eat(std::string_view bytes) {
    auto report = alert::decode_report(bytes);
    if (!report) return;
    alert::Settings settings = alert::standard_settings();
    alert::Channel channel;
    channel.name = "hook";
    channel.from = channel.chat = "a@b";
    channel.to = {"c@d"};
    settings.channels = {channel};
    alert::Book book = report->book;
    (void)alert::take_over(book, report->told);
    alert::Look look;
    look.conditions = report->conditions;
    look.now_ms = 1'800'000'000'000;
    (void)alert::step(book, look, settings);
    alert::Courier courier;
    auto const parcel = alert::next_parcel(book, channel, courier, look.now_ms);
    if (!parcel) return;
    (void)alert::telegram_body(*parcel, channel);
    (void)alert::webhook_body(*parcel);
    (void)alert::email_message(*parcel, channel);
    (void)alert::alertmanager_body(*parcel, book.alerts);
}

}  // namespace keel::fuzz
