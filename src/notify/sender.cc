#include "notify/sender.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <mutex>

#include "runtime/files.h"

namespace keel::notify {

namespace {

using alert::Channel;
using alert::Kind;
using alert::Verdict;

constexpr long kConnectMs = 5'000;
constexpr long kWholeMs = 20'000;
constexpr std::size_t kAnswerBytes = 64U << 10U;
constexpr std::size_t kSecretBytes = 8192;

struct SlistFree {
    void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using Texts = std::unique_ptr<curl_slist, SlistFree>;

void append(Texts& list, std::string const& text) { list.reset(::curl_slist_append(list.release(), text.c_str())); }

Verdict failed(std::string text) {
    Verdict out;
    out.text = std::move(text);
    return out;
}

std::string without(std::string text, Secret const& secret) {
    auto const& hidden = secret.reveal();
    if (hidden.empty()) return text;
    for (auto at = text.find(hidden); at != std::string::npos; at = text.find(hidden, at))
        text.replace(at, hidden.size(), "***");
    return text;
}

// api/v2/alerts below the address of an Alertmanager, which may have a path of its own.
std::string alertmanager_url(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url + "/api/v2/alerts";
}

std::string telegram_url(std::string url, Secret const& token) {
    while (url.ends_with('/')) url.pop_back();
    return url + "/bot" + token.reveal() + "/sendMessage";
}

// A token is part of a path, a header one line: nothing in them may begin another.
bool is_one_word(std::string const& text) {
    for (char const c : text)
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '/' || c == '?' || c == '#') return false;
    return !text.empty();
}

}  // namespace

Result<Secret> read_secret(std::string const& path) {
    if (path.empty()) return Secret{};
    KEEL_TRY(auto text, runtime::read_private_file(path, kSecretBytes));
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    if (text.empty()) return fail(Code::invalid, path + ": its first line is empty", "write the secret into it");
    return Secret(std::move(text));
}

struct Sender::Handle {
    CURL* curl = ::curl_easy_init();
    std::atomic<bool> const& stop;
    std::array<char, CURL_ERROR_SIZE> problem{};
    std::string answer;
    std::string retry_after;
    std::string_view upload;

    explicit Handle(std::atomic<bool> const& flag) : stop(flag) {}
    ~Handle() { ::curl_easy_cleanup(curl); }

    static std::size_t on_bytes(char* bytes, std::size_t, std::size_t count, void* self) {
        auto& handle = *static_cast<Handle*>(self);
        // What is too long is read to its end, and forgotten.
        if (handle.answer.size() < kAnswerBytes) handle.answer.append(bytes, count);
        return count;
    }
    static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
        std::string_view line(bytes, count);
        constexpr std::string_view kName = "retry-after:";
        if (line.size() > kName.size() && ::strncasecmp(line.data(), kName.data(), kName.size()) == 0) {
            line.remove_prefix(kName.size());
            while (line.starts_with(' ')) line.remove_prefix(1);
            while (!line.empty() && static_cast<unsigned char>(line.back()) <= 0x20) line.remove_suffix(1);
            static_cast<Handle*>(self)->retry_after = line;
        }
        return count;
    }
    static std::size_t on_upload(char* room, std::size_t size, std::size_t count, void* self) {
        auto& rest = static_cast<Handle*>(self)->upload;
        auto const taken = std::min(rest.size(), size * count);
        std::memcpy(room, rest.data(), taken);
        rest.remove_prefix(taken);
        return taken;
    }
    static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        return static_cast<Handle*>(self)->stop ? 1 : 0;
    }

    template <class Value>
    void set(CURLoption option, Value value) {
        ::curl_easy_setopt(curl, option, value);
    }

    void prepare(std::string const& url, Channel const& channel) {
        ::curl_easy_reset(curl);
        answer.clear();
        retry_after.clear();
        problem[0] = '\0';
        set(CURLOPT_URL, url.c_str());
        set(CURLOPT_PROTOCOLS_STR, channel.kind == Kind::email ? "smtp,smtps" : "http,https");
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
        set(CURLOPT_TIMEOUT_MS, kWholeMs);
        // Each delivery alone: a connection that died meanwhile would make libcurl send it twice.
        set(CURLOPT_FRESH_CONNECT, 1L);
        set(CURLOPT_FORBID_REUSE, 1L);
        set(CURLOPT_ERRORBUFFER, problem.data());
        set(CURLOPT_WRITEFUNCTION, &Handle::on_bytes);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, &Handle::on_progress);
        set(CURLOPT_XFERINFODATA, this);
        if (!channel.ca_file.empty()) set(CURLOPT_CAINFO, channel.ca_file.c_str());
    }

    // Empty: an answer came, whatever it says.
    std::string perform() {
        auto const code = ::curl_easy_perform(curl);
        if (code == CURLE_OK) return {};
        return problem[0] != '\0' ? problem.data() : ::curl_easy_strerror(code);
    }

    Verdict post(Channel const& channel, std::string const& url, std::string const& body, Secret const& header) {
        prepare(url, channel);
        Texts headers;
        append(headers, "Content-Type: application/json");
        append(headers, "Expect:");
        if (!header.empty()) append(headers, header.reveal());
        set(CURLOPT_HTTPHEADER, headers.get());
        set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
        set(CURLOPT_POSTFIELDS, body.c_str());
        set(CURLOPT_HEADERFUNCTION, &Handle::on_header);
        set(CURLOPT_HEADERDATA, this);
        if (auto const why = perform(); !why.empty()) return failed(why);
        long status = 0;
        ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        return channel.kind == Kind::telegram ? alert::judge_telegram(status, answer)
                                              : alert::judge_http(status, retry_after);
    }

    Verdict mail(Channel const& channel, std::string const& message, Secret const& password) {
        prepare(channel.url, channel);
        Texts receivers;
        for (auto const& to : channel.to) append(receivers, "<" + to + ">");
        auto const from = "<" + channel.from + ">";
        set(CURLOPT_MAIL_FROM, from.c_str());
        set(CURLOPT_MAIL_RCPT, receivers.get());
        set(CURLOPT_USE_SSL, static_cast<long>(channel.plain ? CURLUSESSL_NONE : CURLUSESSL_ALL));
        if (!channel.user.empty()) {
            set(CURLOPT_USERNAME, channel.user.c_str());
            set(CURLOPT_PASSWORD, password.reveal().c_str());
        }
        upload = message;
        set(CURLOPT_UPLOAD, 1L);
        set(CURLOPT_READFUNCTION, &Handle::on_upload);
        set(CURLOPT_READDATA, this);
        auto const why = perform();
        long status = 0;
        ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        Verdict out;
        out.delivered = why.empty();
        // RFC 5321, 4.2.3: the content itself is not taken.
        out.refused = !out.delivered && (status == 552 || status == 554);
        if (!out.delivered) out.text = status >= 400 ? fmt::format("{} (SMTP {})", why, status) : why;
        return out;
    }
};

Sender::Sender(std::atomic<bool> const& stop) {
    static std::once_flag once;
    std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_ = std::make_unique<Handle>(stop);
}

Sender::~Sender() = default;

Verdict Sender::send(Channel const& channel, alert::Parcel const& parcel, std::vector<alert::Alert> const& active) {
    auto const secret = read_secret(channel.secret_file);
    if (!secret) return failed(to_string(secret.error()));
    Verdict out;
    switch (channel.kind) {
        case Kind::telegram:
            if (!is_one_word(secret->reveal())) return failed(channel.secret_file + ": its first line is no bot token");
            out = handle_->post(channel, telegram_url(channel.url, *secret), alert::telegram_body(parcel, channel), {});
            break;
        case Kind::webhook:
            out = handle_->post(channel, channel.url, alert::webhook_body(parcel), *secret);
            break;
        case Kind::alertmanager:
            out = handle_->post(channel, alertmanager_url(channel.url), alert::alertmanager_body(parcel, active),
                                *secret);
            break;
        case Kind::email:
            out = handle_->mail(channel, alert::email_message(parcel, channel), *secret);
            break;
        case Kind::command:
            return failed("a command is not sent over the network");
    }
    out.text = without(std::move(out.text), *secret);
    return out;
}

}  // namespace keel::notify
