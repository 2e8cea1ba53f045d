#include "proxy/statements.h"

#include <algorithm>

namespace keel::proxy {

PreparedPtr PreparedPool::intern(std::string_view body) {
    auto const found = known_.find(body);
    if (found != known_.end()) {
        if (auto known = found->second.lock()) return known;
        known_.erase(found);
    }
    if (known_.size() >= sweep_at_) {
        std::erase_if(known_, [](auto const& one) { return one.second.expired(); });
        sweep_at_ = std::max<std::size_t>(1024, known_.size() * 2);
    }
    auto made = std::make_shared<Prepared>();
    made->number = ++next_;
    made->name = "keel_" + std::to_string(made->number);
    made->body = body;
    known_.emplace(made->body, made);
    return made;
}

bool PreparedOnServer::use(std::uint64_t number) {
    auto const found = index_.find(number);
    if (found == index_.end()) return false;
    order_.splice(order_.end(), order_, found->second);
    return true;
}

void PreparedOnServer::add(PreparedPtr statement, std::size_t most, std::vector<PreparedPtr>& closed) {
    if (use(statement->number)) return;
    while (!order_.empty() && index_.size() >= most) {
        index_.erase(order_.front()->number);
        closed.push_back(std::move(order_.front()));
        order_.pop_front();
    }
    auto const number = statement->number;
    index_[number] = order_.insert(order_.end(), std::move(statement));
}

void PreparedOnServer::put_back(PreparedPtr statement) {
    if (index_.contains(statement->number)) return;
    auto const number = statement->number;
    index_[number] = order_.insert(order_.begin(), std::move(statement));
}

void PreparedOnServer::remove(std::uint64_t number) {
    auto const found = index_.find(number);
    if (found == index_.end()) return;
    order_.erase(found->second);
    index_.erase(found);
}

void PreparedOnServer::clear() {
    order_.clear();
    index_.clear();
}

}  // namespace keel::proxy
