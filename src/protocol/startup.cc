#include "protocol/startup.h"

namespace keel::protocol {

namespace {

constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssCode = 80877104;
constexpr std::size_t kKeyMax = 256;

void append_u32(std::string& out, std::uint32_t value) {
    for (unsigned shift = 32; shift > 0; shift -= 8) out += static_cast<char>(value >> (shift - 8U));
}

First parse_parameters(std::uint32_t version, std::string_view body) {
    Startup out;
    out.major = static_cast<std::uint16_t>(version >> 16U);
    out.minor = static_cast<std::uint16_t>(version & 0xffffU);
    // Other versions lay out what follows in ways of their own.
    if (out.major != kMajor) return out;
    Reader reader(body);
    for (;;) {
        auto const name = reader.text();
        if (!reader.good()) return Malformed{"invalid startup packet layout: expected terminator as last byte"};
        if (name.empty()) break;
        auto const value = reader.text();
        if (!reader.good()) return Malformed{"invalid startup packet layout: a parameter without a value"};
        out.parameters.emplace_back(name, value);
    }
    if (!reader.at_end()) return Malformed{"invalid startup packet layout: expected terminator as last byte"};
    return out;
}

}  // namespace

std::string_view Startup::find(std::string_view name) const {
    std::string_view out;
    for (auto const& [key, value] : parameters) {
        if (key == name) out = value;
    }
    return out;
}

FirstPacket parse_first(std::string_view in) {
    if (in.size() < 4) return {NeedMore{}, 0};
    std::size_t const length = read_u32(in.data());
    if (length < 8 || length > kStartupMax) return {Malformed{"invalid length of startup packet"}, 0};
    if (in.size() < length) return {NeedMore{}, 0};
    auto const code = read_u32(in.data() + 4);
    auto const body = in.substr(8, length - 8);
    if (code == kSslCode && body.empty()) return {SslRequest{}, length};
    if (code == kGssCode && body.empty()) return {GssRequest{}, length};
    if (code == kCancelCode) {
        if (body.size() < 8 || body.size() > 4 + kKeyMax) return {Malformed{"invalid length of cancel request"}, 0};
        return {Cancel{read_u32(body.data()), std::string(body.substr(4))}, length};
    }
    return {parse_parameters(code, body), length};
}

void write_ssl_request(std::string& out) {
    append_u32(out, 8);
    append_u32(out, kSslCode);
}

void write_cancel(std::string& out, std::uint32_t process, std::string_view key) {
    append_u32(out, static_cast<std::uint32_t>(12 + key.size()));
    append_u32(out, kCancelCode);
    append_u32(out, process);
    out += key;
}

void write_startup(std::string& out, std::vector<std::pair<std::string_view, std::string_view>> const& parameters) {
    std::string body;
    append_u32(body, std::uint32_t{kMajor} << 16U);
    for (auto const& [name, value] : parameters) body.append(name).append(1, '\0').append(value).append(1, '\0');
    body += '\0';
    append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    out += body;
}

bool parse_options(std::string_view text, std::vector<std::pair<std::string, std::string>>& out) {
    // pg_split_opts: white space separates, a backslash takes the next character as it is.
    std::vector<std::string> words;
    bool inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        bool const space = text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r');
        if (space) {
            inside = false;
            continue;
        }
        if (!inside) words.emplace_back();
        inside = true;
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        words.back() += text[i];
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view word = words[i];
        if (word == "-c" && i + 1 < words.size())
            word = words[++i];
        else if (word.starts_with("-c") || word.starts_with("--"))
            word.remove_prefix(2);
        else
            return false;
        auto const equals = word.find('=');
        if (equals == std::string_view::npos || equals == 0) return false;
        std::string name(word.substr(0, equals));
        for (char& c : name) {
            if (c == '-') c = '_';
        }
        out.emplace_back(std::move(name), word.substr(equals + 1));
    }
    return true;
}

}  // namespace keel::protocol
