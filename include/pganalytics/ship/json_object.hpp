// One JSON object from outside, read member by member with strict types. Runs in ship and register.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pganalytics::ship {

class JsonObject {
  public:
    // Empty where the bytes are not one JSON object in valid UTF-8. Hostile bytes: takes no stack
    // for their depth.
    static std::optional<JsonObject> parse(std::string_view json);
    ~JsonObject();
    JsonObject(JsonObject&&) noexcept;
    JsonObject& operator=(JsonObject&&) noexcept;

    // Empty where there is no such member or it is of another type. "limits.max_body" is a member
    // of the member object "limits".
    std::optional<std::string> text(std::string_view path) const;
    std::optional<uint64_t> number(std::string_view path) const;
    std::optional<bool> boolean(std::string_view path) const;

  private:
    struct State;
    explicit JsonObject(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace pganalytics::ship
