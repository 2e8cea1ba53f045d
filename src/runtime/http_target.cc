#include "runtime/http.h"

namespace keel::runtime {

namespace {

int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

bool unescape(std::string_view in, bool plus_is_space, std::string& out) {
    out.clear();
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i] == '+' && plus_is_space) {
            out += ' ';
        } else if (in[i] == '%') {
            if (i + 2 >= in.size()) return false;
            int const high = hex_digit(in[i + 1]);
            int const low = hex_digit(in[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += in[i];
        }
    }
    return true;
}

}  // namespace

bool parse_request_target(std::string_view target, std::string& path, std::map<std::string, std::string>& query) {
    query.clear();
    auto const mark = target.find('?');
    if (!unescape(target.substr(0, mark), false, path)) return false;
    if (path.empty() || path[0] != '/') return false;
    if (mark == target.npos) return true;
    auto rest = target.substr(mark + 1);
    while (!rest.empty()) {
        auto const end = rest.find('&');
        auto const pair = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        if (pair.empty()) continue;
        auto const equals = pair.find('=');
        std::string name, value;
        if (!unescape(pair.substr(0, equals), true, name)) return false;
        if (equals != pair.npos && !unescape(pair.substr(equals + 1), true, value)) return false;
        query[name] = value;
    }
    return true;
}

}  // namespace keel::runtime
