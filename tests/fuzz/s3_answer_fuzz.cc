// What an object store answers, and what people write to reach one.
#include "archive/s3_answer.h"
#include "archive/tail.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        "<Contents><Key>a&#x2D;&amp;</Key></Contents><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
        "</ListBucketResult>",
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>r</Region></Error>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId></Upload>"
        "</ListMultipartUploadsResult>",
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
        "s3://bucket/prefix",
        "https://store:443/",
        archive::tail_piece_name({0, 4096, std::string(64, 'a')})};
}

void eat(std::string_view bytes) {
    auto const list = archive::parse_s3_list(bytes);
    if (list)
        for (auto const& name : list->names) must(!name.empty());
    (void)archive::parse_s3_uploads(bytes);
    (void)archive::judge_s3(403, bytes, {});
    (void)archive::parse_s3_key(bytes);
    (void)archive::parse_s3_endpoint(bytes);
    auto const address = archive::parse_s3_address(bytes);
    if (address) must(!address->bucket.empty());
    auto const piece = archive::parse_tail_piece(bytes);
    if (piece) must(archive::tail_piece_name(*piece) == bytes);
}

}  // namespace keel::fuzz
