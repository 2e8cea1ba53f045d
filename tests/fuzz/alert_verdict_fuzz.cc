// What a Bot API or a proxy before it answers.
#include "alert/message.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {R"({"ok":true,"result":{"message_id":1}})",
            R"({"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":7}})", "120"};
}

void eat(std::string_view bytes) {
    for (long const status : {200L, 400L, 429L}) {
        (void)alert::judge_telegram(status, bytes);
        (void)alert::judge_http(status, bytes);
    }
    (void)alert::cut(bytes, 50);
}

}  // namespace keel::fuzz
