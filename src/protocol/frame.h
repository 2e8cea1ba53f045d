// PostgreSQL's wire protocol as frames (manual, chapter "Frontend/Backend Protocol"): looks at bytes that it does not
// own, and writes the few messages that a proxy makes itself. Never allocates to read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace keel::protocol {

// A message's head: one byte of type and a length that counts itself.
inline constexpr std::size_t kHead = 5;
// The protocol's own bound: a length is a signed 32-bit number, and PostgreSQL takes at most 1 GB.
inline constexpr std::size_t kBodyMax = 0x3fffffff;

inline std::uint32_t read_u32(char const* at) {
    auto const byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
    return byte(0) << 24U | byte(1) << 16U | byte(2) << 8U | byte(3);
}
inline std::uint16_t read_u16(char const* at) {
    auto const byte = [at](int i) { return static_cast<unsigned>(static_cast<unsigned char>(at[i])); };
    return static_cast<std::uint16_t>(byte(0) << 8U | byte(1));
}

struct Head {
    enum class Kind { need_more, malformed, message };
    Kind kind = Kind::need_more;
    char type = 0;
    std::size_t size = 0;  // of the whole message, head included
};
// Looks at the head of the message that begins at `in`. Its body need not be there yet.
Head peek_head(std::string_view in, std::size_t body_max = kBodyMax);
// How long all the messages of its type are that lie one behind the other from the one on that begins at `in`; the last
// one need not be there as a whole.
std::size_t peek_run(Head const& first, std::string_view in);

// Takes texts and numbers off a body. After a read past the end everything is empty and good() is false.
class Reader {
  public:
    explicit Reader(std::string_view body) : rest_(body) {}
    // Up to and without its final zero.
    std::string_view text();
    std::uint8_t u8();
    std::uint16_t u16();
    std::uint32_t u32();
    std::string_view bytes(std::size_t count);
    std::string_view rest() const { return rest_; }
    bool good() const { return good_; }
    bool at_end() const { return rest_.empty(); }

  private:
    bool take(std::size_t count);
    std::string_view rest_;
    bool good_ = true;
};

// Appends one message to a buffer; its length is filled in when the object ends.
class Message {
  public:
    Message(std::string& out, char type);
    ~Message();
    Message(Message const&) = delete;
    Message& operator=(Message const&) = delete;
    Message& u8(std::uint8_t value);
    Message& u16(std::uint16_t value);
    Message& u32(std::uint32_t value);
    // With its final zero.
    Message& text(std::string_view value);
    Message& bytes(std::string_view value);

  private:
    std::string& out_;
    std::size_t begin_;
};

// ErrorResponse and NoticeResponse: the fields that matter here.
struct Report {
    std::string_view severity;  // not translated ("V"), when the server gives it
    std::string_view code;      // SQLSTATE
    std::string_view message;
    std::string_view detail;
    std::string_view hint;
};
Report parse_report(std::string_view body);
// `type` 'E' or 'N'. Empty detail and hint are left out.
void write_report(std::string& out, char type, Report const& report);

void write_ready(std::string& out, char status);
void write_command_complete(std::string& out, std::string_view tag);
void write_parameter(std::string& out, std::string_view name, std::string_view value);
void write_query(std::string& out, std::string_view sql);
// A message without a body: Sync, Flush, Terminate, ParseComplete, ...
void write_bare(std::string& out, char type);

}  // namespace keel::protocol
