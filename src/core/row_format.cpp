// Rows as bytes (see the header). Runs in the program, and in tests.
#include "pganalytics/core/row_format.hpp"

#include <cstring>
#include <utility>

namespace pganalytics {

void RowBuilder::begin() {
    body_.assign(null_bitmap_bytes(types_.size()), '\0');
    column_ = 0;
}

void RowBuilder::next(bool is_null) {
    if (is_null) {
        char& byte = body_[column_ / 8];
        byte = static_cast<char>(static_cast<unsigned char>(byte) | (1U << (column_ % 8)));
    }
    ++column_;
}

void RowBuilder::null() { next(true); }

void RowBuilder::boolean(bool value) {
    next(false);
    body_.push_back(value ? '\1' : '\0');
}

void RowBuilder::integer(int64_t value) { number(zigzag(value)); }

void RowBuilder::number(uint64_t value) {
    next(false);
    uint8_t bytes[kMaxVarintBytes];
    body_.append(reinterpret_cast<const char*>(bytes), put_varint(bytes, value));
}

void RowBuilder::real(double value) {
    next(false);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    body_.append(bytes, sizeof value);
}

void RowBuilder::text(std::string_view value) {
    if (types_[column_] == ColumnType::kUuid) {
        next(false);
        body_.append(value.substr(0, 16));
        return;
    }
    next(false);
    uint8_t bytes[kMaxVarintBytes];
    body_.append(reinterpret_cast<const char*>(bytes), put_varint(bytes, value.size()));
    body_.append(value);
}

void RowBuilder::value(const Value& value) {
    if (value.null) return null();
    switch (types_[column_]) {
        case ColumnType::kBool:
            return boolean(value.integer != 0);
        case ColumnType::kInt64:
        case ColumnType::kTimestamp:
            return integer(value.integer);
        case ColumnType::kFloat64:
            return real(value.real);
        case ColumnType::kOid:
        case ColumnType::kLsn:
            return number(static_cast<uint64_t>(value.integer));
        case ColumnType::kText:
        case ColumnType::kUuid:
        case ColumnType::kJson:
            return text(value.text);
    }
}

void RowBuilder::end() {
    uint8_t bytes[kMaxVarintBytes];
    rows_.append(reinterpret_cast<const char*>(bytes), put_varint(bytes, body_.size()));
    rows_.append(body_);
    ++count_;
}

std::string RowBuilder::take() {
    count_ = 0;
    return std::exchange(rows_, {});
}

namespace {

// Reads one value of `type`; false where it is malformed.
bool read_value(ByteReader& reader, ColumnType type, Value& value) {
    value.null = false;
    switch (type) {
        case ColumnType::kBool: {
            const uint8_t byte = reader.u8();
            value.integer = byte;
            return reader.ok() && byte <= 1;
        }
        case ColumnType::kInt64:
        case ColumnType::kTimestamp:
            value.integer = unzigzag(reader.varint());
            break;
        case ColumnType::kFloat64:
            value.real = reader.f64();
            break;
        case ColumnType::kOid: {
            const uint64_t number = reader.varint();
            value.integer = static_cast<int64_t>(number);
            return reader.ok() && number <= UINT32_MAX;
        }
        case ColumnType::kLsn:
            value.integer = static_cast<int64_t>(reader.varint());
            break;
        case ColumnType::kText:
        case ColumnType::kJson:
            value.text = reader.text();
            break;
        case ColumnType::kUuid:
            value.text = reader.raw(16);
            break;
        default:
            return false;
    }
    return reader.ok();
}

bool is_null(std::string_view body, size_t column) {
    return (static_cast<unsigned char>(body[column / 8]) >> (column % 8)) & 1U;
}

bool read_values(ByteReader& reader, std::string_view body, size_t columns,
                 std::span<const ColumnType> types, std::span<Value> values) {
    reader.raw(null_bitmap_bytes(columns));
    if (!reader.ok()) return false;
    for (size_t i = 0; i < types.size(); ++i) {
        values[i] = Value{};
        if (!is_null(body, i) && !read_value(reader, types[i], values[i])) return false;
    }
    return true;
}

}  // namespace

bool decode_row(std::string_view body, std::span<const ColumnType> types, std::span<Value> values) {
    ByteReader reader(body);
    return read_values(reader, body, types.size(), types, values) && reader.done();
}

bool decode_leading(std::string_view body, size_t columns, std::span<const ColumnType> types,
                    std::span<Value> values) {
    ByteReader reader(body);
    return types.size() <= columns && read_values(reader, body, columns, types, values);
}

std::string_view key_bytes(std::string_view body, std::span<const ColumnType> types, size_t keys) {
    ByteReader reader(body);
    reader.raw(null_bitmap_bytes(types.size()));
    if (!reader.ok() || keys > types.size()) return {};
    const size_t before = reader.remaining();
    Value ignored;
    for (size_t i = 0; i < keys; ++i) {
        if (!is_null(body, i) && !read_value(reader, types[i], ignored)) return {};
    }
    return body.substr(body.size() - before, before - reader.remaining());
}

}  // namespace pganalytics
