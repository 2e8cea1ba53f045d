#include "archive/s3_upload.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::archive {

namespace {

// "Amazon S3 multipart upload limits": 10,000 parts. All have one size, which some servers want.
constexpr std::uint64_t kPartsMost = 10'000, kPartsWanted = 8'000;
constexpr std::uint64_t kPartLeast = 8U << 20U, kPartMost = 128U << 20U;
// The server puts the parts together before it answers.
constexpr Duration kCompletionMost = 600s;

}  // namespace

S3Upload::S3Upload(S3 const& store, std::string key, std::uint64_t expected)
    : store_(store), key_(std::move(key)), part_bytes_(std::clamp(expected / kPartsWanted, kPartLeast, kPartMost)) {}

S3Upload::~S3Upload() {
    if (!id_.empty()) (void)store_.call({.method = "DELETE", .name = key_, .query = {{"uploadId", id_}}});
}

Status S3Upload::add(std::string_view bytes) {
    while (!bytes.empty()) {
        if (part_.size() == part_bytes_) KEEL_CHECK(send_part());
        part_.reserve(part_bytes_);
        auto const taken = bytes.substr(0, part_bytes_ - part_.size());
        part_ += taken;
        bytes.remove_prefix(taken.size());
    }
    return {};
}

Status S3Upload::send_part() {
    if (id_.empty()) {
        KEEL_TRY(auto const answer, store_.call({.method = "POST", .name = key_, .query = {{"uploads", ""}}}));
        id_ = xml_text(answer.body, "UploadId");
        if (id_.empty()) return fail(Code::corrupt, key_ + ": the object store began no upload");
    }
    if (tags_.size() == kPartsMost)
        return fail(Code::exhausted, fmt::format("{}: more than {} parts of {} bytes", key_, kPartsMost, part_bytes_),
                    "such a large backup needs a directory as its repository");
    auto const number = std::to_string(tags_.size() + 1);
    KEEL_TRY(auto const answer,
             store_.call(
                 {.method = "PUT", .name = key_, .query = {{"partNumber", number}, {"uploadId", id_}}, .body = part_}));
    tags_.push_back(answer.header("etag"));
    if (tags_.back().empty()) return fail(Code::corrupt, key_ + ": the object store took a part without a tag");
    sent_ += part_.size();
    part_.clear();
    return {};
}

Status S3Upload::complete() {
    auto const text = complete_text(tags_);
    auto const done = store_.call(
        {.method = "POST", .name = key_, .query = {{"uploadId", id_}}, .body = text, .silence_most = kCompletionMost});
    if (done && xml_text(done->body, "ETag").empty())
        return fail(Code::unavailable, key_ + ": the object store does not say that it has put the parts together");
    if (done) return {};
    if (done.error().code != Code::not_found) return fail(done.error());
    // A first try may have done it whose answer was lost.
    KEEL_TRY(auto const there, store_.call({.method = "HEAD", .name = key_}));
    if (there.header("content-length") != std::to_string(sent_)) return fail(done.error());
    return {};
}

Status S3Upload::finish() {
    if (id_.empty()) {
        KEEL_CHECK(store_.call({.method = "PUT", .name = key_, .body = part_}));
        return {};
    }
    if (!part_.empty()) KEEL_CHECK(send_part());
    KEEL_CHECK(complete());
    id_.clear();
    return {};
}

}  // namespace keel::archive
