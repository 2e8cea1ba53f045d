#include "base/result.h"

namespace keel {

char const* to_string(Code code) {
    switch (code) {
        case Code::invalid:
            return "invalid";
        case Code::not_found:
            return "not_found";
        case Code::conflict:
            return "conflict";
        case Code::unavailable:
            return "unavailable";
        case Code::timeout:
            return "timeout";
        case Code::denied:
            return "denied";
        case Code::exhausted:
            return "exhausted";
        case Code::corrupt:
            return "corrupt";
        case Code::internal:
            return "internal";
    }
    return "internal";
}

std::string to_string(Error const& error) {
    return error.mend.empty() ? error.text : error.text + "\n    mend: " + error.mend;
}

}  // namespace keel
