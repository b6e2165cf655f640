// The body of a registration (see the header). Pure.
#include "pganalytics/serve/register_body.hpp"

#include <utility>

#include "pganalytics/serve/strict_json.hpp"

namespace pganalytics::serve {

namespace {

class RegisterSink {
  public:
    explicit RegisterSink(RegisterBody& body) : body_(body) {}

    JsonReason start_object(const char*) {
        if (depth_ == 1 && field_ != nullptr) return "string expected";
        ++depth_;
        return nullptr;
    }
    JsonReason end_object() {
        --depth_;
        return nullptr;
    }
    JsonReason start_array() {
        if (depth_ == 0) return "object expected";
        return start_object(nullptr);
    }
    JsonReason end_array() { return end_object(); }
    JsonReason key(std::string_view key) {
        if (depth_ != 1) return nullptr;
        field_ = nullptr;
        if (key == "name") field_ = &body_.name;
        if (key == "hostname") field_ = &body_.hostname;
        if (key == "version") field_ = &body_.version;
        if (key == "csr") field_ = &body_.csr;
        return nullptr;
    }
    JsonReason string(std::string_view text) {
        if (depth_ == 0) return "object expected";
        if (depth_ != 1 || field_ == nullptr) return nullptr;
        if (field_ != &body_.csr && text.size() > kShortTextBytes) return "string too long";
        *field_ = text;
        return nullptr;
    }
    JsonReason number(std::string_view) { return scalar(); }
    JsonReason boolean(bool) { return scalar(); }
    JsonReason null() { return depth_ == 0 ? "object expected" : nullptr; }

  private:
    JsonReason scalar() const {
        if (depth_ == 0) return "object expected";
        return depth_ == 1 && field_ != nullptr ? "string expected" : nullptr;
    }
    RegisterBody& body_;
    std::string* field_ = nullptr;
    size_t depth_ = 0;
};

}  // namespace

std::optional<JsonProblem> parse_register_body(std::string json, RegisterBody& body) {
    RegisterBody parsed;
    RegisterSink sink(parsed);
    if (auto problem = parse_strict_json(json, sink)) return problem;
    body = std::move(parsed);
    return std::nullopt;
}

}  // namespace pganalytics::serve
