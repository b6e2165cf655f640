// JSON from outside against a reader written for this test after RFC 8259 and the hub's limits:
// both accept the same texts, and both find the same in them. Then the body of a registration.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>

#include "check.hpp"
#include "pganalytics/serve/register_body.hpp"
#include "pganalytics/serve/strict_json.hpp"

namespace pganalytics::serve {

namespace {

std::string event(char kind, std::string_view text = {}) {
    return kind + std::to_string(text.size()) + ":" + std::string(text);
}

struct Recorder {
    std::string events;
    JsonReason start_object(const char*) { return add(event('{')); }
    JsonReason end_object() { return add(event('}')); }
    JsonReason start_array() { return add(event('[')); }
    JsonReason end_array() { return add(event(']')); }
    JsonReason key(std::string_view text) { return add(event('k', text)); }
    JsonReason string(std::string_view text) { return add(event('s', text)); }
    JsonReason number(std::string_view text) { return add(event('n', text)); }
    JsonReason boolean(bool value) { return add(event(value ? 't' : 'f')); }
    JsonReason null() { return add(event('0')); }
    JsonReason add(const std::string& one) {
        events += one;
        return nullptr;
    }
};

// Reads by recursive descent, each function one rule of the grammar; false: not accepted.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}
    bool read() { return value(0) && (blanks(), at_ == text_.size()); }
    std::string events;
    // An exponent beyond a double's: RapidJSON takes not even 0e309.
    bool large_exponent = false;

  private:
    char look() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) { return look() == c && at_ < text_.size() && ++at_ > 0; }
    bool word(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    void blanks() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(look()) != text_.npos) ++at_;
    }
    bool put(const std::string& one) {
        events += one;
        return true;
    }

    bool value(size_t depth) {
        blanks();
        switch (look()) {
            case '{':
                return depth < kJsonDepth && object(depth + 1);
            case '[':
                return depth < kJsonDepth && array(depth + 1);
            case '"': {
                std::string out;
                return string(out) && put(event('s', out));
            }
            case 't':
                return word("true") && put(event('t'));
            case 'f':
                return word("false") && put(event('f'));
            case 'n':
                return word("null") && put(event('0'));
            default:
                return number();
        }
    }
    bool object(size_t depth) {
        std::set<std::string> keys;
        put(event('{'));
        take('{');
        blanks();
        if (take('}')) return put(event('}'));
        do {
            blanks();
            std::string key;
            if (!string(key) || !keys.insert(key).second || keys.size() > kJsonMembers)
                return false;
            put(event('k', key));
            blanks();
            if (!take(':') || !value(depth)) return false;
            blanks();
        } while (take(','));
        return take('}') && put(event('}'));
    }
    bool array(size_t depth) {
        put(event('['));
        take('[');
        blanks();
        if (take(']')) return put(event(']'));
        do {
            if (!value(depth)) return false;
            blanks();
        } while (take(','));
        return take(']') && put(event(']'));
    }
    bool digits() {
        const size_t start = at_;
        while (look() >= '0' && look() <= '9') ++at_;
        return at_ > start;
    }
    bool number() {
        const size_t start = at_;
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        const size_t mantissa = at_;
        if (take('e') || take('E')) {
            const bool is_negative = !take('+') && take('-');
            const size_t exponent = at_;
            if (!digits()) return false;
            const std::string text(text_.substr(exponent, at_ - exponent));
            large_exponent |= !is_negative && std::strtod(text.c_str(), nullptr) > 300;
        }
        const std::string text(text_.substr(start, at_ - start));
        if (text.size() > kJsonNumberBytes) return false;
        const double number = std::strtod(text.c_str(), nullptr);
        const bool is_zero =
            text_.substr(start, mantissa - start).find_first_of("123456789") == text_.npos;
        if (!std::isfinite(number) || (number == 0 && !is_zero)) return false;
        return put(event('n', text));
    }
    bool hex(uint32_t& code) {
        const std::string_view four = text_.substr(at_, 4);
        code = 0;
        const auto [end, error] = std::from_chars(four.data(), four.data() + four.size(), code, 16);
        at_ += four.size();
        // A sign is no digit.
        return four.size() == 4 && error == std::errc{} && end == four.data() + 4 && four[0] != '-';
    }
    bool escape(std::string& out) {
        static constexpr std::string_view kFrom = "\"\\/bfnrt";
        static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
        if (const size_t which = kFrom.find(look()); at_ < text_.size() && which != kFrom.npos) {
            ++at_;
            out += kTo[which];
            return true;
        }
        uint32_t code = 0;
        if (!take('u') || !hex(code)) return false;
        if (code >= 0xdc00 && code <= 0xdfff) return false;
        if (code >= 0xd800 && code <= 0xdbff) {
            uint32_t low = 0;
            if (!take('\\') || !take('u') || !hex(low) || low < 0xdc00 || low > 0xdfff)
                return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        if (code == 0) return false;
        put_utf8(out, code);
        return true;
    }
    static void put_utf8(std::string& out, uint32_t code) {
        const auto byte = [&](uint32_t value) { out += static_cast<char>(value); };
        if (code < 0x80) return byte(code);
        if (code < 0x800) {
            byte(0xc0 | (code >> 6));
        } else {
            if (code < 0x10000) {
                byte(0xe0 | (code >> 12));
            } else {
                byte(0xf0 | (code >> 18));
                byte(0x80 | ((code >> 12) & 0x3f));
            }
            byte(0x80 | ((code >> 6) & 0x3f));
        }
        byte(0x80 | (code & 0x3f));
    }
    // One character beyond ASCII, decoded and written again: only its shortest form is the same.
    bool character(std::string& out) {
        const auto lead = static_cast<uint8_t>(look());
        const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (lead < 0xc0 || lead > 0xf7 || at_ + length > text_.size()) return false;
        uint32_t code = lead & (0xffU >> (length + 1));
        for (size_t i = 1; i < length; ++i) {
            const auto next = static_cast<uint8_t>(text_[at_ + i]);
            if ((next & 0xc0) != 0x80) return false;
            code = (code << 6) | (next & 0x3fU);
        }
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        std::string again;
        put_utf8(again, code);
        if (again != text_.substr(at_, length)) return false;
        out += again;
        at_ += length;
        return true;
    }
    bool string(std::string& out) {
        if (!take('"')) return false;
        while (at_ < text_.size()) {
            const auto c = static_cast<uint8_t>(look());
            if (take('"')) return out.size() <= kJsonStringBytes;
            if (c < 0x20) return false;
            if (c >= 0x80) {
                if (!character(out)) return false;
            } else if (take('\\')) {
                if (!escape(out)) return false;
            } else {
                out += look();
                ++at_;
            }
        }
        return false;
    }

    std::string_view text_;
    size_t at_ = 0;
};

void try_register(const std::string& text, bool is_json) {
    RegisterBody body;
    body.name = "untouched";
    if (const auto problem = parse_register_body(text, body)) {
        FUZZ_CHECK(body.name == "untouched" && !problem->reason.empty());
        return;
    }
    FUZZ_CHECK(is_json);
    for (const std::string* part : {&body.name, &body.hostname, &body.version}) {
        FUZZ_CHECK(part->size() <= kShortTextBytes && is_utf8(*part));
    }
    FUZZ_CHECK(body.csr.size() <= kJsonStringBytes && is_utf8(body.csr));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(fuzz_text(data, size));
    std::string parsed = text;
    Recorder recorder;
    const auto problem = parse_strict_json(parsed, recorder);
    Reader reader(text);
    const bool accepted = reader.read();
    FUZZ_CHECK(accepted == !problem || (accepted && reader.large_exponent));
    if (problem) {
        FUZZ_CHECK(problem->offset <= text.size() && !problem->reason.empty());
    } else {
        FUZZ_CHECK(recorder.events == reader.events);
    }
    try_register(text, accepted);
    return 0;
}

}  // namespace pganalytics::serve
