// Messages of the replicated register, and what an acceptor and a proposer make of them: each line of the input is one.
#include "base/json.h"
#include "consensus/register.h"
#include "fuzz.h"

namespace keel::fuzz {

namespace {
using namespace consensus;
NodeId const kSelf{"a"};
}  // namespace

std::vector<std::string> seeds() {
    Ballot const ballot{3, NodeId{"b"}, 77};
    Value value;
    value.revision = 2;
    value.before = {{kSelf, 1}};
    value.voters = {{kSelf, 1}, {NodeId{"b"}, 2}};
    value.writes = {"b.77.1"};
    value.text = "{}";
    std::string all;
    std::vector<std::string> out;
    for (Message const& message :
         {Message{Peek{1}}, Message{Seen{1, 1, ballot, value}}, Message{Prepare{ballot}},
          Message{Promise{ballot, 1, ballot, value}}, Message{Accept{ballot, ballot, value}}, Message{Took{ballot, 1}},
          Message{Refused{ballot, ballot}}, Message{Learned{ballot, value}}, Message{Fetch{ballot}}}) {
        out.push_back(json::write(message));
        all += out.back() + "\n";
    }
    out.push_back(all);
    return out;
}

void eat(std::string_view bytes) {
    Acceptor acceptor(1, genesis(kSelf, 1, "{}"));
    Proposer proposer(kSelf, 42);
    proposer.believe({acceptor.durable().accepted, *acceptor.durable().value});
    (void)proposer.swap(1, "{\"x\":1}", {kSelf, NodeId{"b"}});
    while (!bytes.empty()) {
        auto const line = bytes.substr(0, bytes.find('\n'));
        bytes.remove_prefix(std::min(bytes.size(), line.size() + 1));
        auto const message = json::read<Message>(line);
        if (!message) continue;
        auto const before = acceptor.durable().promised;
        auto verdict = acceptor.consider(*message);
        if (verdict.persist) acceptor.adopt(std::move(*verdict.persist));
        must(acceptor.durable().promised >= before);
        (void)proposer.receive(NodeId{"b"}, *message);
        (void)proposer.tick();
    }
    (void)proposer.give_up();
    must(!proposer.busy());
}

}  // namespace keel::fuzz
