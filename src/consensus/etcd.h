// The record in etcd v3 (>= 3.4), by its JSON gateway: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/.
#pragma once

#include <memory>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "consensus/store.h"

namespace keel::consensus {

class Etcd final : public Store {
  public:
    struct Options {
        std::vector<std::string> endpoints;  // https://host:2379; tried in turn
        std::string key;                     // such as /pgkeel/shop/record
        std::string ca_file;                 // PEM files; empty: the system's CAs, no client certificate
        std::string cert_file;
        std::string key_file;
        std::string user;  // empty: no authentication
        Secret password;
        // The newest revision of the record that is known from elsewhere. An etcd that has an older one was wiped or
        // restored from an old copy: nothing is read from it or written to it, and trouble() says so.
        std::uint64_t known_revision = 0;
        Duration timeout{2s};  // one request
    };
    // `post` runs a function on the loop's thread and may be called from any thread.
    static Result<std::unique_ptr<Etcd>> open(Options options, std::function<void(std::function<void()>)> post);
    ~Etcd() override;

    void read(Answer answer) override;
    void swap(std::uint64_t expected, cluster::Record record, Answer answer) override;
    void watch(Watcher watcher) override;
    std::string trouble() const override;

  private:
    struct Client;
    explicit Etcd(std::shared_ptr<Client> client);
    std::shared_ptr<Client> client_;
};

}  // namespace keel::consensus
