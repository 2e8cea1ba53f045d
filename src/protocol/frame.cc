#include "protocol/frame.h"

namespace keel::protocol {

Head peek_head(std::string_view in, std::size_t body_max) {
    Head head;
    if (in.empty()) return head;
    head.type = in[0];
    if (in.size() < kHead) return head;
    std::size_t const length = read_u32(in.data() + 1);
    if (length < 4 || length - 4 > body_max) {
        head.kind = Head::Kind::malformed;
        return head;
    }
    head.kind = Head::Kind::message;
    head.size = length + 1;
    return head;
}

std::size_t peek_run(Head const& first, std::string_view in) {
    std::size_t size = first.size;
    while (size < in.size()) {
        auto const next = peek_head(in.substr(size));
        if (next.kind != Head::Kind::message || next.type != first.type) break;
        size += next.size;
    }
    return size;
}

bool Reader::take(std::size_t count) {
    if (good_ && rest_.size() >= count) return true;
    good_ = false;
    rest_ = {};
    return false;
}

std::string_view Reader::text() {
    auto const end = rest_.find('\0');
    if (end == std::string_view::npos) {
        good_ = false;
        rest_ = {};
        return {};
    }
    auto const out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return out;
}

std::uint8_t Reader::u8() {
    if (!take(1)) return 0;
    auto const out = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return out;
}

std::uint16_t Reader::u16() {
    if (!take(2)) return 0;
    auto const out = read_u16(rest_.data());
    rest_.remove_prefix(2);
    return out;
}

std::uint32_t Reader::u32() {
    if (!take(4)) return 0;
    auto const out = read_u32(rest_.data());
    rest_.remove_prefix(4);
    return out;
}

std::string_view Reader::bytes(std::size_t count) {
    if (!take(count)) return {};
    auto const out = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return out;
}

Message::Message(std::string& out, char type) : out_(out), begin_(out.size()) {
    out_ += type;
    out_.append(4, '\0');
}

Message::~Message() {
    auto const length = static_cast<std::uint32_t>(out_.size() - begin_ - 1);
    for (unsigned i = 0; i < 4; ++i) out_[begin_ + 1 + i] = static_cast<char>(length >> (24U - 8U * i));
}

Message& Message::u8(std::uint8_t value) {
    out_ += static_cast<char>(value);
    return *this;
}

Message& Message::u16(std::uint16_t value) {
    out_ += static_cast<char>(value >> 8U);
    out_ += static_cast<char>(value);
    return *this;
}

Message& Message::u32(std::uint32_t value) {
    for (unsigned shift = 32; shift > 0; shift -= 8) out_ += static_cast<char>(value >> (shift - 8U));
    return *this;
}

Message& Message::text(std::string_view value) {
    out_ += value.substr(0, value.find('\0'));
    out_ += '\0';
    return *this;
}

Message& Message::bytes(std::string_view value) {
    out_ += value;
    return *this;
}

Report parse_report(std::string_view body) {
    Report out;
    Reader reader(body);
    std::string_view translated;
    while (reader.good() && !reader.at_end()) {
        char const field = static_cast<char>(reader.u8());
        if (field == '\0') break;
        auto const value = reader.text();
        if (field == 'S') translated = value;
        if (field == 'V') out.severity = value;
        if (field == 'C') out.code = value;
        if (field == 'M') out.message = value;
        if (field == 'D') out.detail = value;
        if (field == 'H') out.hint = value;
    }
    if (out.severity.empty()) out.severity = translated;
    return out;
}

void write_report(std::string& out, char type, Report const& report) {
    Message message(out, type);
    auto const field = [&](char name, std::string_view value) {
        if (!value.empty()) message.u8(static_cast<std::uint8_t>(name)).text(value);
    };
    field('S', report.severity);
    field('V', report.severity);
    field('C', report.code);
    field('M', report.message);
    field('D', report.detail);
    field('H', report.hint);
    message.u8(0);
}

void write_ready(std::string& out, char status) { Message(out, 'Z').u8(static_cast<std::uint8_t>(status)); }
void write_command_complete(std::string& out, std::string_view tag) { Message(out, 'C').text(tag); }
void write_parameter(std::string& out, std::string_view name, std::string_view value) {
    Message(out, 'S').text(name).text(value);
}
void write_query(std::string& out, std::string_view sql) { Message(out, 'Q').text(sql); }
void write_bare(std::string& out, char type) { Message(out, type); }

}  // namespace keel::protocol
