// WAL pages and records, and the replication protocol's messages: bytes of a server, or of a repository's disk.
#include "archive/wal.h"
#include "archive/wire.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    std::string page(8192, '\0');
    page[0] = 0x10;
    page[2] = 2;
    page[40] = 24;
    return {page, "w" + std::string(30, '\0'), "k" + std::string(17, '\0')};
}

void eat(std::string_view bytes) {
    archive::Origin const origin{7, 1U << 20U};
    (void)archive::check_pages(origin, {Timeline{1}, 0}, bytes);
    auto const found = archive::scan_records(origin, Lsn{0}, bytes);
    if (found.last) must(found.last->value < bytes.size());
    (void)archive::parse_stream_message(bytes);
    (void)archive::parse_segment_name(bytes, origin.segment_bytes);
}

}  // namespace keel::fuzz
