// JSON values into typed columns (see the header). Pure.
#include "pganalytics/serve/push_values.hpp"

#include <bit>
#include <charconv>

#include "pganalytics/core/lsn.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

namespace {

constexpr const char* expected(ColumnType type) {
    switch (type) {
        case ColumnType::kBool:
            return "true or false expected";
        case ColumnType::kInt64:
            return "integer of 64 bits expected";
        case ColumnType::kFloat64:
            return "number expected";
        case ColumnType::kText:
            return "string expected";
        case ColumnType::kTimestamp:
            return "time in RFC 3339 form expected";
        case ColumnType::kOid:
            return "integer of 32 bits without sign expected";
        case ColumnType::kLsn:
            return "write-ahead log position expected";
        case ColumnType::kUuid:
            return "UUID expected";
        case ColumnType::kJson:
            break;
    }
    return "value of another type expected";
}

template <class T>
bool parse_whole(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

bool parse_unsigned(std::string_view text, uint64_t& value) { return parse_whole(text, value); }

std::optional<int64_t> parse_row_time(std::string_view text) {
    // "2026-02-20 10:30:00.123456+00"
    if (text.size() < 20 || text[10] != ' ') return parse_time(text);
    std::string rewritten(text.substr(0, 64));
    rewritten[10] = 'T';
    const char sign = rewritten[rewritten.size() - 3];
    if (sign == '+' || sign == '-') rewritten += ":00";
    return parse_time(rewritten);
}

const char* add_json(ValueColumn& column, std::string_view json, Push& push) {
    if (json.size() > kJsonStringBytes) return "json value too long";
    column.add_text(push.made.size(), json.size());
    push.made += json;
    return nullptr;
}

const char* add_number(ValueColumn& column, ColumnType type, std::string_view text, Push& push) {
    switch (type) {
        case ColumnType::kInt64: {
            int64_t value = 0;
            if (!parse_whole(text, value)) return expected(type);
            column.add(static_cast<uint64_t>(value));
            return nullptr;
        }
        case ColumnType::kOid: {
            uint32_t value = 0;
            if (!parse_whole(text, value)) return expected(type);
            column.add(value);
            return nullptr;
        }
        case ColumnType::kFloat64: {
            double value = 0;
            if (!parse_whole(text, value)) return expected(type);
            column.add(std::bit_cast<uint64_t>(value));
            return nullptr;
        }
        case ColumnType::kJson:
            return add_json(column, text, push);
        default:
            return expected(type);
    }
}

const char* add_string(ValueColumn& column, ColumnType type, std::string_view text, Push& push) {
    switch (type) {
        case ColumnType::kText:
            column.add_text(static_cast<size_t>(text.data() - push.body.data()), text.size());
            return nullptr;
        case ColumnType::kTimestamp: {
            // Older collectors of the family send an empty text for none.
            if (text.empty()) {
                column.add_null();
                return nullptr;
            }
            const std::optional<int64_t> time = parse_row_time(text);
            if (!time) return expected(type);
            column.add(static_cast<uint64_t>(*time));
            return nullptr;
        }
        case ColumnType::kLsn: {
            const std::optional<uint64_t> lsn = parse_lsn(text);
            if (!lsn) return expected(type);
            column.add(*lsn);
            return nullptr;
        }
        case ColumnType::kUuid: {
            const std::optional<Uuid> uuid = parse_uuid(text);
            if (!uuid) return expected(type);
            column.add_text(push.made.size(), uuid->size());
            push.made.append(reinterpret_cast<const char*>(uuid->data()), uuid->size());
            return nullptr;
        }
        case ColumnType::kJson: {
            std::string json;
            append_json_string(json, text);
            return add_json(column, json, push);
        }
        default:
            return expected(type);
    }
}

const char* add_boolean(ValueColumn& column, ColumnType type, bool value, Push& push) {
    if (type == ColumnType::kJson) return add_json(column, value ? "true" : "false", push);
    if (type != ColumnType::kBool) return expected(type);
    column.add(value ? 1 : 0);
    return nullptr;
}

}  // namespace pganalytics::serve
