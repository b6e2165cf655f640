// JSON from outside: RapidJSON's parser with rules of our own around it. Refused beside
// what RFC 8259 refuses: more than kJsonDepth levels, kJsonMembers members of an object,
// kJsonTokens values and keys; a key twice in an object; strings over kJsonStringBytes, with NUL or
// with half a surrogate pair; numbers over kJsonNumberBytes or beyond a double; ill-formed UTF-8; a
// byte order mark; bytes behind the value. Pure. Runs in `pganalytics serve`.
//
// Included by the files that parse (it brings RapidJSON): strict_json is a template over the sink
// that takes the events.
#pragma once

#include <rapidjson/error/en.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/utf8.hpp"
#include "pganalytics/net/json_memory.hpp"
#include "pganalytics/serve/json_problem.hpp"
#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

// What a sink answers to an event: a reason (fixed text) to stop with, or null.
using JsonReason = const char*;

// The keys met in one object, to find one met twice. A fingerprint is compared first: eight bytes
// of the key, or a hash of all of it.
class KeySet {
  public:
    void clear() { count_ = 0; }
    // False where the key is there already. The view must live as long as the set.
    bool insert(std::string_view key) {
        const uint64_t fingerprint = fingerprint_of(key);
        for (size_t i = 0; i < count_; ++i) {
            if (fingerprints_[i] == fingerprint && keys_[i] == key) return false;
        }
        fingerprints_[count_] = fingerprint;
        keys_[count_++] = key;
        return true;
    }
    bool full() const { return count_ == kJsonMembers; }

  private:
    static uint64_t fingerprint_of(std::string_view key) {
        uint64_t hash = key.size();
        while (!key.empty()) {
            uint64_t word = 0;
            const size_t taken = std::min<size_t>(key.size(), sizeof word);
            std::memcpy(&word, key.data(), taken);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
            hash ^= hash >> 32;
            key.remove_prefix(taken);
        }
        return hash;
    }
    std::array<uint64_t, kJsonMembers> fingerprints_;
    std::array<std::string_view, kJsonMembers> keys_;
    size_t count_ = 0;
};

// RapidJSON's handler: holds the rules, passes on what keeps them.
//
// A Sink has: JsonReason start_object(const char* behind), end_object(), start_array(),
// end_array(), key(string_view), string(string_view), number(string_view), boolean(bool), null();
// `behind` is the raw text behind the brace. Views point into the text and stay.
template <class Sink>
class JsonRules {
  public:
    JsonRules(Sink& sink, const rapidjson::InsituStringStream& stream, bool has_unicode_escapes)
        : sink_(sink), stream_(stream), has_unicode_escapes_(has_unicode_escapes) {}

    JsonReason reason() const { return reason_; }

    bool Null() { return token() && pass(sink_.null()); }
    bool Bool(bool value) { return token() && pass(sink_.boolean(value)); }
    bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
        if (length > kJsonNumberBytes) return stop("number too long");
        const std::string_view number(text, length);
        if (!is_finite(number)) return stop("number beyond the range of a double");
        return token() && pass(sink_.number(number));
    }
    bool String(const char* text, rapidjson::SizeType length, bool) {
        const std::string_view string(text, length);
        return check_string(string) && token() && pass(sink_.string(string));
    }
    bool Key(const char* text, rapidjson::SizeType length, bool) {
        const std::string_view key(text, length);
        if (!check_string(key) || !token()) return false;
        KeySet& keys = *keys_[depth_ - 1];
        if (keys.full()) return stop("too many members in an object");
        if (!keys.insert(key)) return stop("key twice in an object");
        return pass(sink_.key(key));
    }
    bool StartObject() {
        if (!token() || !deeper()) return false;
        if (!keys_[depth_ - 1]) keys_[depth_ - 1] = std::make_unique<KeySet>();
        keys_[depth_ - 1]->clear();
        // Versions of RapidJSON differ in whether the brace is taken by now.
        const char* at = stream_.src_;
        return pass(sink_.start_object(*at == '{' ? at + 1 : at));
    }
    bool EndObject(rapidjson::SizeType) {
        --depth_;
        return pass(sink_.end_object());
    }
    bool StartArray() { return token() && deeper() && pass(sink_.start_array()); }
    bool EndArray(rapidjson::SizeType) {
        --depth_;
        return pass(sink_.end_array());
    }

    // Not called with numbers kept as text.
    bool Int(int) { return stop("number"); }
    bool Uint(unsigned) { return stop("number"); }
    bool Int64(int64_t) { return stop("number"); }
    bool Uint64(uint64_t) { return stop("number"); }
    bool Double(double) { return stop("number"); }

  private:
    bool stop(JsonReason reason) {
        reason_ = reason;
        return false;
    }
    bool pass(JsonReason reason) { return reason == nullptr || stop(reason); }
    bool token() { return ++tokens_ <= kJsonTokens || stop("too many values"); }
    bool deeper() { return ++depth_ <= kJsonDepth || stop("nested too deeply"); }
    bool check_string(std::string_view text) {
        if (text.size() > kJsonStringBytes) return stop("string too long");
        // The raw text is well-formed without NUL, so that only an escape can have made one.
        if (has_unicode_escapes_ && !is_utf8(text)) return stop("NUL or half a surrogate pair");
        return true;
    }
    static bool is_finite(std::string_view number) {
        // No exponent: at most 32 digits.
        bool has_exponent = false;
        for (const char c : number) has_exponent |= (c | 0x20) == 'e';
        if (!has_exponent) return true;
        double value = 0;
        return std::from_chars(number.data(), number.data() + number.size(), value).ec ==
               std::errc{};
    }

    Sink& sink_;
    const rapidjson::InsituStringStream& stream_;
    const bool has_unicode_escapes_;
    JsonReason reason_ = nullptr;
    size_t tokens_ = 0;
    size_t depth_ = 0;
    std::array<std::unique_ptr<KeySet>, kJsonDepth> keys_;
};

// Parses `text` in place (strings are unescaped where they stand, so that views into it live as
// long as it does). Empty where all went well; else what is wrong and where. `place` of the
// problem is left to the caller, who knows the sink.
template <class Sink>
std::optional<JsonProblem> parse_strict_json(std::string& text, Sink& sink) {
    const size_t valid = utf8_valid_prefix(text);
    if (valid < text.size()) return JsonProblem{valid, "not valid UTF-8, or NUL", {}};
    const bool has_unicode_escapes = text.find("\\u") != std::string::npos;
    rapidjson::InsituStringStream stream(text.data());
    JsonRules<Sink> rules(sink, stream, has_unicode_escapes);
    net::JsonReader reader;
    // The parser recurses, but only after the rules have let it one level deeper: kJsonDepth times
    // at most. (The iterative form costs a third more.)
    constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
    const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, rules);
    if (!result.IsError()) return std::nullopt;
    const char* reason = result.Code() == rapidjson::kParseErrorTermination && rules.reason()
                             ? rules.reason()
                             : rapidjson::GetParseError_En(result.Code());
    return JsonProblem{result.Offset(), reason, {}};
}

}  // namespace pganalytics::serve
