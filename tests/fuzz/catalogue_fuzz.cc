// What a repository's disk says of its backups, and what people type as a target.
#include "archive/blocks.h"
#include "archive/catalogue.h"
#include "archive/manifest.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    archive::Backup one;
    one.label = "a";
    one.segment_bytes = 16U << 20U;
    one.timeline = Timeline{1};
    return {json::write(one), "2026-11-26 03:00:00.5Z", "0/3000148", R"({"Files":[{"Path":"a","Size":1}]})",
            "pgkeel blocks 1\n{\"path\":\"a\",\"size\":0}\n"};
}

void eat(std::string_view bytes) {
    (void)archive::parse_backup(bytes);
    (void)archive::parse_manifest(bytes);
    if (auto const list = archive::BlockList::parse(bytes, 2))
        must(archive::BlockList::parse(list->text(), 2).has_value());
    auto const target = archive::parse_target(bytes);
    if (target && target->time_us) must(!archive::time_text(*target->time_us).empty());
}

}  // namespace keel::fuzz
