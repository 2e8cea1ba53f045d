#include "alert/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "alert/rules.h"
#include "base/time.h"

namespace keel::alert {

namespace {

// A condition that comes and goes is one alert, not many.
constexpr std::int64_t kCalmMs = 5'000;
constexpr std::int64_t kKeepResolvedMs = 86'400'000;
constexpr std::size_t kResolvedMax = 50;

bool is_on(Alert const& alert) { return alert.phase == Phase::firing || alert.phase == Phase::acknowledged; }

bool matches(std::string const& wanted, Alert const& alert) {
    return wanted == "all" || wanted == alert.rule || wanted == name_of(alert.rule, alert.subject);
}

bool is_silenced(Book const& book, Alert const& alert, std::int64_t now_ms) {
    return std::ranges::any_of(book.silences,
                               [&](Silence const& one) { return one.until_ms > now_ms && matches(one.alert, alert); });
}

bool is_inhibited(Book const& book, Alert const& alert) {
    return std::ranges::any_of(book.alerts, [&](Alert const& by) { return inhibits(by, alert); });
}

class Step {
  public:
    Step(Book& book, Look const& look, Settings const& settings) : book_(book), look_(look), settings_(settings) {}

    bool run() {
        clamp();
        take_reign();
        see();
        miss();
        tell();
        sweep();
        return changed_;
    }

  private:
    // A predecessor's clock may have been ahead of this one's.
    void clamp() {
        for (auto& alert : book_.alerts) {
            for (auto* moment :
                 {&alert.since_ms, &alert.gone_ms, &alert.told_ms, &alert.first_told_ms, &alert.ended_ms})
                *moment = std::min(*moment, look_.now_ms);
        }
    }

    void take_reign() {
        auto const& reign = look_.reign;
        if (reign.epoch > book_.reign && book_.reign != 0 && !reign.asked_for && settings_.rule("failover").on) {
            Alert alert;
            alert.rule = "failover";
            alert.subject = fmt::format("epoch {}", reign.epoch);
            alert.node = book_.leader;
            alert.severity = settings_.rule("failover").severity;
            alert.phase = Phase::firing;
            bool const same = reign.leader == book_.leader;
            alert.text = cut(
                same ? fmt::format("{} was elected again{}{}", reign.leader, reign.why.empty() ? "" : ": ", reign.why)
                     : fmt::format("{} has taken over from {}{}{}", reign.leader, book_.leader,
                                   reign.why.empty() ? "" : ": ", reign.why),
                kTextMax);
            alert.since_ms = look_.now_ms;
            // A newer failover says all that the older one would.
            for (auto& older : book_.alerts) {
                if (older.rule == "failover" && is_on(older)) {
                    older.phase = Phase::resolved;
                    older.ended_ms = look_.now_ms;
                }
            }
            book_.alerts.push_back(std::move(alert));
            changed_ = true;
        }
        changed_ = follow(book_, reign) || changed_;
    }

    Alert* find(std::string const& rule, std::string const& subject) {
        auto const found = std::ranges::find_if(book_.alerts, [&](Alert const& one) {
            return one.rule == rule && one.subject == subject && one.phase != Phase::resolved;
        });
        return found == book_.alerts.end() ? nullptr : &*found;
    }

    void see() {
        for (auto const& condition : look_.conditions) {
            if (!settings_.rules.contains(condition.rule)) continue;  // of a newer node
            Alert* alert = find(condition.rule, condition.subject);
            if (alert == nullptr) {
                auto const active =
                    std::ranges::count_if(book_.alerts, [](Alert const& a) { return a.phase != Phase::resolved; });
                if (static_cast<std::size_t>(active) >= kAlertsMax) continue;
                alert = &book_.alerts.emplace_back();
                alert->rule = condition.rule;
                alert->subject = condition.subject;
                alert->since_ms = look_.now_ms;
                changed_ = true;
            }
            changed_ = changed_ || alert->severity != condition.severity || alert->gone_ms != 0;
            alert->gone_ms = 0;
            alert->node = condition.node;
            alert->severity = condition.severity;
            alert->text = cut(condition.text, kTextMax);
            auto const hold = to_ms(settings_.rules.at(condition.rule).hold);
            if (alert->phase == Phase::pending && look_.now_ms - alert->since_ms >= hold) {
                alert->phase = Phase::firing;
                changed_ = true;
            }
        }
    }

    bool is_seen(Alert const& alert) const {
        if (alert.rule == "failover") return look_.reign.epoch == 0 || !look_.reign.whole;
        if (is_local(alert.rule) && look_.silent.contains(alert.node)) return true;
        return std::ranges::any_of(look_.conditions, [&](Condition const& one) {
            return one.rule == alert.rule && one.subject == alert.subject;
        });
    }

    void miss() {
        for (auto& alert : book_.alerts) {
            if (alert.phase == Phase::resolved) continue;
            bool const off = settings_.rules.contains(alert.rule) && !settings_.rules.at(alert.rule).on;
            if (is_seen(alert) && !off) {
                if (alert.rule == "failover") alert.gone_ms = 0;
                continue;
            }
            if (alert.gone_ms == 0) {
                alert.gone_ms = look_.now_ms;
                changed_ = true;
            }
            if (alert.phase == Phase::pending || look_.now_ms - alert.gone_ms >= kCalmMs) {
                alert.phase = Phase::resolved;
                alert.ended_ms = alert.gone_ms;
                changed_ = true;
            }
        }
    }

    void tell() {
        Notice notice;
        auto const line = [&](Alert& alert, Word word) {
            notice.lines.push_back(line_of(alert, word));
            alert.told_ms = look_.now_ms;
            if (alert.first_told_ms == 0) alert.first_told_ms = look_.now_ms;
            alert.told_severity = alert.severity;
        };
        for (auto& alert : book_.alerts) {
            if (alert.phase == Phase::pending) continue;
            // A recovery is told of what was told, silenced or not: nobody is left with a fire that is out.
            if (alert.phase == Phase::resolved) {
                if (alert.told_ms != 0 && !ended_told(alert)) line(alert, Word::resolved);
                continue;
            }
            if (is_silenced(book_, alert, look_.now_ms) || is_inhibited(book_, alert)) continue;
            if (alert.told_ms == 0)
                line(alert, Word::firing);
            else if (alert.severity > alert.told_severity)
                line(alert, Word::worse);
            else if (alert.phase == Phase::firing && to_ms(settings_.repeat) > 0 &&
                     look_.now_ms - alert.told_ms >= to_ms(settings_.repeat))
                line(alert, Word::still);
            if (auto to = unheard(alert); !to.empty()) {
                alert.escalated.insert(to.begin(), to.end());
                notice.lines.push_back(line_of(alert, Word::escalated));
                notice.lines.back().escalated = std::move(to);
            }
        }
        if (!notice.lines.empty()) send(std::move(notice));
    }

    static Line line_of(Alert const& alert, Word word) {
        return {alert.rule,     alert.subject, alert.node,     alert.severity,
                word,           alert.text,    alert.since_ms, word == Word::resolved ? alert.ended_ms : 0,
                alert.escalated};
    }

    // Channels that wait whether somebody cares, and have waited long enough.
    std::set<std::string> unheard(Alert const& alert) const {
        std::set<std::string> out;
        if (alert.phase != Phase::firing || alert.first_told_ms == 0) return out;
        for (auto const& channel : settings_.channels) {
            bool const due = channel.after > Duration{} && look_.now_ms - alert.first_told_ms >= to_ms(channel.after);
            if (due && alert.severity >= channel.least && !alert.escalated.contains(channel.name))
                out.insert(channel.name);
        }
        return out;
    }

    // `told_ms` of a resolved alert is its last line's moment: at or after its end once the recovery was told.
    static bool ended_told(Alert const& alert) { return alert.gone_ms == 0 || alert.told_ms > alert.ended_ms; }

    void send(Notice notice) {
        changed_ = true;
        for (auto const& channel : settings_.channels) {
            bool const heard =
                std::ranges::any_of(notice.lines, [&](Line const& line) { return hears(channel, line); });
            if (heard) notice.open.insert(channel.name);
        }
        notice.number = book_.next_number++;
        notice.at_ms = look_.now_ms;
        if (notice.open.empty()) return;
        if (book_.outbox.size() >= kOutboxMax) {
            book_.outbox.erase(book_.outbox.begin());
            ++book_.dropped;
        }
        book_.outbox.push_back(std::move(notice));
    }

    void sweep() {
        auto const over = [&](Alert const& alert) {
            if (alert.phase != Phase::resolved) return false;
            return alert.told_ms == 0 || look_.now_ms - alert.ended_ms > kKeepResolvedMs;
        };
        changed_ = std::erase_if(book_.alerts, over) > 0 || changed_;
        auto resolved = static_cast<std::size_t>(
            std::ranges::count_if(book_.alerts, [](Alert const& a) { return a.phase == Phase::resolved; }));
        for (auto at = book_.alerts.begin(); resolved > kResolvedMax && at != book_.alerts.end();) {
            if (at->phase != Phase::resolved) {
                ++at;
                continue;
            }
            at = book_.alerts.erase(at);
            --resolved;
            changed_ = true;
        }
        changed_ =
            std::erase_if(book_.silences, [&](Silence const& one) { return one.until_ms <= look_.now_ms; }) > 0 ||
            changed_;
        auto const unknown = [&](std::string const& name) {
            return std::ranges::none_of(settings_.channels, [&](Channel const& one) { return one.name == name; });
        };
        for (auto& notice : book_.outbox) changed_ = std::erase_if(notice.open, unknown) > 0 || changed_;
        changed_ = std::erase_if(book_.outbox, [](Notice const& one) { return one.open.empty(); }) > 0 || changed_;
    }

    Book& book_;
    Look const& look_;
    Settings const& settings_;
    bool changed_ = false;
};

std::vector<std::string> active(Book const& book) {
    std::vector<std::string> out;
    for (auto const& alert : book.alerts)
        if (is_on(alert)) out.push_back(name_of(alert.rule, alert.subject));
    return out;
}

}  // namespace

bool follow(Book& book, Reign const& reign) {
    if (reign.epoch <= book.reign) return false;
    book.reign = reign.epoch;
    book.leader = reign.leader;
    return true;
}

bool step(Book& book, Look const& look, Settings const& settings) {
    bool const changed = Step(book, look, settings).run();
    if (changed) {
        book.term = std::max(book.term, look.term);
        ++book.serial;
    }
    return changed;
}

Status acknowledge(Book& book, std::string const& alert, std::string const& who) {
    bool found = false;
    for (auto& one : book.alerts) {
        if (!is_on(one) || !matches(alert, one)) continue;
        one.phase = Phase::acknowledged;
        one.acknowledged_by = cut(who, 200);
        found = true;
    }
    if (found) {
        ++book.serial;
        return {};
    }
    auto const names = active(book);
    return fail(Code::not_found, fmt::format("no alert \"{}\" is firing", alert),
                names.empty() ? "none is: pgkeel alert list" : fmt::format("these are: {}", fmt::join(names, ", ")));
}

Status silence(Book& book, Silence silence, std::int64_t now_ms) {
    if (silence.until_ms <= now_ms) return fail(Code::invalid, "a silence that is over already", "--for 2h");
    std::string const rule = silence.alert.substr(0, silence.alert.find(':'));
    bool const known = silence.alert == "all" ||
                       std::ranges::any_of(standard_rules(), [&](Rule const& one) { return one.name == rule; });
    if (!known) {
        std::vector<std::string> names;
        for (auto const& one : standard_rules()) names.push_back(one.name);
        return fail(Code::not_found, fmt::format("there is no rule \"{}\"{}", rule, config::did_you_mean(rule, names)),
                    fmt::format("the rules are {}, or all", fmt::join(names, ", ")));
    }
    std::erase_if(book.silences, [&](Silence const& one) { return one.alert == silence.alert; });
    if (book.silences.size() >= kSilencesMax)
        return fail(Code::exhausted, "there are too many silences", "end some: pgkeel alert silence RULE --end");
    silence.alert = cut(silence.alert, 200);
    silence.why = cut(silence.why, 200);
    book.silences.push_back(std::move(silence));
    ++book.serial;
    return {};
}

Status end_silence(Book& book, std::string const& alert) {
    if (std::erase_if(book.silences, [&](Silence const& one) { return one.alert == alert; }) == 0)
        return fail(Code::not_found, fmt::format("\"{}\" is not silenced", alert), "pgkeel alert list");
    ++book.serial;
    return {};
}

}  // namespace keel::alert
