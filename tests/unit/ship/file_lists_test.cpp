#include "pganalytics/ship/file_lists.hpp"

#include <gtest/gtest.h>

namespace pganalytics::ship {
namespace {

constexpr int64_t kPeriod = FileLists::kPeriodUs;

class FileListsTest : public testing::Test {
  protected:
    FileListsTest() { lists_.set_limit(10 * FileLists::kBytesAtOnce); }
    void keep(uint32_t datid, int64_t now, size_t bytes = 100) {
        lists_.keep({datid, "d", std::make_shared<const std::string>(bytes, 'x')}, now);
    }
    std::vector<uint32_t> due(int64_t now) {
        std::vector<uint32_t> datids;
        for (const FileList& list : lists_.take_due(now)) datids.push_back(list.datid);
        return datids;
    }
    using Datids = std::vector<uint32_t>;
    FileLists lists_;
};

TEST_F(FileListsTest, WhatWasTouchedIsDueAfterItsPeriod) {
    keep(1, 0);
    keep(2, 0);
    lists_.touch(1);
    lists_.touch(3);
    EXPECT_EQ(due(kPeriod - 1), Datids{});
    EXPECT_EQ(due(kPeriod), Datids{1});
    EXPECT_EQ(due(3 * kPeriod), Datids{}) << "nothing touched since";
    lists_.touch(1);
    EXPECT_EQ(due(3 * kPeriod), Datids{1});
    lists_.touch(1);
    EXPECT_EQ(due(4 * kPeriod - 1), Datids{});
}

TEST_F(FileListsTest, AVisitsListIsMeasured) {
    keep(1, 0);
    lists_.touch(1);
    keep(1, kPeriod / 2, 70);
    EXPECT_EQ(due(2 * kPeriod), Datids{});
    lists_.touch(1);
    const auto taken = lists_.take_due(2 * kPeriod);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].rows->size(), 70U);
    EXPECT_EQ(lists_.bytes(), 70U);
}

TEST_F(FileListsTest, ManyComeTurnByTurn) {
    for (uint32_t datid = 1; datid <= 4; ++datid) {
        keep(datid, 4 - datid, FileLists::kBytesAtOnce / 2);
        lists_.touch(datid);
    }
    EXPECT_EQ(due(2 * kPeriod), (Datids{4, 3}));
    EXPECT_EQ(due(2 * kPeriod), (Datids{2, 1}));
    keep(9, 0, 3 * FileLists::kBytesAtOnce);
    lists_.touch(9);
    EXPECT_EQ(due(2 * kPeriod), Datids{9}) << "a large one alone";
}

TEST_F(FileListsTest, MemoryIsBounded) {
    lists_.set_limit(250);
    for (uint32_t datid = 1; datid <= 3; ++datid) {
        keep(datid, 0);
        lists_.touch(datid);
    }
    EXPECT_EQ(lists_.bytes(), 200U);
    EXPECT_EQ(due(kPeriod), (Datids{1, 2}));
    keep(2, 0, 151);
    EXPECT_EQ(lists_.bytes(), 100U) << "the old one is not right any more";
    lists_.set_limit(99);
    EXPECT_EQ(lists_.bytes(), 0U);
    lists_.touch(1);
    EXPECT_EQ(due(3 * kPeriod), Datids{});
}

TEST_F(FileListsTest, DroppedDatabasesAreForgotten) {
    keep(1, 0);
    keep(2, 0);
    for (const uint32_t datid : {1U, 2U}) lists_.touch(datid);
    lists_.keep_databases(Datids{2, 5});
    EXPECT_EQ(lists_.bytes(), 100U);
    EXPECT_EQ(due(kPeriod), Datids{2});
}

}  // namespace
}  // namespace pganalytics::ship
