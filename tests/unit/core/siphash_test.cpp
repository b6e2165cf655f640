// SipHash against the openssl command line:
//   openssl mac -macopt hexkey:000102...0f -macopt size:8 [-macopt c-rounds:1 -macopt d-rounds:3]
//           -in FILE SIPHASH      (FILE holds the bytes 0, 1, ... length - 1; printed low byte
//           first)
#include "pganalytics/core/siphash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pganalytics {
namespace {

struct Vector {
    size_t length;
    uint64_t siphash24;
    uint64_t siphash13;
};

constexpr Vector kVectors[] = {
    {0, 0x726fdb47dd0e0e31, 0xabac0158050fc4dc},  {1, 0x74f839c593dc67fd, 0xc9f49bf37d57ca93},
    {7, 0xab0200f58b01d137, 0xd3927d989bb11140},  {8, 0x93f5f5799a932462, 0x369095118d299a8e},
    {15, 0xa129ca6149be45e5, 0xd320d86d2a519956}, {63, 0x958a324ceb064572, 0x9d199062b7bbb3a8},
    {64, 0xacd2c40b8502cad8, 0xf17997ec4b4a6065},
};

TEST(SipHash, AgreesWithOpenssl) {
    const SipKey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    for (const Vector& vector : kVectors) {
        std::string bytes;
        for (size_t i = 0; i < vector.length; ++i) bytes.push_back(static_cast<char>(i));
        EXPECT_EQ(siphash24(key, bytes), vector.siphash24) << vector.length;
        EXPECT_EQ(siphash13(key, bytes), vector.siphash13) << vector.length;
    }
}

}  // namespace
}  // namespace pganalytics
