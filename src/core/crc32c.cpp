// CRC-32C by tables, eight bytes a step (see the header).
#include "pganalytics/core/crc32c.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace pganalytics {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected
constexpr size_t kStep = 8;

using Tables = std::array<std::array<uint32_t, 256>, kStep>;

constexpr Tables make_tables() {
    Tables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
        tables[0][byte] = value;
    }
    for (size_t table = 1; table < kStep; ++table)
        for (size_t byte = 0; byte < 256; ++byte)
            tables[table][byte] =
                (tables[table - 1][byte] >> 8) ^ tables[0][tables[table - 1][byte] & 0xff];
    return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t before) {
    static_assert(std::endian::native == std::endian::little);
    uint32_t value = ~before;
    for (; bytes.size() >= kStep; bytes.remove_prefix(kStep)) {
        uint64_t eight = 0;
        std::memcpy(&eight, bytes.data(), sizeof eight);
        eight ^= value;
        value = 0;
        for (size_t i = 0; i < kStep; ++i)
            value ^= kTables[kStep - 1 - i][(eight >> (8 * i)) & 0xff];
    }
    for (const char byte : bytes)
        value = (value >> 8) ^ kTables[0][(value ^ static_cast<uint8_t>(byte)) & 0xff];
    return ~value;
}

}  // namespace pganalytics
