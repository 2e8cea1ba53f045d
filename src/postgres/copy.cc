#include "postgres/copy.h"

#include <charconv>
#include <ctime>

namespace keel::postgres {

Result<Endpoint> source_of(Running const& run) {
    auto const at = run.peers.find(run.command.peer);
    if (at == run.peers.end())
        return fail(Code::not_found, "no address is known of the source " + run.command.peer.value);
    return at->second;
}

std::function<void(std::string_view)> report(Running const& run, std::string what) {
    return [&run, what = std::move(what)](std::string_view line) {
        auto const slash = line.find('/');
        if (slash == std::string_view::npos || !line.contains(" kB (") || !run.progress) return;
        auto const first = line.find_first_not_of(' ');
        Progress progress{what, 0, 0};
        std::from_chars(line.data() + first, line.data() + slash, progress.done_bytes);
        std::from_chars(line.data() + slash + 1, line.data() + line.size(), progress.total_bytes);
        progress.done_bytes *= 1024;
        progress.total_bytes *= 1024;
        run.progress(progress);
    };
}

std::string utc_stamp() {
    auto const now = static_cast<std::time_t>(runtime::unix_ms_now() / 1000);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
    return text;
}

}  // namespace keel::postgres
