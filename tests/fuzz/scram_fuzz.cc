// Both sides of a SCRAM login, and stored verifiers. Input: a letter for the side, then messages, one a line.
#include "auth/digest.h"
#include "auth/scram.h"
#include "auth/users.h"
#include "fuzz.h"

namespace keel::fuzz {

namespace {

using namespace auth;

ScramVerifier const& verifier() {
    static ScramVerifier const made = *make_scram_verifier(Secret("pencil"), "0123456789abcdef", 2);
    return made;
}

std::string const kHash(32, 'h');

// A whole login, as its two sides write it.
struct Login {
    std::string client_first, server_first, client_final, server_final;
    Secret client_key;

    explicit Login(bool plus) {
        ScramClient client(Secret("pencil"), "cc");
        if (plus) client.bind_channel(kHash);
        ScramServer server(verifier(), "ss", plus ? kHash : "");
        client_first = client.first();
        server_first = *server.first(client.mechanism(), client_first);
        client_final = *client.answer(server_first);
        auto finished = *server.last(client_final);
        server_final = finished.server_final;
        client_key = finished.client_key;
    }
};

void serve(std::string_view first, std::string_view last, bool plus) {
    ScramServer server(verifier(), "ss", plus ? kHash : "");
    auto const challenge = server.first(plus ? kScramPlus : kScram, first);
    if (!challenge) return;
    must(challenge->ends_with(",i=2"));
    auto const finished = server.last(last);
    // Who is let in knows the key.
    if (finished) must(*sha256(finished->client_key.reveal()) == verifier().stored_key.reveal());
    must(!server.last(last).has_value());
}

void ask(std::string_view challenge, std::string_view last) {
    static Login const known(false);
    ScramClient client(ScramClient::Keys{known.client_key, verifier()}, "cc");
    (void)client.first();
    auto const answer = client.answer(challenge);
    if (!answer) return;
    must(answer->starts_with("c=biws,r=cc"));
    auto const done = client.finish(last);
    // Only one signature fits, and it is of this challenge; the bits that base64 has too many are nobody's.
    if (done && challenge == known.server_first) {
        auto const words = known.server_final.size();
        must(last.size() >= words &&
             from_base64(last.substr(2, words - 2)) == from_base64(known.server_final.substr(2)));
    }
    must(!client.finish(last).has_value());
}

}  // namespace

std::vector<std::string> seeds() {
    Login const plain(false), plus(true);
    return {"s" + plain.client_first + "\n" + plain.client_final, "p" + plus.client_first + "\n" + plus.client_final,
            "c" + plain.server_first + "\n" + plain.server_final, "v" + to_text(verifier()).reveal()};
}

void eat(std::string_view bytes) {
    if (bytes.empty()) return;
    std::string_view const rest = bytes.substr(1);
    std::size_t const line = std::min(rest.find('\n'), rest.size());
    std::string_view const one = rest.substr(0, line), two = rest.substr(std::min(line + 1, rest.size()));
    switch (bytes[0]) {
        case 's':
            return serve(one, two, false);
        case 'p':
            return serve(one, two, true);
        case 'c':
            return ask(one, two);
        default:
            break;
    }
    auto const parsed = parse_scram_verifier(Secret(std::string(rest)));
    if (!parsed) return;
    auto const again = parse_scram_verifier(to_text(*parsed));
    must(again.has_value() && again->salt == parsed->salt && again->iterations == parsed->iterations);
    must(again->stored_key.reveal() == parsed->stored_key.reveal());
}

}  // namespace keel::fuzz
