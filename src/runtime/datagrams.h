// A UDP socket: best effort both ways.
#pragma once

#include <boost/asio/ip/udp.hpp>
#include <string>
#include <string_view>

#include "runtime/asio.h"

namespace keel::runtime {

class Datagrams {
  public:
    using Endpoint = asio::ip::udp::endpoint;

    // conflict: the port is taken.
    static Result<Datagrams> open(Io& io, std::string const& address, std::uint16_t port);

    // Never blocks: what does not leave at once is lost, as it may be on the way.
    void send(Endpoint const& to, std::string_view bytes);
    // The next one that is not empty, valid until the next call. Empty: the socket was closed.
    Task<std::string_view> next();
    void close();

  private:
    explicit Datagrams(asio::ip::udp::socket socket) : socket_(std::move(socket)) {}

    asio::ip::udp::socket socket_;
    std::string buffer_;
};

}  // namespace keel::runtime
