#include "proxy/outlook.h"

#include <algorithm>

#include "protocol/frame.h"

namespace keel::proxy {

namespace {

using Where = Outlook::Where;

class Look {
  public:
    explicit Look(OutlookContext const& context) : context_(context), unnamed_text_(context.unnamed_text) {}

    Outlook over(std::string_view in) {
        for (std::size_t at = 0;;) {
            auto const rest = in.substr(at);
            auto const head = protocol::peek_head(rest);
            if (head.kind == protocol::Head::Kind::malformed) return primary();
            if (head.kind == protocol::Head::Kind::need_more || rest.size() < head.size) {
                bool const too_long = at + std::max(head.size, rest.size()) > kFlightMax;
                return too_long ? primary() : Outlook{Where::more, {}, false};
            }
            at += head.size;
            if (at > kFlightMax) return primary();
            protocol::Reader body(rest.substr(protocol::kHead, head.size - protocol::kHead));
            if (head.type == 'Q') return at == head.size && take_text(body.text()) ? standby() : primary();
            if (head.type == 'S') return statements_ > 0 ? standby() : primary();
            if (!take(head.type, body)) return primary();
        }
    }

  private:
    static Outlook primary() { return {}; }
    Outlook standby() const { return {Where::standby, text_, changes_names_}; }

    bool take(char type, protocol::Reader& body) {
        switch (type) {
            case 'P': {
                auto const name = body.text();
                auto const text = body.text();
                if (!body.good() || !take_text(text)) return false;
                if (name.empty()) {
                    unnamed_text_ = text;
                    unnamed_is_new_ = true;
                } else {
                    parsed_.emplace_back(name, text);
                    changes_names_ = true;
                }
                return true;
            }
            case 'B':
                (void)body.text();
                return take_statement(body.text()) && body.good();
            case 'D':
                return body.u8() != 'S' || take_statement(body.text());
            case 'E':
                return ++executed_ == 1 || begun_;
            case 'C':
                if (body.u8() == 'S') changes_names_ = true;
                return true;
            default:
                return false;
        }
    }

    bool take_statement(std::string_view name) {
        if (name.empty() && unnamed_is_new_) return take_text(unnamed_text_);
        if (name.empty()) return !unnamed_text_.empty() && take_facts(context_.unnamed, unnamed_text_);
        auto const here = std::ranges::find(parsed_, name, [](auto const& one) { return one.first; });
        if (here != parsed_.end()) return take_text(here->second);
        auto const known = context_.names.find(std::string(name));
        return known != context_.names.end() && take_text(known->second->text());
    }

    bool take_text(std::string_view text) { return take_facts(*context_.texts.of(text), text); }

    bool take_facts(TextFacts const& facts, std::string_view text) {
        ++statements_;
        if (facts.hint == sql::Hint::primary) return false;
        if (facts.begins_read_only && !begun_ && executed_ == 0) {
            begun_ = true;
            return true;
        }
        if (facts.begins_read_only) return true;
        // In a transaction that is read-only anyway everything that is a read by its form may go on.
        if (begun_) return facts.reads;
        text_ = facts.key;
        bool const trusted = facts.hint == sql::Hint::replica || context_.trusted;
        return context_.judges.may_serve(context_.database, facts, text, trusted);
    }

    OutlookContext const& context_;
    std::string_view unnamed_text_;
    bool unnamed_is_new_ = false;  // it is prepared in this batch
    std::vector<std::pair<std::string_view, std::string_view>> parsed_;
    sql::TextHash text_;
    std::size_t statements_ = 0;
    std::size_t executed_ = 0;
    bool begun_ = false;
    bool changes_names_ = false;
};

}  // namespace

Outlook look_ahead(std::string_view in, OutlookContext context) { return Look(context).over(in); }

}  // namespace keel::proxy
