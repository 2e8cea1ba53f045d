// A session of the admin console: the simple query protocol, one command at a time.
#include "proxy/session.h"

namespace keel::proxy {

namespace {
// No command is longer; a login of an operator must not cost memory.
constexpr std::size_t kCommandMax = 8192;
}  // namespace

void Session::welcome_console() {
    protocol::write_parameter(out, "server_version", shared_.version + "/pgkeel");
    for (auto const* const name : {"server_encoding", "client_encoding"}) protocol::write_parameter(out, name, "UTF8");
    for (auto const* const name : {"integer_datetimes", "standard_conforming_strings"})
        protocol::write_parameter(out, name, "on");
    protocol::write_parameter(out, "DateStyle", "ISO, YMD");
    protocol::write_parameter(out, "TimeZone", "UTC");
    tell_key();
    protocol::write_ready(out, 'I');
    phase_ = Phase::console;
    need_ = Need::nothing;
    login_.reset();
    command_ = std::make_unique<Command>();
    advance();
}

// How much of `rest` was taken; 0: nothing goes on for now.
std::size_t Session::take_command(std::string_view rest) {
    auto const head = protocol::peek_head(rest, kCommandMax);
    if (head.kind == protocol::Head::Kind::malformed) {
        protocol_violation("the console takes no message of this length");
        return 0;
    }
    if (head.kind == protocol::Head::Kind::need_more || rest.size() < head.size) return 0;
    switch (head.type) {
        case 'Q':
            command_->text = protocol::Reader(rest.substr(protocol::kHead, head.size - protocol::kHead)).text();
            command_->skip = false;
            need_ = Need::console;
            break;
        case 'X':
            need_ = Need::close;
            phase_ = Phase::closing;
            break;
        case 'S':
            command_->skip = false;
            protocol::write_ready(out, 'I');
            break;
        case 'P':
        case 'B':
        case 'D':
        case 'E':
        case 'C':
        case 'F':
            if (std::exchange(command_->skip, head.type != 'F')) break;
            shared_.figures.totals.errors_of_proxy.add("0A000");
            protocol::write_report(
                out, 'E',
                {"ERROR",
                 "0A000",
                 "the console speaks the simple query protocol only",
                 {},
                 "Send it without parameters and do not prepare it (psycopg: prepare_threshold=None; JDBC: "
                 "preferQueryMode=simple)."});
            if (head.type == 'F') protocol::write_ready(out, 'I');
            break;
        case 'H':
        case 'd':
        case 'c':
        case 'f':
            break;
        default:
            protocol_violation("invalid frontend message type " +
                               std::to_string(static_cast<unsigned char>(head.type)));
            return 0;
    }
    return head.size;
}

void Session::answer_console(std::string_view messages) {
    if (need_ != Need::console) return;
    need_ = Need::nothing;
    command_->text.clear();
    out += messages;
    protocol::write_ready(out, 'I');
    advance();
}

}  // namespace keel::proxy
