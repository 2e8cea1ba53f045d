#include "alert/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/json.h"
#include "base/utf8.h"
#include "cluster/status.h"

namespace keel::alert {

namespace {

constexpr std::size_t kTelegramMax = 3800;  // of 4096 characters
constexpr std::int64_t kAlertmanagerKeepsMs = 300'000;
constexpr Duration kRetryAfterMost = std::chrono::hours(1);

char const* severity_text(Severity severity) { return boost::describe::enum_to_string(severity, "?"); }

std::string rfc3339(std::int64_t unix_ms) {
    auto text = cluster::utc_text(unix_ms);
    std::ranges::replace(text, ' ', 'T');
    return text;
}

std::string span_text(std::int64_t ms) {
    auto const seconds = std::max<std::int64_t>(0, ms) / 1000;
    if (seconds < 120) return fmt::format("{} s", seconds);
    if (seconds < 7200) return fmt::format("{} min", seconds / 60);
    if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
    return fmt::format("{} days", seconds / 86'400);
}

std::string line_text(Line const& line, std::int64_t now_ms) {
    auto const name = name_of(line.rule, line.subject);
    switch (line.word) {
        case Word::resolved:
            return fmt::format("RESOLVED after {}: {}: {}", span_text(line.ended_ms - line.since_ms), name, line.text);
        case Word::still:
            return fmt::format("STILL {} since {}: {}: {}", severity_text(line.severity),
                               span_text(now_ms - line.since_ms), name, line.text);
        case Word::escalated:
            return fmt::format("NOBODY HAS ACKNOWLEDGED for {}: {}: {}: {}", span_text(now_ms - line.since_ms),
                               severity_text(line.severity), name, line.text);
        case Word::worse:
            return fmt::format("NOW {}: {}: {}", severity_text(line.severity), name, line.text);
        case Word::firing:
            break;
    }
    return fmt::format("{}: {}: {}", line.severity == Severity::critical ? "CRITICAL" : severity_text(line.severity),
                       name, line.text);
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t group = 0;
        auto const have = std::min<std::size_t>(3, bytes.size() - at);
        for (std::size_t i = 0; i < 3; ++i)
            group = (group << 8U) | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0U);
        for (std::size_t i = 0; i < 4; ++i) out += i <= have ? kDigits[(group >> (18 - 6 * i)) & 63U] : '=';
    }
    return out;
}

// RFC 2047: what is not plain ASCII goes in encoded words of at most 75 characters, whole characters in each.
std::string header_text(std::string const& text) {
    bool const plain = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (plain && text.size() < 200) return text;
    std::string out;
    constexpr std::size_t kPiece = 42;
    for (std::size_t at = 0; at < text.size();) {
        auto const end = std::max(at + 1, cut_between_characters(text, std::min(text.size(), at + kPiece)));
        out += fmt::format("{}=?UTF-8?B?{}?=", out.empty() ? "" : "\r\n ", base64(text.substr(at, end - at)));
        at = end;
    }
    return out;
}

std::string mail_date(std::int64_t unix_ms) {
    using namespace std::chrono;
    constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    sys_seconds const moment{seconds(unix_ms / 1000)};
    auto const day = floor<days>(moment);
    year_month_day const date{day};
    hh_mm_ss const time{moment - day};
    return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000", kDays[weekday(day).c_encoding()],
                       static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                       static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                       time.seconds().count());
}

// One line of text: a name with a newline in it must not become two lines, nor a header.
std::string one_line(std::string text) {
    for (auto& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return text;
}

boost::json::object line_json(Line const& line) {
    return {{"rule", line.rule},
            {"subject", line.subject},
            {"node", line.node},
            {"severity", severity_text(line.severity)},
            {"state", line.word == Word::resolved ? "resolved" : "firing"},
            {"change", boost::describe::enum_to_string(line.word, "?")},
            {"text", line.text},
            {"since", rfc3339(line.since_ms)},
            {"ended", line.ended_ms == 0 ? boost::json::value(nullptr) : boost::json::value(rfc3339(line.ended_ms))}};
}

boost::json::object labels(Parcel const& parcel, std::string const& rule, std::string const& subject,
                           std::string const& node, Severity severity) {
    boost::json::object out{
        {"alertname", "pgkeel_" + rule}, {"cluster", parcel.cluster}, {"severity", severity_text(severity)}};
    if (!subject.empty()) out["subject"] = subject;
    if (!node.empty()) out["node"] = node;
    return out;
}

boost::json::object for_alertmanager(boost::json::object labels, std::string const& text, std::int64_t from_ms,
                                     std::int64_t until_ms) {
    boost::json::object out;
    out["labels"] = std::move(labels);
    out["annotations"] = boost::json::object{{"summary", text}};
    out["startsAt"] = rfc3339(from_ms);
    out["endsAt"] = rfc3339(until_ms);
    return out;
}

}  // namespace

std::string subject_of(Parcel const& parcel) {
    if (parcel.test) return parcel.cluster + ": test of this channel";
    if (parcel.lines.size() == 1 && parcel.more == 0) {
        auto const& line = parcel.lines.front();
        return one_line(fmt::format("{}: {}{} ({}): {}", parcel.cluster,
                                    line.word == Word::resolved ? "resolved: " : "", name_of(line.rule, line.subject),
                                    severity_text(line.severity), cut(line.text, 120)));
    }
    auto const resolved = std::ranges::count_if(parcel.lines, [](Line const& l) { return l.word == Word::resolved; });
    auto const firing = static_cast<std::ptrdiff_t>(parcel.lines.size() + parcel.more) - resolved;
    return one_line(
        fmt::format("{}: {} alert{}, {} resolved", parcel.cluster, firing, firing == 1 ? "" : "s", resolved));
}

std::string text_of(Parcel const& parcel) {
    if (parcel.test)
        return fmt::format("This is a test of pgkeel's alerts from cluster {}. Nothing has happened.\n",
                           parcel.cluster);
    std::string out = fmt::format("Cluster {}\n", one_line(parcel.cluster));
    for (auto const& line : parcel.lines) out += one_line(line_text(line, parcel.now_ms)) + "\n";
    if (parcel.more > 0) out += fmt::format("and {} more: pgkeel alert list\n", parcel.more);
    if (parcel.dropped > 0)
        out += fmt::format("({} older notices were dropped: nobody took them in time)\n", parcel.dropped);
    return out;
}

std::string id_of(Parcel const& parcel) {
    if (parcel.test) return fmt::format("{}-test-{}", parcel.cluster_id, parcel.now_ms);
    return parcel.numbers.size() == 1
               ? fmt::format("{}-{}", parcel.cluster_id, parcel.numbers.front())
               : fmt::format("{}-{}-{}", parcel.cluster_id, parcel.numbers.front(), parcel.numbers.back());
}

// Without parse_mode: no character of a name has a meaning.
std::string telegram_body(Parcel const& parcel, Channel const& channel) {
    boost::json::object body{
        {"chat_id", channel.chat}, {"text", cut(text_of(parcel), kTelegramMax)}, {"disable_web_page_preview", true}};
    return boost::json::serialize(body);
}

std::string webhook_body(Parcel const& parcel) {
    boost::json::array lines;
    for (auto const& line : parcel.lines) lines.push_back(line_json(line));
    boost::json::object body{{"version", 1},
                             {"id", id_of(parcel)},
                             {"cluster", parcel.cluster},
                             {"cluster_id", parcel.cluster_id},
                             {"test", parcel.test},
                             {"subject", subject_of(parcel)},
                             {"text", text_of(parcel)},
                             {"more", parcel.more},
                             {"dropped", parcel.dropped}};
    body["alerts"] = std::move(lines);
    return boost::json::serialize(body);
}

std::string email_message(Parcel const& parcel, Channel const& channel) {
    std::string out = fmt::format(
        "Date: {}\r\nFrom: <{}>\r\nTo: <{}>\r\nSubject: {}\r\nMessage-ID: <{}@pgkeel>\r\nAuto-Submitted: auto-generated"
        "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        mail_date(parcel.now_ms), channel.from, fmt::join(channel.to, ">, <"), header_text(subject_of(parcel)),
        id_of(parcel));
    std::string text;
    for (char const c : text_of(parcel)) {
        if (c == '\n') text += '\r';
        text += c;
    }
    auto const coded = base64(text);
    for (std::size_t at = 0; at < coded.size(); at += 76) out += coded.substr(at, 76) + "\r\n";
    return out;
}

std::string alertmanager_body(Parcel const& parcel, std::vector<Alert> const& active) {
    boost::json::array out;
    if (parcel.test)
        out.push_back(for_alertmanager(labels(parcel, "test", "", "", Severity::info), text_of(parcel), parcel.now_ms,
                                       parcel.now_ms + 60'000));
    for (auto const& line : parcel.lines) {
        if (line.word == Word::resolved)
            out.push_back(for_alertmanager(labels(parcel, line.rule, line.subject, line.node, line.severity), line.text,
                                           line.since_ms, std::max(line.ended_ms, line.since_ms + 1)));
    }
    for (auto const& alert : active)
        out.push_back(for_alertmanager(labels(parcel, alert.rule, alert.subject, alert.node, alert.severity),
                                       alert.text, alert.since_ms, parcel.now_ms + kAlertmanagerKeepsMs));
    return boost::json::serialize(out);
}

Verdict judge_http(long status, std::string_view retry_after) {
    Verdict out;
    out.delivered = status >= 200 && status < 300;
    if (out.delivered) return out;
    out.text = fmt::format("it answered HTTP {}", status);
    out.refused = status == 400 || status == 413 || status == 422;
    std::int64_t seconds = 0;
    auto const [end, error] = std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
    if (error == std::errc{} && end != retry_after.data() && seconds > 0)
        out.retry_after = seconds < 3600 ? Duration(std::chrono::seconds(seconds)) : kRetryAfterMost;
    return out;
}

Verdict judge_telegram(long status, std::string_view body) {
    Verdict out = judge_http(status, {});
    auto const tree = json::parse(body);
    if (!tree || !tree->is_object()) {
        if (out.delivered) {
            out.delivered = false;
            out.text = "what answered is no Bot API";
        }
        return out;
    }
    auto const& object = tree->get_object();
    auto const* ok = object.if_contains("ok");
    if (out.delivered && (ok == nullptr || !ok->is_bool() || !ok->get_bool())) {
        out.delivered = false;
        out.text = "what answered is no Bot API";
    }
    if (out.delivered) return out;
    if (auto const* said = object.if_contains("description"); said != nullptr && said->is_string())
        out.text += ": " + cut(one_line(std::string(said->get_string())), 200);
    auto const* parameters = object.if_contains("parameters");
    auto const* after = parameters != nullptr && parameters->is_object()
                            ? parameters->get_object().if_contains("retry_after")
                            : nullptr;
    if (after != nullptr && after->is_int64() && after->get_int64() > 0)
        out.retry_after =
            after->get_int64() < 3600 ? Duration(std::chrono::seconds(after->get_int64())) : kRetryAfterMost;
    return out;
}

}  // namespace keel::alert
