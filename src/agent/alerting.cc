#include "agent/alerting.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/alerting_mail.h"
#include "base/json.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using alert::Look;
using runtime::Task;

constexpr Duration kLookEvery = 1s;
constexpr Duration kReportEvery = 10s;
constexpr Duration kReportGood = 30s;
constexpr Duration kCallLimit = 3s;
constexpr std::size_t kFileBytes = 8U << 20U;
constexpr char const* kReport = "alert.report";
constexpr char const* kDo = "alert.do";

std::string book_file(std::string const& directory) { return directory + "/state/alerts.json"; }

}  // namespace

Alerting::Alerting(Parts parts)
    : parts_(std::move(parts)),
      settings_(alert::standard_settings()),
      // A clock that is set, forwards or back, is no time that has passed.
      unix_base_ms_(runtime::unix_ms_now() - to_ms(runtime::boot_now().time_since_epoch())),
      disk_("alerts"),
      wake_(*parts_.io) {
    parts_.desk->offer(*this);
    auto const text = runtime::read_file(book_file(parts_.directory), kFileBytes);
    if (text) {
        auto book = alert::decode_book(*text);
        if (book)
            book_ = std::move(*book);
        else
            log::warning("alert", "{}: {}; begins a new book", book_file(parts_.directory), to_string(book.error()));
    } else if (text.error().code != Code::not_found) {
        log::warning("alert", "{}; begins a new book", to_string(text.error()));
    }
    if (auto const status = load(); !status)
        log::error("alert", "nobody is told of alerts by this node: {}", to_string(status.error()));
}

Alerting::~Alerting() = default;

std::int64_t Alerting::now_ms() const { return unix_base_ms_ + to_ms(runtime::boot_now().time_since_epoch()); }

void Alerting::stop() { stop_ = true; }

Status Alerting::load() {
    auto const path = parts_.directory + "/" + alert::kFileName;
    auto const text = runtime::read_file(path, 1U << 20U);
    if (!text && text.error().code != Code::not_found) return fail(text.error());
    auto parsed = alert::parse_settings(text ? *text : std::string(), alert::kFileName);
    if (!parsed.problems.empty()) {
        problem_ = config::to_string(parsed.problems);
        return fail(Code::invalid, problem_, "correct " + path + ", then pgkeel reload");
    }
    problem_.clear();
    settings_ = std::move(parsed.settings);
    std::map<std::string, std::shared_ptr<Mail>> next;
    for (auto const& channel : settings_.channels) {
        auto const known = mails_.find(channel.name);
        bool const same = known != mails_.end() && known->second->channel == channel;
        next[channel.name] = same ? known->second : std::make_shared<Mail>(channel, stop_);
    }
    mails_ = std::move(next);
    return {};
}

Status Alerting::reload() {
    auto const status = load();
    wake_.notify();
    return status;
}

Task<void> Alerting::run() {
    for (;;) {
        look();
        (void)co_await wake_.wait_for(kLookEvery);
    }
}

// ---- looking ----

void Alerting::look() {
    auto const sight = parts_.desk->look();
    if (!sight.record) return;
    auto const status = cluster::status_of(sight);
    own_ = alert::local_conditions(sight, settings_);
    if (!problem_.empty() && settings_.rule("channels").on)
        own_.push_back({"channels", sight.name, sight.name, settings_.rule("channels").severity,
                        alert::cut(sight.name + " cannot use its alerts.toml: " + problem_, alert::kTextMax)});
    bool const speaks = alert::speaks(sight, status);
    if (speaks != speaks_)
        log::debug("alert", "{}", speaks ? "speaks for the cluster now" : "speaks for the cluster no more");
    speaks_ = speaks;
    auto const look = gather(sight, status);
    if (speaks ? alert::step(book_, look, settings_) : alert::follow(book_, look.reign)) keep();
    if (look.reign.epoch != 0) planned_for_ms_ = sight.record->handover ? sight.record->handover->at_unix_ms : 0;
    tell_peers(sight);
    if (speaks) deliver();
}

Look Alerting::gather(cluster::Sight const& sight, cluster::ClusterStatus const& status) const {
    Look look;
    look.now_ms = now_ms();
    // Within an epoch the leader's book wins over that of whoever spoke before there was a leader.
    look.term = 2 * sight.record->epoch.value + (status.leader_alive ? 1 : 0);
    look.reign = alert::reign_of(sight, status, planned_for_ms_);
    look.silent = alert::silent_members(status);
    look.conditions = alert::cluster_conditions(sight, status, settings_);
    look.conditions.insert(look.conditions.end(), own_.begin(), own_.end());
    for (auto const& [id, member] : sight.record->members) {
        if (id == sight.self || member.kind != cluster::Kind::data) continue;
        auto const found = heard_.find(id);
        if (found == heard_.end() || sight.clock.now - found->second.when > kReportGood) {
            look.silent.insert(member.name);
            continue;
        }
        auto const& theirs = found->second.conditions;
        look.conditions.insert(look.conditions.end(), theirs.begin(), theirs.end());
    }
    judge_channels(status, look);
    judge_deliveries(look);
    judge_clocks(status, sight.clock.now, look);
    return look;
}

void Alerting::judge_channels(cluster::ClusterStatus const& status, Look& look) const {
    auto const& rule = settings_.rule("channels");
    auto const own = alert::channels_text(settings_.channels);
    for (auto const& member : status.members) {
        auto const found = heard_.find(member.id);
        if (!rule.on || found == heard_.end() || look.silent.contains(member.name)) continue;
        if (found->second.channels == own) continue;
        look.conditions.push_back(
            {"channels", member.name, member.name, rule.severity,
             fmt::format("{} has other channels in its alerts.toml than {}: if it came to lead, alerts would go "
                         "elsewhere (copy the file, then pgkeel reload)",
                         member.name, status.told_by)});
    }
}

void Alerting::judge_deliveries(Look& look) const {
    auto const& rule = settings_.rule("delivery");
    for (auto const& [name, mail] : mails_) {
        if (rule.on && !mail->courier.problem.empty())
            look.conditions.push_back({"delivery", name, "", rule.severity,
                                       alert::cut("channel " + name + ": " + mail->courier.problem, alert::kTextMax)});
    }
}

void Alerting::judge_clocks(cluster::ClusterStatus const& status, Instant now, Look& look) const {
    std::map<std::string, double> ahead;
    for (auto const& member : status.members) {
        auto const found = ahead_.find(member.id);
        if (found != ahead_.end() && now - found->second.when <= kReportGood)
            ahead[member.name] = found->second.seconds;
    }
    auto const off = alert::clock_conditions(status.told_by, ahead, settings_);
    look.conditions.insert(look.conditions.end(), off.begin(), off.end());
}

// ---- the other nodes ----

Task<void> Alerting::report_to(NodeId id, std::string text) {
    auto const sent = runtime::boot_now();
    auto const taken = co_await parts_.channel->call(id, kReport, text, kCallLimit);
    auto const back = runtime::boot_now();
    told_to_[id] = taken ? std::move(text) : std::string();
    telling_[id] = false;
    if (!taken) co_return;
    auto const answer = json::read<alert::Taken>(*taken);
    if (!answer || answer->unix_ms == 0) co_return;
    // It looked at its clock somewhere between the two: half way is wrong by half the time at most, that is kCallLimit.
    auto const ours = runtime::unix_ms_now() - to_ms(back - sent) / 2;
    ahead_[id] = {static_cast<double>(answer->unix_ms - ours) / 1000, back};
}

void Alerting::tell_peers(cluster::Sight const& sight) {
    alert::Report report;
    report.conditions = own_;
    report.channels = alert::channels_text(settings_.channels);
    report.has_book = speaks_;
    if (speaks_) report.book = book_;
    report.told = told_;
    auto const text = alert::encode(report);
    bool const due = sight.clock.now - reported_ >= kReportEvery;
    for (auto const& [id, member] : sight.record->members) {
        if (id == sight.self || member.kind != cluster::Kind::data) continue;
        // One that was down, or whose last one is still on the way, gets it at a later look.
        if (telling_[id] || (told_to_[id] == text && !due)) continue;
        telling_[id] = true;
        parts_.scope->spawn("alert report", [this, id, text] { return report_to(id, text); });
    }
    if (due) reported_ = sight.clock.now;
}

void Alerting::receive(NodeId const& from, alert::Report report) {
    heard_[from] = {std::move(report.conditions), std::move(report.channels), runtime::boot_now()};
    if (report.has_book && alert::is_newer(report.book, book_)) {
        // This node may have spoken for its part of a divided cluster: what it told must find an end.
        auto left = alert::told_only_in(book_, report.book);
        if (!left.empty()) told_ = std::move(left);
        book_ = std::move(report.book);
        ++adopted_;
        keep();
    }
    std::erase_if(told_, [this](alert::Alert const& mine) {
        return std::ranges::any_of(book_.alerts, [&](alert::Alert const& one) {
            return one.rule == mine.rule && one.subject == mine.subject;
        });
    });
    if (speaks_ && alert::take_over(book_, report.told)) keep();
}

Task<Result<std::string>> Alerting::answer(NodeId from, std::string method, std::string argument) {
    if (method == kReport) {
        auto report = alert::decode_report(argument);
        if (!report) co_return fail(report.error());
        receive(from, *std::move(report));
        co_return json::write(alert::Taken{runtime::unix_ms_now()});
    }
    if (method == kDo) {
        auto const request = json::read<alert::Request>(argument);
        if (!request) co_return fail(request.error());
        if (auto const status = carry_out(*request); !status) co_return fail(status.error());
        co_return std::string("{}");
    }
    co_return fail(Code::not_found, "this node does not know the call " + method);
}

// Written by one job at a time, always the newest: a disk that hangs makes no queue.
void Alerting::keep() {
    if (std::exchange(keep_again_, true) || keeping_) return;
    keeping_ = true;
    keeping_since_ = runtime::boot_now();
    parts_.scope->spawn("alert book", [this]() -> Task<void> {
        while (std::exchange(keep_again_, false)) {
            auto const path = book_file(parts_.directory);
            auto const written = co_await runtime::run_blocking(
                disk_, [path, text = alert::encode(book_)] { return runtime::write_atomically(path, text, 0600); });
            if (!written) log::warning("alert", "the book of alerts is not on disk: {}", to_string(written.error()));
        }
        keeping_ = false;
        wake_.notify();
    });
}

// ---- operators ----

alert::Listing Alerting::listing() const {
    alert::Listing out;
    auto const sight = parts_.desk->look();
    auto const status = cluster::status_of(sight);
    out.told_by = sight.name;
    out.problem = problem_;
    out.speaker = speaks_ ? sight.name : status.leader_alive ? status.leader : std::string();
    for (auto const& [name, mail] : mails_) {
        alert::ChannelState state;
        state.name = name;
        state.kind = mail->channel.kind;
        state.least = mail->channel.least;
        state.after_s = to_ms(mail->channel.after) / 1000;
        state.delivered = mail->courier.delivered;
        state.problem = mail->courier.problem;
        for (auto const& notice : book_.outbox) state.waiting += notice.open.contains(name) ? 1 : 0;
        out.channels.push_back(std::move(state));
    }
    out.alerts = book_.alerts;
    out.silences = book_.silences;
    out.dropped = book_.dropped;
    out.now_ms = now_ms();
    return out;
}

Status Alerting::carry_out(alert::Request const& request) {
    if (!speaks_)
        return fail(Code::unavailable, "this node does not speak for the cluster now",
                    "try again: a change of leader may be under way (pgkeel status)");
    Status status;
    if (request.wish == alert::Wish::acknowledge)
        status = alert::acknowledge(book_, request.alert, request.who);
    else if (request.wish == alert::Wish::end_silence)
        status = alert::end_silence(book_, request.alert);
    else
        status =
            alert::silence(book_, {request.alert, now_ms() + request.for_s * 1000, request.who, request.why}, now_ms());
    if (!status) return status;
    log::info("alert", "{} of {}, by {}", boost::describe::enum_to_string(request.wish, "?"), request.alert,
              request.who);
    keep();
    wake_.notify();
    return {};
}

Task<Status> Alerting::ask(alert::Request request) {
    if (request.for_s < 0 || request.for_s > 365 * 86'400)
        co_return fail(Code::invalid, "a silence of more than a year", "--for 2h");
    if (speaks_) co_return carry_out(request);
    auto const sight = parts_.desk->look();
    auto const status = cluster::status_of(sight);
    if (!sight.record || !status.leader_alive)
        co_return fail(Code::unavailable, "nobody leads, so nobody keeps the book of alerts for all",
                       "ask again when pgkeel status shows a leader");
    auto const answered = co_await parts_.channel->call(sight.record->leader, kDo, json::write(request), kCallLimit);
    if (!answered) co_return fail(answered.error());
    co_return Status{};
}

}  // namespace keel::agent
