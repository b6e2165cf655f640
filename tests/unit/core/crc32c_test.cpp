// CRC-32C against the published vectors (RFC 3720, B.4) and a bit-by-bit reckoning.
#include "pganalytics/core/crc32c.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pganalytics {
namespace {

uint32_t bit_by_bit(std::string_view bytes) {
    uint32_t value = 0xffffffff;
    for (const char byte : bytes) {
        value ^= static_cast<uint8_t>(byte);
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0U);
    }
    return ~value;
}

TEST(Crc32c, PublishedVectors) {
    EXPECT_EQ(crc32c(""), 0U);
    EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
    EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
    std::string rising;
    for (char i = 0; i < 32; ++i) rising.push_back(i);
    EXPECT_EQ(crc32c(rising), 0x46dd794eU);
}

TEST(Crc32c, EachLengthAndEachCut) {
    std::string bytes;
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(crc32c(bytes), bit_by_bit(bytes)) << i;
        for (size_t cut = 0; cut <= bytes.size(); cut += 7)
            EXPECT_EQ(crc32c(bytes.substr(cut), crc32c(bytes.substr(0, cut))), crc32c(bytes));
        bytes.push_back(static_cast<char>(i * 37 + 11));
    }
}

}  // namespace
}  // namespace pganalytics
