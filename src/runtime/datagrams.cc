#include "runtime/datagrams.h"

namespace keel::runtime {

using asio::ip::udp;
using boost::system::error_code;

Result<Datagrams> Datagrams::open(Io& io, std::string const& address, std::uint16_t port) {
    error_code failed;
    udp::socket socket(io);
    auto const where = asio::ip::make_address(address, failed);
    udp::endpoint const endpoint(where, port);
    if (!failed) socket.open(endpoint.protocol(), failed);
    if (!failed) socket.bind(endpoint, failed);
    if (!failed) socket.non_blocking(true, failed);
    if (!failed) return Datagrams(std::move(socket));
    return fail(failed == asio::error::address_in_use ? Code::conflict : Code::unavailable,
                "UDP port " + address + ":" + std::to_string(port) + ": " + failed.message());
}

void Datagrams::send(Endpoint const& to, std::string_view bytes) {
    error_code ignored;
    socket_.send_to(asio::buffer(bytes.data(), bytes.size()), to, 0, ignored);
}

Task<std::string_view> Datagrams::next() {
    buffer_.resize(64 * 1024);
    for (;;) {
        error_code failed;
        Endpoint from;
        auto const size = co_await socket_.async_receive_from(asio::buffer(buffer_), from,
                                                              asio::redirect_error(asio::use_awaitable, failed));
        if (!failed && size > 0) co_return std::string_view(buffer_.data(), size);
        if (!socket_.is_open() || failed == asio::error::operation_aborted) co_return std::string_view();
        // A far side that has no such port tells so (ICMP); it is no error of this socket.
    }
}

void Datagrams::close() {
    error_code ignored;
    socket_.close(ignored);
}

}  // namespace keel::runtime
