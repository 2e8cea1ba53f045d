// What a client sends before and after its login: the first packet, its options, and messages.
#include "fuzz.h"
#include "protocol/startup.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    std::string startup, ssl, cancel, query;
    protocol::write_startup(startup, {{"user", "anna"}, {"database", "shop"}, {"options", "-c work_mem=1MB"}});
    protocol::write_ssl_request(ssl);
    protocol::write_cancel(cancel, 7, "abcd");
    protocol::write_query(query, "SELECT 1");
    protocol::write_report(query, 'E', {"ERROR", "40001", "lost", "all of it", "Run it again."});
    return {startup, ssl, cancel, query};
}

void eat(std::string_view bytes) {
    auto const first = protocol::parse_first(bytes);
    must(first.size <= bytes.size());
    std::vector<std::pair<std::string, std::string>> options;
    (void)protocol::parse_options(bytes, options);
    if (auto const* startup = std::get_if<protocol::Startup>(&first.first)) (void)startup->find("user");
    while (true) {
        auto const head = protocol::peek_head(bytes);
        if (head.kind != protocol::Head::Kind::message) return;
        must(head.size >= protocol::kHead);
        if (head.size > bytes.size()) return;
        auto const body = bytes.substr(protocol::kHead, head.size - protocol::kHead);
        (void)protocol::parse_report(body);
        protocol::Reader reader(body);
        (void)reader.text();
        (void)reader.bytes(reader.u32());
        must(reader.rest().size() <= body.size());
        bytes.remove_prefix(head.size);
    }
}

}  // namespace keel::fuzz
