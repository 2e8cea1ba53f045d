// What a proxy's settings and certificates mean to its relay.
#pragma once

#include "config/node_config.h"
#include "relay/relay.h"

namespace keel::app {

struct ProxyTls {
    runtime::TlsContext clients;  // empty: none is offered
    runtime::TlsContext servers;
};
Result<ProxyTls> load_proxy_tls(config::NodeConfig const& config);
// Of hba_file; none without one. invalid: all that is wrong in it, each with its line.
using ProxyRules = std::shared_ptr<std::vector<auth::Rule> const>;
Result<ProxyRules> load_proxy_rules(config::NodeConfig const& config);

// All but what it asks others for, and its certificates.
relay::Options proxy_options(config::Proxy const& from);

}  // namespace keel::app
