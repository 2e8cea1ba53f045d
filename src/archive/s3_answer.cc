#include "archive/s3_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace keel::archive {

namespace {

constexpr std::string_view kScheme = "s3://";

std::string_view trim(std::string_view text) {
    constexpr std::string_view kSpaces = " \t\r\n";
    auto const first = text.find_first_not_of(kSpaces);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

std::string unescape(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, char>, 5> kNamed = {
        {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
    std::string out;
    while (!text.empty()) {
        std::size_t taken = 1;
        char c = text.front();
        for (auto const& [name, meaning] : kNamed) {
            if (!text.starts_with(name)) continue;
            taken = name.size();
            c = meaning;
        }
        auto const end = text.find(';');
        if (text.starts_with("&#") && end != std::string_view::npos) {
            bool const hex = text.size() > 2 && text[2] == 'x';
            unsigned code = 0;
            auto const* const first = text.data() + (hex ? 3 : 2);
            auto const read = std::from_chars(first, text.data() + end, code, hex ? 16 : 10);
            if (read.ec == std::errc() && read.ptr == text.data() + end && code < 128) {
                taken = end + 1;
                c = static_cast<char>(code);
            }
        }
        out += c;
        text.remove_prefix(taken);
    }
    return out;
}

// Letters, digits and what else the naming rules allow: nothing that would mean something in a URL.
bool is_bucket(std::string_view name) {
    return name.size() >= 3 && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                      (c >= 'A' && c <= 'Z') || c == '_';
           });
}

// What is known by the name of the error; the names are the same at all makers of servers, the statuses are not.
struct Known {
    std::string_view name;
    Code code;
    char const* text;
    char const* mend;
};
constexpr char const* kKeyFile = "the file that backup.s3_credentials_file names";
constexpr std::array kKnown = {
    Known{"NoSuchKey", Code::not_found, "there is no such object", ""},
    Known{"NoSuchUpload", Code::not_found, "there is no such upload", ""},
    Known{"NoSuchBucket", Code::invalid, "the bucket does not exist",
          "create it, or correct the bucket's name in backup.repository; a bucket is never made by pgkeel"},
    Known{"InvalidBucketName", Code::invalid, "the bucket's name is not allowed", "correct it in backup.repository"},
    Known{"InvalidAccessKeyId", Code::denied, "the server does not know the access key",
          "correct aws_access_key_id in the file that backup.s3_credentials_file names"},
    Known{"SignatureDoesNotMatch", Code::denied, "the secret key does not fit the access key",
          "correct aws_access_key_id and aws_secret_access_key in the file that backup.s3_credentials_file names"},
    Known{"InvalidToken", Code::denied, "the session token is not valid",
          "renew the key in the file that backup.s3_credentials_file names"},
    Known{"ExpiredToken", Code::denied, "the session token has expired",
          "renew the key in the file that backup.s3_credentials_file names"},
    Known{"AccessDenied", Code::denied, "the key has no permission",
          "allow it to list the bucket, and to get, put and delete objects in it; a key or bucket that does not "
          "exist gives the same answer on some servers"},
    Known{"QuotaExceeded", Code::exhausted, "the quota is used up", "raise the quota, or remove old backups"},
    Known{"EntityTooLarge", Code::exhausted, "the server takes no more: its quota is used up",
          "raise the quota, or remove old backups"},
    Known{"InsufficientStorage", Code::exhausted, "the server is full", "give it more disks, or remove old backups"},
    Known{"XMinioStorageFull", Code::exhausted, "the server is full", "give it more disks, or remove old backups"},
    Known{"PreconditionFailed", Code::conflict, "there is an object of this name already", ""},
    Known{"NotImplemented", Code::invalid, "the server cannot do this", ""},
    Known{"BadDigest", Code::unavailable, "the bytes did not arrive as they were sent", ""},
    Known{"RequestTimeout", Code::unavailable, "the server waited too long for our bytes", ""},
    Known{"SlowDown", Code::unavailable, "the server wants fewer requests", ""},
    Known{"ConditionalRequestConflict", Code::unavailable, "somebody else writes the same object", ""},
    Known{"OperationAborted", Code::unavailable, "somebody else changes the same object", ""},
};

bool region_is_wrong(long status, std::string_view name) {
    return status == 301 || status == 307 || name == "AuthorizationHeaderMalformed" ||
           name == "IllegalLocationConstraintException" || name == "PermanentRedirect" ||
           name == "AuthorizationQueryParametersError";
}

}  // namespace

bool is_s3(std::string_view repository) { return repository.starts_with(kScheme); }

Result<S3Address> parse_s3_address(std::string_view repository) {
    auto const bad = [&](char const* why) {
        return fail(Code::invalid, fmt::format("\"{}\" {}", repository, why), "write s3://bucket/prefix");
    };
    if (!is_s3(repository)) return bad("is no address of a bucket");
    auto const rest = repository.substr(kScheme.size());
    auto const slash = std::min(rest.find('/'), rest.size());
    S3Address out{std::string(rest.substr(0, slash)), std::string(rest.substr(std::min(slash + 1, rest.size())))};
    if (!is_bucket(out.bucket)) return bad("names no bucket");
    while (out.prefix.ends_with('/')) out.prefix.pop_back();
    if (out.prefix.starts_with('/') || out.prefix.contains("//")) return bad("has an empty part in its prefix");
    if (std::ranges::any_of(out.prefix, [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }))
        return bad("has spaces or other than ASCII in its prefix");
    if (!out.prefix.empty()) out.prefix += '/';
    return out;
}

Result<S3Endpoint> parse_s3_endpoint(std::string_view url) {
    auto const at = url.find("://");
    S3Endpoint out;
    if (at != std::string_view::npos) {
        out.scheme = url.substr(0, at);
        url.remove_prefix(at + 3);
        if (url.ends_with('/')) url.remove_suffix(1);
        out.host = url;
    }
    bool const good = (out.scheme == "http" || out.scheme == "https") && !out.host.empty() &&
                      std::ranges::all_of(out.host, [](unsigned char c) {
                          return c > 0x20 && c < 0x7f && c != '/' && c != '?' && c != '#' && c != '@';
                      });
    if (!good) return fail(Code::invalid, "the endpoint of the object store is no URL", "write https://host:port");
    // The ports that go without saying are not in the header Host either.
    auto const usual = out.scheme == "https" ? ":443" : ":80";
    if (out.host.ends_with(usual)) out.host.resize(out.host.size() - std::string_view(usual).size());
    return out;
}

Result<S3Key> parse_s3_key(std::string_view text) {
    S3Key out;
    bool counts = true;
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        auto const line = trim(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.starts_with('[')) counts = line == "[default]";
        auto const equals = line.find('=');
        if (!counts || line.empty() || line.starts_with('#') || equals == std::string_view::npos) continue;
        auto const name = trim(line.substr(0, equals));
        auto const value = std::string(trim(line.substr(equals + 1)));
        if (name == "aws_access_key_id") out.id = value;
        if (name == "aws_secret_access_key") out.secret = Secret(value);
        if (name == "aws_session_token") out.session_token = value;
    }
    auto const visible = [](std::string const& word) {
        return std::ranges::all_of(word, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
    };
    if (out.id.empty() || out.secret.empty() || !visible(out.id) || !visible(out.session_token))
        return fail(Code::invalid, std::string("there is no key in ") + kKeyFile,
                    "it has the lines aws_access_key_id = ... and aws_secret_access_key = ...");
    return out;
}

std::vector<std::string> xml_elements(std::string_view xml, std::string_view name) {
    std::vector<std::string> out;
    auto const closing = fmt::format("</{}>", name);
    for (auto at = xml.find('<'); at != std::string_view::npos; at = xml.find('<', at)) {
        xml.remove_prefix(at + 1);
        at = 0;
        if (!xml.starts_with(name) || xml.size() == name.size()) continue;
        char const behind = xml[name.size()];
        if (behind != '>' && behind != ' ' && behind != '/') continue;
        auto const open = xml.find('>');
        if (open == std::string_view::npos) break;
        if (xml[open - 1] == '/') {
            out.emplace_back();
            continue;
        }
        auto const end = xml.find(closing, open);
        if (end == std::string_view::npos) break;
        auto const inner = xml.substr(open + 1, end - open - 1);
        out.push_back(inner.contains('<') ? std::string(inner) : unescape(inner));
        xml.remove_prefix(end + closing.size());
    }
    return out;
}

std::string xml_text(std::string_view xml, std::string_view name) {
    auto all = xml_elements(xml, name);
    return all.empty() ? std::string() : std::move(all.front());
}

Result<S3List> parse_s3_list(std::string_view xml) {
    auto const lists = xml_elements(xml, "ListBucketResult");
    if (lists.size() != 1) return fail(Code::corrupt, "the object store's list cannot be read");
    auto const& list = lists[0];
    S3List out;
    for (auto const& one : xml_elements(list, "Contents")) {
        out.names.push_back(xml_text(one, "Key"));
        if (out.names.back().empty()) return fail(Code::corrupt, "the object store lists an object without a name");
    }
    for (auto const& one : xml_elements(list, "CommonPrefixes")) out.folders.push_back(xml_text(one, "Prefix"));
    auto const more = xml_text(list, "IsTruncated");
    out.next = xml_text(list, "NextContinuationToken");
    // A list that is cut off would look like objects that are not there.
    if ((more != "true" && more != "false") || (more == "true") == out.next.empty())
        return fail(Code::corrupt, "the object store does not say whether its list is whole");
    return out;
}

Result<std::vector<S3Unfinished>> parse_s3_uploads(std::string_view xml) {
    auto const lists = xml_elements(xml, "ListMultipartUploadsResult");
    if (lists.size() != 1) return fail(Code::corrupt, "the object store's list of uploads cannot be read");
    std::vector<S3Unfinished> out;
    for (auto const& one : xml_elements(lists[0], "Upload"))
        out.push_back({xml_text(one, "Key"), xml_text(one, "UploadId")});
    return out;
}

std::string complete_text(std::vector<std::string> const& tags) {
    std::string out = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (std::size_t i = 0; i < tags.size(); ++i)
        out += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, tags[i]);
    return out + "</CompleteMultipartUpload>";
}

Error judge_s3(long status, std::string_view body, S3Context const& context) {
    auto const name = xml_text(body, "Code");
    Error out{Code::invalid, fmt::format("the object store answered HTTP {}", status)};
    if (status == 429 || (status >= 500 && status != 501 && status != 507)) {
        out.code = Code::unavailable;
        out.outcome = Outcome::unknown;
    }
    if (status == 507) out = {Code::exhausted, "the server is full", "give it more disks, or remove old backups"};
    if (status == 404 && name.empty())
        out = {Code::invalid, "there is no S3 at this endpoint, or no such bucket",
               "correct backup.s3_endpoint and the bucket in backup.repository"};
    if (status == 403 && name.empty()) out = {Code::denied, "the server refuses the key", ""};
    if (status == 412) out = {Code::conflict, "there is an object of this name already"};
    for (auto const& one : kKnown)
        if (one.name == name) out = {one.code, one.text, one.mend};
    if (name == "RequestTimeTooSkewed" || name == "RequestExpired") {
        out = {Code::denied,
               fmt::format("this machine's clock and the server's are too far apart: ours said {}, the server's {}",
                           context.our_date, context.server_date),
               "set the clock (an NTP service keeps it right)"};
    } else if (region_is_wrong(status, name)) {
        auto wanted = xml_text(body, "Region");
        if (wanted.empty()) wanted = context.bucket_region;
        out = {Code::invalid, fmt::format("\"{}\" is not the bucket's region", context.region),
               wanted.empty() ? "set backup.s3_region, and perhaps backup.s3_endpoint, to the bucket's"
                              : fmt::format("backup.s3_region = \"{}\"", wanted)};
    }
    auto const said = xml_text(body, "Message");
    if (!name.empty() && out.code != Code::not_found)
        out.text += fmt::format(" ({}{}{})", name, said.empty() ? "" : ": ", said.substr(0, 300));
    return std::move(out).in(context.what);
}

bool may_pass(Error const& error) { return error.code == Code::unavailable || error.code == Code::timeout; }

}  // namespace keel::archive
