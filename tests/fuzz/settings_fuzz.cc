// The text that `pgkeel config edit` gets back from an editor, and one setting by name and value.
#include "config/settings.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    cluster::Settings settings;
    settings.postgres["work_mem"] = "8MB";
    return {config::render_settings(settings), "mode = strict\nquorum = 2\npostgres.shared_buffers = 1GB\n",
            "profile=wan\nfailover_lag_bytes_max = 64MB\n"};
}

void eat(std::string_view bytes) {
    auto const edited = config::parse_settings(bytes, {}, "settings");
    (void)config::advice(edited.changes);
    auto const name = bytes.substr(0, bytes.find('\n'));
    cluster::Settings settings;
    (void)config::set_setting(settings, name, bytes.substr(std::min(bytes.size(), name.size() + 1)));
    (void)config::get_setting(settings, name);
}

}  // namespace keel::fuzz
