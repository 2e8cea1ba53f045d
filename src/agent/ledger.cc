#include "agent/ledger.h"

#include <algorithm>
#include <limits>
#include <map>

#include "agent/desk.h"
#include "base/json.h"
#include "base/utf8.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using availability::Row;
using cluster::HistoryEvent;
using runtime::Task;

constexpr Duration kLookEvery = 5s;
constexpr Duration kRowEvery = 5min;
constexpr Duration kFillEvery = 30s;
constexpr Duration kCallLimit = 5s;
constexpr std::size_t kAnswerMax = 500;
constexpr std::size_t kTextMax = 4000;
constexpr auto kEnd = std::numeric_limits<std::int64_t>::max();
constexpr auto kAll = std::numeric_limits<std::size_t>::max();

struct Wanted {
    std::uint64_t after = 0, below = 0;
};
BOOST_DESCRIBE_STRUCT(Wanted, (), (after, below))

// By number, each once: what others had was written later than what it came before.
std::map<std::uint64_t, HistoryEvent> events_in(std::vector<runtime::JournalLine> const& lines) {
    std::map<std::uint64_t, HistoryEvent> out;
    for (auto const& line : lines) {
        auto event = json::read<HistoryEvent>(line.text);
        if (event) out.emplace(event->number, *std::move(event));
    }
    return out;
}

std::vector<Row> rows_in(std::vector<runtime::JournalLine> const& lines) {
    std::vector<Row> out;
    for (auto const& line : lines) {
        auto row = json::read<Row>(line.text);
        if (row) out.push_back(*std::move(row));
    }
    return out;
}

availability::Outages replay(std::map<std::uint64_t, HistoryEvent> const& events, std::vector<Row> rows,
                             std::int64_t now_ms) {
    // Written while the clock was ahead.
    std::erase_if(rows, [now_ms](auto const& row) { return row.unix_ms > now_ms; });
    availability::Outages out;
    auto row = rows.begin();
    for (auto const& [number, event] : events) {
        for (; row != rows.end() && row->unix_ms <= event.unix_ms; ++row)
            if (row->writes) out.good(row->unix_ms);
        out.event(event);
    }
    for (; row != rows.end(); ++row)
        if (row->writes) out.good(row->unix_ms);
    return out;
}

}  // namespace

Ledger::Ledger(Parts parts) : parts_(parts), directory_(parts.desk->config().directory + "/history"), disk_("ledger") {
    parts_.desk->offer(*this);
}

// On the worker's thread: it touches nothing of this object that others do.
Ledger::Book Ledger::open() const {
    Book out;
    for (auto const& [name, journal] : {std::pair("events", &out.events), std::pair("rows", &out.rows)}) {
        auto opened = runtime::Journal::open(directory_, name, {});
        if (!opened) {
            log::error("ledger", "the history is not kept on this node: {}", to_string(opened.error()));
            continue;
        }
        if (opened->bytes_cut() > 0)
            log::warning("ledger", "cut {} bytes off {}/{}, which a crash had left half written", opened->bytes_cut(),
                         directory_, name);
        *journal = std::move(*opened);
    }
    auto const events = out.events ? out.events->read(0, kEnd, kAll) : Result<std::vector<runtime::JournalLine>>{};
    auto const rows = out.rows ? out.rows->read(0, kEnd, kAll) : Result<std::vector<runtime::JournalLine>>{};
    if (!events || !rows) {
        log::error("ledger", "the history cannot be read: {}", to_string(!events ? events.error() : rows.error()));
        return out;
    }
    auto const known = events_in(*events);
    for (auto const& [number, event] : known) {
        if (number > out.last + 1) out.gaps.push_back({out.last, number});
        out.last = number;
    }
    out.outages = replay(known, rows_in(*rows), runtime::unix_ms_now());
    return out;
}

Task<void> Ledger::load() {
    if (book_.events && book_.rows) co_return;
    book_ = co_await runtime::run_blocking(disk_, [this] { return open(); });
}

Task<void> Ledger::run() {
    co_await load();
    for (;;) {
        auto const now = runtime::boot_now();
        watch_writes();
        co_await keep_events();
        if (now >= row_due_ || writes_possible() != row_writes_) co_await keep_row();
        if (!book_.gaps.empty() && now >= fill_due_) {
            fill_due_ = now + kFillEvery;
            co_await fill_gaps();
        }
        co_await runtime::sleep_for(kLookEvery);
    }
}

void Ledger::watch_writes() {
    book_.outages.clock_says(runtime::unix_ms_now());
    last_good_ms_ = std::min(last_good_ms_, runtime::unix_ms_now());
    if (writes_possible()) {
        last_good_ms_ = runtime::unix_ms_now();
        bad_looks_ = 0;
        down_since_ms_.reset();
        return;
    }
    // One look that finds no leader may be the node's own start.
    auto const good = std::max(last_good_ms_, book_.outages.last_good_ms());
    if (++bad_looks_ > 1 && !down_since_ms_ && good != 0) down_since_ms_ = good;
}

bool Ledger::writes_possible() const {
    auto const& node = parts_.driver->node();
    auto const& record = node.record();
    if (!record || record->phase != cluster::Phase::stable) return false;
    auto const now = runtime::boot_now();
    if (record->leader == parts_.desk->self()) return node.opinion().lease_deadline > now;
    auto const peer = node.peers().find(record->leader);
    return peer != node.peers().end() && peer->second.last.leads == record->epoch &&
           now - peer->second.heard < cluster::timing(record->settings.profile).lease;
}

// ---- writing ----

Task<void> Ledger::keep_events() {
    auto const& record = parts_.driver->node().record();
    if (!record || record->history.empty() || record->history.back().number <= book_.last) co_return;
    Events fresh;
    for (auto const& event : record->history)
        if (event.number > book_.last) fresh.push_back(event);
    auto const before = book_.last;
    auto const first = fresh.front().number, last = fresh.back().number;
    if (!co_await write(fresh)) co_return;
    if (first > before + 1) book_.gaps.push_back({before, first});
    book_.last = last;
    for (auto const& event : fresh) book_.outages.event(event);
}

Task<bool> Ledger::write(Events events) {
    if (!book_.events) co_return false;
    std::vector<runtime::JournalLine> lines;
    for (auto& event : events) {
        event.text.resize(cut_between_characters(event.text, std::min(event.text.size(), kTextMax)));
        lines.push_back({event.unix_ms, json::write(event)});
    }
    auto const written = co_await runtime::run_blocking(
        disk_, [this, &lines] { return book_.events->append(lines, runtime::unix_ms_now()); });
    auto const problem = written ? std::string() : to_string(written.error());
    if (!problem.empty() && problem != problem_) log::warning("ledger", "the history is not written: {}", problem);
    problem_ = problem;
    co_return written.has_value();
}

// A change of what is possible gets a row of its own: so it is known to a few seconds, also after a loss of power.
Task<void> Ledger::keep_row() {
    auto const sight = parts_.desk->look();
    if (!sight.record || !book_.rows) co_return;
    auto row = availability::row_of(sight);
    row_writes_ = row.writes = writes_possible();
    row_due_ = runtime::boot_now() + kRowEvery;
    if (row.writes) book_.outages.good(row.unix_ms);
    auto const line = runtime::JournalLine{row.unix_ms, json::write(row)};
    auto const written = co_await runtime::run_blocking(
        disk_, [this, &line] { return book_.rows->append({line}, runtime::unix_ms_now()); });
    if (!written) log::warning("ledger", "a row of figures is not written: {}", to_string(written.error()));
}

// ---- what this node missed ----

Task<void> Ledger::fill_gaps() {
    bool filled = false;
    // One round over those that were there at its beginning: a gap that nobody can be asked about comes back.
    for (auto left = book_.gaps.size(); left > 0; --left) {
        auto gap = book_.gaps.front();
        book_.gaps.pop_front();
        auto const before = gap.after;
        if (!co_await fill(gap)) book_.gaps.push_back(gap);
        filled = filled || gap.after != before;
    }
    if (!filled || !book_.events || !book_.rows) co_return;
    auto const again = co_await runtime::run_blocking(disk_, [this]() -> std::optional<availability::Outages> {
        auto const events = book_.events->read(0, kEnd, kAll), rows = book_.rows->read(0, kEnd, kAll);
        if (!events || !rows) return std::nullopt;
        return replay(events_in(*events), rows_in(*rows), runtime::unix_ms_now());
    });
    if (again) book_.outages = *again;
}

// True when there is nothing more to be had of anybody.
Task<bool> Ledger::fill(Gap& gap) {
    auto const& record = parts_.driver->node().record();
    if (!record) co_return false;
    std::vector<NodeId> others;
    for (auto const& [id, member] : record->members)
        if (id != parts_.desk->self()) others.push_back(id);
    bool all_answered = true;
    for (auto const& id : others) {
        while (gap.after + 1 < gap.below) {
            auto const answered =
                co_await parts_.channel->call(id, kLedgerCall, json::write(Wanted{gap.after, gap.below}), kCallLimit);
            auto events = answered ? json::read<Events>(*answered) : Result<Events>(fail(answered.error()));
            all_answered = all_answered && events.has_value();
            if (!events || events->empty()) break;
            // What a peer sends is looked at before it counts.
            bool const fits = std::ranges::is_sorted(*events, {}, &HistoryEvent::number) &&
                              events->front().number > gap.after && events->back().number < gap.below &&
                              events->size() <= kAnswerMax;
            if (!fits) break;
            auto const reached = events->back().number;
            if (!co_await write(*std::move(events))) co_return false;
            gap.after = reached;
        }
    }
    co_return all_answered || gap.after + 1 >= gap.below;
}

Task<Result<std::string>> Ledger::answer(std::string argument) {
    auto const wanted = json::read<Wanted>(argument);
    if (!wanted) co_return fail(wanted.error());
    if (!book_.events) co_return fail(Code::unavailable, "this node has not read its history yet");
    auto const known = co_await read_events(0, kEnd);
    if (!known) co_return fail(known.error());
    Events out;
    for (auto const& [number, event] : *known)
        if (number > wanted->after && number < wanted->below && out.size() < kAnswerMax) out.push_back(event);
    co_return json::write(out);
}

// ---- reading ----

// A year of lines takes a while to be understood: that too is the worker's.
Task<Result<Ledger::Numbered>> Ledger::read_events(std::int64_t from_ms, std::int64_t until_ms) {
    co_return co_await runtime::run_blocking(disk_, [&]() -> Result<Numbered> {
        KEEL_TRY(auto const lines, book_.events->read(from_ms, until_ms, kAll));
        return events_in(lines);
    });
}

Task<Result<std::vector<HistoryEvent>>> Ledger::events(std::int64_t from_ms, std::int64_t until_ms, std::size_t most) {
    if (!book_.events) co_return fail(Code::unavailable, "this node's history cannot be read now", "its log says why");
    auto read = co_await read_events(from_ms, until_ms);
    if (!read) co_return fail(read.error());
    auto known = *std::move(read);
    if (auto const& record = parts_.driver->node().record()) {
        // What has just happened is written within moments, but may be asked for now.
        for (auto const& event : record->history)
            if (event.unix_ms >= from_ms && event.unix_ms <= until_ms) known.try_emplace(event.number, event);
    }
    Events out;
    for (auto& [number, event] : known) out.push_back(std::move(event));
    if (out.size() > most) out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most));
    co_return out;
}

Task<Result<std::vector<Row>>> Ledger::rows(std::int64_t from_ms, std::int64_t until_ms, std::size_t most) {
    if (!book_.rows) co_return fail(Code::unavailable, "this node's history cannot be read now", "its log says why");
    co_return co_await runtime::run_blocking(disk_, [&]() -> Result<std::vector<Row>> {
        KEEL_TRY(auto const lines, book_.rows->read(from_ms, until_ms, most));
        return rows_in(lines);
    });
}

availability::Ledger Ledger::account() const {
    return availability::ledger_of(book_.outages, down_since_ms_, runtime::unix_ms_now());
}

}  // namespace keel::agent
