// Copies that stay where they are, and what they take of memory.
#include "pganalytics/core/byte_arena.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pganalytics {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;
// malloc's threshold in `pganalytics ship` (ship_main.cpp): what is as large goes back to the
// system.
constexpr size_t kGoesBack = kMegabyte;

TEST(ByteArena, CopiesStayWhereTheyAre) {
    ByteArena arena;
    std::vector<std::string> originals;
    std::vector<std::string_view> copies;
    for (size_t i = 0; i < 20'000; ++i) {
        originals.push_back(std::to_string(i) + std::string(i % 1000, 'x'));
        copies.push_back(arena.copy(originals.back()));
    }
    const std::string larger_than_a_block(3 * kMegabyte, 'y');
    EXPECT_EQ(arena.copy(larger_than_a_block), larger_than_a_block);
    EXPECT_EQ(arena.copy({}), "");
    for (size_t i = 0; i < copies.size(); ++i) EXPECT_EQ(copies[i], originals[i]);
    arena.clear();
    EXPECT_EQ(arena.held(), 0U);
}

// In steps of blocks: small ones while there is little, such as go back to the system beyond.
TEST(ByteArena, LittleIsTakenForLittleAndMuchGoesBack) {
    ByteArena arena;
    const std::string row(200, 'r');
    size_t held = 0;
    for (size_t copied = 0; copied < 20 * kMegabyte; copied += row.size()) {
        arena.copy(row);
        const size_t block = arena.held() - held;
        const bool small = held < 4 * kMegabyte;
        if (block > 0 && small) {
            EXPECT_LE(block, kMegabyte / 4);
        }
        if (block > 0 && !small) {
            EXPECT_GE(block, kGoesBack);
        }
        held = arena.held();
        EXPECT_LE(held, copied + copied / 100 + 3 * kMegabyte);
    }
}

}  // namespace
}  // namespace pganalytics
