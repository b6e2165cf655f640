// The hash against the same sums made with Python's whole numbers, and what is asked of it: each
// bit counts. In Python, with fold(a, b) = low 64 bits of a * b ^ its high 64 bits, w(i) the
// little-endian word at byte i, K the key: three lanes begin as K[0]; while 48 bytes are left each
// lane k takes fold(w ^ K[1 + k], next w ^ lane) of its 16; then lane = the three xored, while 16
// are left lane = fold(w ^ K[1], next w ^ lane), what is left filled with zeros the same with K[2];
// last fold(lane ^ K[3], K[0] ^ length).
#include "pganalytics/core/fold_hash.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>

namespace pganalytics {
namespace {

constexpr FoldKey kKey = {0x9ae16a3b2f90404f, 0xc949d7c7509e6557, 0xff51afd7ed558ccd,
                          0x9e3779b97f4a7c15};

struct Vector {
    size_t length;
    uint64_t hash;
};

constexpr Vector kVectors[] = {
    {0, 0x95c8da5d469b3b7f},   {1, 0x82ec9e4c88df2f5d},   {7, 0xf40beebcdc223600},
    {8, 0x036c9b9b9d2da34a},   {15, 0x778025bb64c9d83e},  {16, 0x72120163a6482646},
    {17, 0x95329eea607df10e},  {47, 0x1ee558f408c41e30},  {48, 0xd983ad3d22a5dd40},
    {49, 0x6c7427f350cfe933},  {95, 0xcddd2654bd65e0fd},  {96, 0x5f357bc976e207ed},
    {168, 0x06202d2b033a441a}, {200, 0xee911e3706a7703c},
};

std::string counted(size_t length) {
    std::string bytes;
    for (size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(i));
    return bytes;
}

TEST(FoldHash, IsTheSumsItSaysItIs) {
    for (const Vector& vector : kVectors)
        EXPECT_EQ(fold_hash(kKey, counted(vector.length)), vector.hash) << vector.length;
}

TEST(FoldHash, EachBitOfBytesAndKeyCounts) {
    for (const size_t length : {1U, 8U, 16U, 47U, 48U, 168U}) {
        const std::string bytes = counted(length);
        const uint64_t hash = fold_hash(kKey, bytes);
        int flipped = 0;
        for (size_t bit = 0; bit < length * 8; ++bit) {
            std::string other = bytes;
            other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
            const uint64_t changed = fold_hash(kKey, other);
            ASSERT_NE(changed, hash) << length << " " << bit;
            flipped += std::popcount(changed ^ hash);
        }
        EXPECT_NEAR(flipped / static_cast<double>(length * 8), 32, 4) << length;
        for (size_t bit = 0; bit < 256; ++bit) {
            FoldKey other = kKey;
            other[bit / 64] ^= uint64_t{1} << (bit % 64);
            if (length < 48 && bit / 64 == 1 && length < 16) continue;  // not used
            EXPECT_NE(fold_hash(other, bytes), hash) << length << " " << bit;
        }
    }
}

TEST(FoldHash, ZerosAreToldApartByTheirNumber) {
    std::set<uint64_t> hashes;
    for (size_t length = 0; length < 200; ++length)
        hashes.insert(fold_hash(kKey, std::string(length, '\0')));
    EXPECT_EQ(hashes.size(), 200U);
}

// What a pass hashes: counters of which one went up by one.
TEST(FoldHash, NeighboursDoNotCollide) {
    std::set<uint64_t> hashes;
    for (uint64_t first = 0; first < 300; ++first) {
        for (uint64_t second = 0; second < 300; ++second) {
            uint64_t counters[21] = {};
            counters[3] = first;
            counters[17] = second;
            hashes.insert(
                fold_hash(kKey, {reinterpret_cast<const char*>(counters), sizeof counters}));
        }
    }
    EXPECT_EQ(hashes.size(), 90000U);
}

}  // namespace
}  // namespace pganalytics
