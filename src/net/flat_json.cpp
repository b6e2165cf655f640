// Small JSON objects by RapidJSON's event reader (see the header).
#include "pganalytics/net/flat_json.hpp"

#include <rapidjson/memorystream.h>

#include "pganalytics/net/json_memory.hpp"

namespace pganalytics::net {

// Refuses everything (by answering false) but what FlatJson asked for.
struct FlatJsonHandler : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, FlatJsonHandler> {
    static constexpr size_t kMostText = 256;

    explicit FlatJsonHandler(FlatJson& json) : members(json.members_) {}

    bool Default() { return false; }  // null, true, false, numbers with a fraction, arrays
    bool StartObject() {
        if (depth++ > 0 && !open_object()) return false;
        starts.push_back(path.size());
        return true;
    }
    bool EndObject(rapidjson::SizeType) {
        path.resize(starts.back());
        starts.pop_back();
        --depth;
        return true;
    }
    bool Key(const char* text, rapidjson::SizeType length, bool) {
        const std::string_view name(text, length);
        if (name.size() > kMostText || name.find('.') != std::string_view::npos) return false;
        path.resize(starts.back());
        path.append(name);
        return true;
    }
    bool String(const char* text, rapidjson::SizeType length, bool) {
        FlatJson::Member* member = take();
        if (member == nullptr || member->text == nullptr || length > kMostText) return false;
        member->text->assign(text, length);
        return true;
    }
    bool Int(int value) { return Int64(value); }
    bool Uint(unsigned value) { return Int64(value); }
    bool Int64(int64_t value) {
        FlatJson::Member* member = take();
        if (member == nullptr || member->integer == nullptr) return false;
        *member->integer = value;
        return true;
    }

    // An object that holds members asked for, met for the first time.
    bool open_object() {
        for (const std::string& other : opened) {
            if (other == path) return false;
        }
        opened.push_back(path);
        path += '.';
        for (const auto& member : members) {
            if (member.path.starts_with(path)) return true;
        }
        return false;
    }

    // The member that `path` names, where it was asked for and not seen before.
    FlatJson::Member* take() {
        for (auto& member : members) {
            if (member.path == path && !member.seen) {
                member.seen = true;
                return &member;
            }
        }
        return nullptr;
    }

    std::vector<FlatJson::Member>& members;
    std::string path;            // names of the open objects and of the member, joined by points
    std::vector<size_t> starts;  // where the names of each open object's members begin in `path`
    std::vector<std::string> opened;
    size_t depth = 0;
};

void FlatJson::text(std::string_view path, std::string& out) {
    members_.push_back({.path = path, .text = &out});
}

void FlatJson::integer(std::string_view path, int64_t& out) {
    members_.push_back({.path = path, .integer = &out});
}

bool FlatJson::parse(std::string_view json) {
    constexpr unsigned kFlags =
        rapidjson::kParseValidateEncodingFlag | rapidjson::kParseIterativeFlag;
    FlatJsonHandler handler(*this);
    JsonReader reader;
    rapidjson::MemoryStream bytes(json.data(), json.size());
    if (reader.Parse<kFlags>(bytes, handler).IsError() || bytes.Tell() != json.size()) return false;
    for (const Member& member : members_) {
        if (!member.seen) return false;
    }
    return true;
}

namespace {

void append_json_text(std::string& out, std::string_view text) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += '"';
    for (const char character : text) {
        const auto code = static_cast<uint8_t>(character);
        if (character == '"' || character == '\\') {
            out += '\\';
            out += character;
        } else if (code < 0x20) {
            out += "\\u00";
            out += kDigits[code >> 4];
            out += kDigits[code & 0xf];
        } else {
            out += character;
        }
    }
    out += '"';
}

void append_name(std::string& out, std::string_view name) {
    if (!out.empty()) out += ',';
    append_json_text(out, name);
    out += ':';
}

}  // namespace

void append_json_member(std::string& out, std::string_view name, std::string_view value) {
    append_name(out, name);
    append_json_text(out, value);
}

void append_json_member(std::string& out, std::string_view name, int64_t value) {
    append_name(out, name);
    out += std::to_string(value);
}

void append_json_object(std::string& out, std::string_view name, std::string_view members) {
    append_name(out, name);
    out += '{';
    out += members;
    out += '}';
}

}  // namespace pganalytics::net
