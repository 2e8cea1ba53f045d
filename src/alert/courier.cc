#include "alert/courier.h"

#include <algorithm>

namespace keel::alert {

namespace {

constexpr std::int64_t kBackOffFirstMs = 1'000;
constexpr std::int64_t kBackOffMostMs = 300'000;
constexpr std::int64_t kGiveUpAfterMs = 86'400'000;
constexpr int kRefusalsMost = 5;
constexpr std::size_t kLinesMax = 30;
constexpr std::int64_t kRefreshMs = 60'000;

struct Rate {
    std::int64_t gap_ms;
    std::size_t a_minute;
};
// Telegram: about one message a second to a chat, 20 a minute to a group.
Rate rate_of(Kind kind) {
    switch (kind) {
        case Kind::telegram:
            return {1'100, 18};
        case Kind::email:
            return {5'000, 10};
        case Kind::webhook:
        case Kind::command:
            return {500, 60};
        case Kind::alertmanager:
            return {200, 120};
    }
    return {1'000, 20};
}

bool may_send(Channel const& channel, Courier& courier, std::int64_t now_ms) {
    auto const rate = rate_of(channel.kind);
    auto& sent = courier.sent_ms;
    while (!sent.empty() && now_ms - sent.front() >= 60'000) sent.pop_front();
    if (now_ms < courier.not_before_ms || sent.size() >= rate.a_minute) return false;
    return sent.empty() || now_ms - sent.back() >= rate.gap_ms;
}

}  // namespace

std::optional<Parcel> next_parcel(Book const& book, Channel const& channel, Courier& courier, std::int64_t now_ms) {
    if (!may_send(channel, courier, now_ms)) return std::nullopt;
    Parcel out;
    out.now_ms = now_ms;
    out.dropped = book.dropped;
    for (auto const& notice : book.outbox) {
        if (!notice.open.contains(channel.name)) continue;
        // One that is refused shows itself when each goes alone.
        if (courier.refusals > 0 && !out.numbers.empty()) break;
        out.numbers.push_back(notice.number);
        for (auto const& line : notice.lines) {
            if (!hears(channel, line)) continue;
            if (out.lines.size() < kLinesMax || channel.kind == Kind::alertmanager)
                out.lines.push_back(line);
            else
                ++out.more;
        }
    }
    bool const refresh = channel.kind == Kind::alertmanager && now_ms - courier.refreshed_ms >= kRefreshMs &&
                         std::ranges::any_of(book.alerts, [](Alert const& one) {
                             return one.phase == Phase::firing || one.phase == Phase::acknowledged;
                         });
    if (out.numbers.empty() && !refresh) return std::nullopt;
    courier.sent_ms.push_back(now_ms);
    return out;
}

bool settle(Book& book, Channel const& channel, Courier& courier, Parcel const& parcel, Verdict const& verdict,
            std::int64_t now_ms) {
    bool done = verdict.delivered;
    bool given_up = false;
    if (verdict.delivered) {
        courier.failures = courier.refusals = 0;
        courier.not_before_ms = 0;
        courier.problem.clear();
        courier.refreshed_ms = now_ms;
        ++courier.delivered;
    } else {
        ++courier.failed;
        courier.refusals += verdict.refused ? 1 : 0;
        auto const wait = std::min(kBackOffMostMs, kBackOffFirstMs << std::min(courier.failures, 10));
        courier.not_before_ms = now_ms + std::max<std::int64_t>(wait, to_ms(verdict.retry_after));
        // Being asked to wait is no failure of the channel.
        if (verdict.retry_after == Duration{}) ++courier.failures;
        if (courier.problem.empty()) courier.problem_since_ms = now_ms;
        courier.problem = verdict.text;
        given_up = courier.refusals >= kRefusalsMost;
        if (given_up) courier.refusals = 0;
        done = given_up;
    }
    bool changed = false;
    for (auto& notice : book.outbox) {
        bool const mine = std::ranges::find(parcel.numbers, notice.number) != parcel.numbers.end();
        bool const too_old = !verdict.delivered && now_ms - notice.at_ms > kGiveUpAfterMs;
        if (!mine || !(done || too_old)) continue;
        changed = notice.open.erase(channel.name) > 0 || changed;
        if (given_up || too_old) ++book.dropped;
    }
    std::erase_if(book.outbox, [](Notice const& one) { return one.open.empty(); });
    if (changed) ++book.serial;
    return changed;
}

}  // namespace keel::alert
