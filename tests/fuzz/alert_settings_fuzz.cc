// alerts.toml, as people write it.
#include "alert/settings.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {"[rule.lag_bytes]\nlimit = \"1GB\"\n[telegram.ops]\nchat = \"-1\"\ntoken_file = \"/t\"\n",
            "[email.m]\nserver = \"smtp://m:25\"\nfrom = \"a@b\"\nto = [\"c@d\"]\n",
            "[command.page]\nprogram = [\"/bin/page\", \"x\"]\nleast = \"info\"\n[notices]\nrepeat_s = 60\n"};
}

void eat(std::string_view bytes) {
    auto const parsed = alert::parse_settings(bytes, alert::kFileName);
    (void)config::to_string(parsed.problems);
    (void)alert::channels_text(parsed.settings.channels);
}

}  // namespace keel::fuzz
