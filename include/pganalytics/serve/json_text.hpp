// JSON text made: strings with their escapes, small objects of answers. Pure. Runs in
// `pganalytics serve`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pganalytics::serve {

// Appends `text` (well-formed UTF-8) with its quotes.
void append_json_string(std::string& out, std::string_view text);

// {"a": 1, "b": "x"}: members in the order they are added.
class JsonObject {
  public:
    JsonObject& text(std::string_view key, std::string_view value);
    JsonObject& number(std::string_view key, uint64_t value);
    JsonObject& boolean(std::string_view key, bool value);
    JsonObject& null(std::string_view key);
    // `value` is JSON already.
    JsonObject& raw(std::string_view key, std::string_view value);
    // RFC 3339; null where there is no such text.
    JsonObject& time(std::string_view key, int64_t microseconds);
    // Closes it; the end of its use.
    std::string take();

  private:
    void key(std::string_view key);
    std::string out_ = "{";
};

}  // namespace pganalytics::serve
