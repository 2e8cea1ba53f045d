// Objects in a bucket of an object store that speaks S3.
#pragma once

#include "archive/objects.h"
#include "archive/s3_answer.h"
#include "archive/s3_wire.h"
#include "config/node_config.h"

namespace keel::archive {

// How long a failing request is tried again, and who is told while it is waited for.
struct Patience {
    Duration span = 60s;
    OnWait on_wait = {};
};

// One thread at a time.
class S3 final : public Objects {
  public:
    // Asks the server: a wrong key, region, clock, bucket or endpoint is found here.
    static Result<std::shared_ptr<Objects const>> open(config::RepositorySettings const& settings, Patience patience);

    std::string where(std::string const& name) const override;
    Result<std::vector<std::string>> list(std::string const& prefix) const override;
    Result<std::vector<std::string>> folders(std::string const& prefix) const override;
    Status read(std::string const& name, Bytes const& sink) const override;
    Status put(std::string const& name, std::string_view bytes) const override;
    Status create(std::string const& name, std::string_view bytes) const override;
    Result<std::unique_ptr<Upload>> upload(std::string const& name, std::uint64_t expected) const override;
    Status remove(std::string const& name) const override;
    Status remove_all(std::string const& prefix) const override;

    // A request about one object, or with an empty name about the bucket.
    struct Ask {
        std::string method;
        std::string name = {};  // with the repository's prefix
        std::map<std::string, std::string> query = {};
        std::map<std::string, std::string> headers = {};
        std::string_view body = {};
        Duration silence_most = 20s;
    };
    // Tried again while that may help. Every answer that is no success is an error.
    Result<S3Answer> call(Ask const& ask) const;
    std::string key_of(std::string const& name) const { return address_.prefix + name; }

  private:
    S3(config::RepositorySettings const& settings, Patience patience);
    Result<S3Answer> call_once(Ask const& ask) const;
    Result<std::pair<std::vector<std::string>, std::vector<std::string>>> list_all(std::string const& prefix,
                                                                                   bool by_folder) const;
    Result<bool> exists(std::string const& name) const;

    S3Address address_;
    S3Endpoint endpoint_;
    std::string region_;
    bool bucket_in_host_ = false;
    S3Key key_;
    Patience patience_;
    std::unique_ptr<S3Wire> wire_;
};

}  // namespace keel::archive
