// Digests of definitions (see the header). Allocates nothing.
#include "pganalytics/core/definition_digest.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace pganalytics {

namespace {

constexpr std::string_view kLocation = "location ";
constexpr std::string_view kStatementLocation = "stmt_location ";
constexpr std::string_view kStatementLength = "stmt_len ";

// Length of ":location 17" at the beginning of `text`; 0: it begins with something else.
size_t location_length(std::string_view text) {
    for (const std::string_view field : {kLocation, kStatementLocation, kStatementLength}) {
        if (!text.substr(1).starts_with(field)) continue;
        size_t end = 1 + field.size();
        if (end < text.size() && text[end] == '-') ++end;
        while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
        return end;
    }
    return 0;
}

// A hash over pieces, each with what was before it: the order of the pieces counts.
class Pieces {
  public:
    explicit Pieces(const SipKey& key) : key_(key) {}
    void add(std::string_view piece) {
        const SipKey key = {key_[0] ^ value_, key_[1]};
        value_ = siphash24(key, piece);
    }
    uint64_t value() const { return value_; }

  private:
    SipKey key_;
    uint64_t value_ = 0;
};

}  // namespace

SipKey definition_key(const char* secret) {
    SipKey own;
    static_assert(sizeof own == kDefinitionSecretBytes);
    std::memcpy(own.data(), secret, sizeof own);
    return {siphash24(own, "pganalytics definition 0"), siphash24(own, "pganalytics definition 1")};
}

void write_definition_digest(const SipKey& key, std::string_view definition,
                             char (&digits)[kDefinitionDigestBytes]) {
    Pieces pieces(key);
    size_t begin = 0;
    size_t at = 0;
    while ((at = definition.find(':', at)) != std::string_view::npos) {
        const size_t length = location_length(definition.substr(at));
        if (length == 0) {
            ++at;
            continue;
        }
        pieces.add(definition.substr(begin, at - begin));
        begin = at += length;
    }
    pieces.add(definition.substr(begin));
    uint64_t value = pieces.value();
    for (size_t i = kDefinitionDigestBytes; i-- > 0; value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
}

}  // namespace pganalytics
