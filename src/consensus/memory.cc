#include "consensus/memory.h"

namespace keel::consensus {

void Memory::read(Answer answer) {
    post_([answer = std::move(answer), record = record_] { answer({cluster::Swapped::done, record}); });
}

void Memory::swap(std::uint64_t expected, cluster::Record record, Answer answer) {
    bool const fits = (record_ ? record_->revision : 0) == expected;
    if (fits) {
        record.revision = expected + 1;
        record_ = std::move(record);
    }
    post_([answer = std::move(answer), fits, now = record_, watcher = fits ? watcher_ : Watcher{}] {
        answer({fits ? cluster::Swapped::done : cluster::Swapped::conflict, now});
        if (watcher) watcher(*now);
    });
}

}  // namespace keel::consensus
