// JSON from outside, by RapidJSON (see the header). Runs in ship and register.
#include "pganalytics/ship/json_object.hpp"

#include <utility>

#include "pganalytics/net/json_memory.hpp"

namespace pganalytics::ship {

struct JsonObject::State {
    net::JsonDocument document;

    const net::JsonDocument::ValueType* find(std::string_view path) const {
        const net::JsonDocument::ValueType* value = &document;
        while (!path.empty()) {
            const std::string_view name = path.substr(0, path.find('.'));
            path.remove_prefix(std::min(name.size() + 1, path.size()));
            if (!value->IsObject()) return nullptr;
            const net::JsonDocument::ValueType key(
                rapidjson::StringRef(name.data(), static_cast<rapidjson::SizeType>(name.size())));
            const auto member = value->FindMember(key);
            if (member == value->MemberEnd()) return nullptr;
            value = &member->value;
        }
        return value;
    }
};

JsonObject::JsonObject(std::unique_ptr<State> state) : state_(std::move(state)) {}
JsonObject::~JsonObject() = default;
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;

std::optional<JsonObject> JsonObject::parse(std::string_view json) {
    auto state = std::make_unique<State>();
    // Not with full precision: nobody reads a fraction here, and "0e72" is undefined behaviour
    // there.
    constexpr unsigned kFlags =
        rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
    state->document.Parse<kFlags>(json.data(), json.size());
    if (state->document.HasParseError() || !state->document.IsObject()) return std::nullopt;
    return JsonObject(std::move(state));
}

std::optional<std::string> JsonObject::text(std::string_view path) const {
    const net::JsonDocument::ValueType* value = state_->find(path);
    if (value == nullptr || !value->IsString()) return std::nullopt;
    return std::string(value->GetString(), value->GetStringLength());
}

std::optional<uint64_t> JsonObject::number(std::string_view path) const {
    const net::JsonDocument::ValueType* value = state_->find(path);
    if (value == nullptr || !value->IsUint64()) return std::nullopt;
    return value->GetUint64();
}

std::optional<bool> JsonObject::boolean(std::string_view path) const {
    const net::JsonDocument::ValueType* value = state_->find(path);
    if (value == nullptr || !value->IsBool()) return std::nullopt;
    return value->GetBool();
}

}  // namespace pganalytics::ship
