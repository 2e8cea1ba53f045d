// The one place where the codec is instantiated for the record and the messages.
#include "base/json.h"
#include "cluster/messages.h"

namespace keel::cluster {

std::string encode(Record const& record) { return json::write(record); }
std::string encode(Message const& message) { return json::write(message); }
Result<Message> decode_message(std::string_view text) { return json::read<Message>(text); }

Result<Record> decode_record(std::string_view text) {
    KEEL_TRY(Record record, json::read<Record>(text));
    if (record.format != 1) {
        return fail(Code::invalid,
                    "the cluster record has format " + std::to_string(record.format) + ", this program knows 1",
                    "upgrade this node's pgkeel");
    }
    return record;
}

}  // namespace keel::cluster
