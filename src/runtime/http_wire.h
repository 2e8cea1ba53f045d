// What server and client share of HTTP/1.1: reading one message from a stream through Beast's parser. For http_*.cc
// only.
#pragma once

#include <fmt/format.h>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "runtime/http.h"
#include "runtime/socket.h"

namespace keel::runtime {

namespace http = boost::beast::http;

// Reads until the parser is done, or until `on_progress` says false. `buffer` keeps what came after the message. At the
// end of the stream: unavailable when not a byte of the message had come, else corrupt.
template <class Parser, class Progress>
Task<Status> read_message(Stream& stream, std::string& buffer, Parser& parser, Progress on_progress) {
    std::string chunk(16 * 1024, '\0');
    while (!parser.is_done()) {
        boost::system::error_code problem = http::error::need_more;
        if (!buffer.empty()) {
            auto const used = parser.put(boost::asio::buffer(buffer), problem);
            buffer.erase(0, used);
            if (problem && problem != http::error::need_more) {
                auto const too_big = problem == http::error::body_limit || problem == http::error::header_limit;
                co_return fail(too_big ? Code::exhausted : Code::corrupt, problem.message());
            }
            if (!on_progress()) co_return Status{};
            if (parser.is_done()) break;
            if (used > 0 && !problem) continue;
        }
        auto const got = co_await stream.read_some(chunk);
        if (!got) co_return fail(got.error());
        if (*got == 0) {
            if (!parser.got_some()) co_return fail(Code::unavailable, "closed by the far side");
            boost::system::error_code incomplete;
            parser.put_eof(incomplete);
            if (incomplete) co_return fail(Code::corrupt, "the connection ended within a message");
            break;
        }
        buffer.append(chunk, 0, *got);
    }
    co_return Status{};
}

// Beast's eager parser, with the bytes of a header read in one piece.
template <class Parser>
struct Watched : Parser {
    using Parser::Parser;
    template <class Buffer>
    std::size_t put(Buffer const& buffer, boost::system::error_code& problem) {
        some_ = true;
        return Parser::put(buffer, problem);
    }
    bool got_some() const { return some_; }

  private:
    bool some_ = false;
};

inline std::string to_text(boost::beast::string_view text) { return {text.data(), text.size()}; }

template <class Fields>
std::map<std::string, std::string> headers_of(Fields const& fields) {
    std::map<std::string, std::string> out;
    for (auto const& field : fields) {
        auto name = to_text(field.name_string());
        for (char& byte : name) byte = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
        out[name] = to_text(field.value());
    }
    return out;
}

}  // namespace keel::runtime
