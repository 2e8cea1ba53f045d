#include "web/outlook.h"

#include <charconv>

#include "base/json.h"
#include "cluster/outlook.h"

namespace keel::web {

runtime::Task<Result<std::string>> show_outlook(Desk const& desk, runtime::HttpRequest const& request) {
    cluster::SwitchoverRequest wanted;
    if (auto const to = request.query.find("to"); to != request.query.end()) wanted.to = to->second;
    if (auto const at = request.query.find("at"); at != request.query.end()) {
        auto const* const end = at->second.data() + at->second.size();
        auto const read = std::from_chars(at->second.data(), end, wanted.at_unix_ms);
        if (read.ec != std::errc{} || read.ptr != end || wanted.at_unix_ms < 0)
            co_return fail(Code::invalid, "at is not a time in milliseconds since 1970", "leave it out for now");
    }
    co_return json::write(cluster::outlook_of(desk.look(), wanted));
}

}  // namespace keel::web
