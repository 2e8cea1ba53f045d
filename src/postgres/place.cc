#include "postgres/place.h"

#include <charconv>

namespace keel::postgres {

Endpoint parse_endpoint(std::string_view text, std::uint16_t port_default) {
    Endpoint out{std::string(text), port_default};
    std::string_view port;
    if (text.starts_with('[')) {
        auto const close = text.find(']');
        if (close == std::string_view::npos) return {};
        out.host = text.substr(1, close - 1);
        auto const rest = text.substr(close + 1);
        if (!rest.empty() && rest.front() != ':') return {};
        port = rest.empty() ? rest : rest.substr(1);
        if (!rest.empty() && port.empty()) return {};
    } else if (auto const colon = text.find(':'); colon != std::string_view::npos) {
        if (text.find(':', colon + 1) != std::string_view::npos) return out;  // a bare IPv6 address
        out.host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (port.empty()) return {};
    }
    if (!port.empty()) {
        auto const [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
        if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) return {};
    }
    return out;
}

}  // namespace keel::postgres
