// Keys in byte order (see the header). Runs in the program.
#include "pganalytics/core/ordered_key.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace pganalytics {

namespace {

constexpr uint8_t kNull = 0xff;
constexpr uint8_t kZero = 0x80;
constexpr uint8_t kBytes = 0x01;
constexpr uint64_t kSignBit = uint64_t{1} << 63;

void put(std::string& out, uint8_t byte) { out.push_back(static_cast<char>(byte)); }

void put_big_endian(std::string& out, uint64_t number, unsigned bytes) {
    while (bytes-- > 0) put(out, static_cast<uint8_t>(number >> (8 * bytes)));
}

// Bytes needed for `number`: 0 for zero.
unsigned width(uint64_t number) { return (static_cast<unsigned>(std::bit_width(number)) + 7) / 8; }

void put_unsigned(std::string& out, uint64_t number) {
    const unsigned bytes = width(number);
    char text[1 + sizeof number];
    text[0] = static_cast<char>(kZero + bytes);
    for (unsigned i = 0; i < bytes; ++i)
        text[1 + i] = static_cast<char>(number >> (8 * (bytes - 1 - i)));
    out.append(text, 1 + bytes);
}

void put_signed(std::string& out, int64_t number) {
    if (number >= 0) return put_unsigned(out, static_cast<uint64_t>(number));
    // The complement's width, so that -1 takes one byte and all of one width share a tag.
    const unsigned bytes = std::max(1U, width(~static_cast<uint64_t>(number)));
    put(out, static_cast<uint8_t>(kZero - bytes));
    put_big_endian(out, static_cast<uint64_t>(number), bytes);
}

void put_real(std::string& out, double number) {
    const auto bits = std::bit_cast<uint64_t>(number);
    put(out, kBytes);
    put_big_endian(out, (bits & kSignBit) != 0 ? ~bits : bits | kSignBit, 8);
}

void put_value(std::string& out, ColumnType type, const Value& value) {
    if (value.null) return put(out, kNull);
    switch (type) {
        case ColumnType::kInt64:
        case ColumnType::kTimestamp:
            return put_signed(out, value.integer);
        case ColumnType::kBool:
        case ColumnType::kOid:
        case ColumnType::kLsn:
            return put_unsigned(out, static_cast<uint64_t>(value.integer));
        case ColumnType::kFloat64:
            return put_real(out, value.real);
        case ColumnType::kText:
        case ColumnType::kJson:
            put(out, kBytes);
            out.append(value.text.substr(0, value.text.find('\0')));
            return put(out, 0);
        case ColumnType::kUuid:
            put(out, kBytes);
            out.append(value.text.substr(0, 16));
            return;
    }
}

uint64_t get_big_endian(ByteReader& in, unsigned bytes) {
    uint64_t number = 0;
    while (bytes-- > 0) number = number << 8 | in.u8();
    return number;
}

bool get_number(ByteReader& in, uint8_t tag, ColumnType type, Value& value) {
    const bool negative = tag < kZero;
    const unsigned bytes = negative ? static_cast<unsigned>(kZero - tag) : tag - kZero;
    if (bytes > 8) return false;
    uint64_t number = get_big_endian(in, bytes);
    if (negative) {
        if (type != ColumnType::kInt64 && type != ColumnType::kTimestamp) return false;
        if (bytes < 8) number |= ~uint64_t{0} << (8 * bytes);
    }
    value.integer = static_cast<int64_t>(number);
    return in.ok();
}

bool get_bytes(ByteReader& in, uint8_t tag, ColumnType type, Value& value) {
    if (tag != kBytes) return false;
    if (type == ColumnType::kFloat64) {
        const uint64_t bits = get_big_endian(in, 8);
        value.real = std::bit_cast<double>((bits & kSignBit) != 0 ? bits ^ kSignBit : ~bits);
    } else if (type == ColumnType::kUuid) {
        value.text = in.raw(16);
    } else {
        const size_t end = in.rest().find('\0');
        if (end == std::string_view::npos) return false;
        value.text = in.raw(end);
        in.u8();
    }
    return in.ok();
}

bool is_number(ColumnType type) {
    return type != ColumnType::kText && type != ColumnType::kJson && type != ColumnType::kUuid &&
           type != ColumnType::kFloat64;
}

}  // namespace

void append_ordered_key(std::string& out, std::span<const ColumnType> types,
                        std::span<const Value> values) {
    for (size_t i = 0; i < types.size(); ++i) put_value(out, types[i], values[i]);
}

bool append_ordered_key(std::string& out, std::string_view body, size_t columns,
                        std::span<const ColumnType> types) {
    std::array<Value, kMaxKeyColumns> values;
    if (types.size() > values.size() || !decode_leading(body, columns, types, values)) return false;
    append_ordered_key(out, types, values);
    return true;
}

bool decode_ordered_key(std::string_view key, std::span<const ColumnType> types,
                        std::span<Value> values) {
    ByteReader in(key);
    for (size_t i = 0; i < types.size(); ++i) {
        values[i] = Value{};
        const uint8_t tag = in.u8();
        if (!in.ok()) return false;
        if (tag == kNull) continue;
        values[i].null = false;
        if (!(is_number(types[i]) ? get_number(in, tag, types[i], values[i])
                                  : get_bytes(in, tag, types[i], values[i])))
            return false;
    }
    return in.done();
}

}  // namespace pganalytics
