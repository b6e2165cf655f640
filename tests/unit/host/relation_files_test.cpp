// Sizes of relations from files as a server makes them, and names that nobody should follow.
#include "pganalytics/host/relation_files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "pganalytics/host/relation_sizes.hpp"

namespace pganalytics::host {
namespace {

class RelationFiles : public testing::Test {
  protected:
    RelationFiles() {
        char path[] = "/tmp/pganalytics-files-XXXXXX";
        data_ = mkdtemp(path);
        std::filesystem::create_directories(data_ + "/base/5");
    }
    ~RelationFiles() override { std::filesystem::remove_all(data_); }

    void file(const std::string& name, size_t bytes) {
        std::ofstream(data_ + "/" + name) << std::string(bytes, 'x');
    }

    std::string data_;
};

TEST(RelationFolder, IsOneOfTheServersOrNone) {
    for (const char* good :
         {"global", "base/5", "base/4294967295", "pg_tblspc/16400/PG_15_202209061/5"}) {
        EXPECT_TRUE(is_relation_folder(good)) << good;
    }
    for (const char* bad : {"",
                            "/",
                            "base",
                            "base/",
                            "base/x",
                            "base/5/",
                            "base/5/..",
                            "base/../etc",
                            "base/05",
                            "base/4294967296",
                            "base/-5",
                            "base/5x",
                            "global/",
                            "global/1",
                            "/etc",
                            "../base/5",
                            "pg_tblspc/16400",
                            "pg_tblspc/16400/5",
                            "pg_tblspc/16400/PG_15/5",
                            "pg_tblspc/16400/PG_15_1/../5",
                            "pg_tblspc/16400/PG_15_1/5/x",
                            "pg_tblspc//PG_15_1/5"}) {
        EXPECT_FALSE(is_relation_folder(bad)) << bad;
    }
    EXPECT_FALSE(is_relation_folder("base/" + std::string(300, '1')));
}

TEST(RelationFile, IsNamedAsTheServerDoes) {
    uint32_t number = 0;
    Fork fork = Fork::kInit;
    ASSERT_TRUE(parse_relation_file("16384", number, fork));
    EXPECT_EQ(number, 16384U);
    EXPECT_EQ(fork, Fork::kMain);
    ASSERT_TRUE(parse_relation_file("16385_fsm.1", number, fork));
    EXPECT_EQ(number, 16385U);
    EXPECT_EQ(fork, Fork::kFreeSpace);
    ASSERT_TRUE(parse_relation_file("1_vm", number, fork));
    EXPECT_EQ(fork, Fork::kVisibility);
    ASSERT_TRUE(parse_relation_file("4294967295_init", number, fork));
    EXPECT_EQ(fork, Fork::kInit);
    for (const char* bad : {"", ".", "..", "t3_16384", "pg_filenode.map", "PG_VERSION", "16384_",
                            "16384_FSM", "16384.", "16384.x", "16384.1.2", "16384_fsm_vm",
                            "4294967296", "-1", "016384", "16384 ", "16384_vm.0"}) {
        EXPECT_FALSE(parse_relation_file(bad, number, fork)) << bad;
    }
}

TEST_F(RelationFiles, SegmentsAreAddedUp) {
    file("base/5/16384", 8192);
    file("base/5/16384.1", 4096);
    file("base/5/16384.12", 100);
    file("base/5/16384_fsm", 24576);
    file("base/5/16384_vm", 8192);
    file("base/5/16385_init", 8192);
    file("base/5/t3_16384", 77);
    file("base/5/PG_VERSION", 3);
    std::filesystem::create_directory(data_ + "/base/5/16386");
    ASSERT_EQ(symlink("16384", (data_ + "/base/5/16387").c_str()), 0);
    const Result<FolderSizes> sizes = read_relation_folder(data_, "base/5");
    ASSERT_TRUE(sizes);
    ASSERT_TRUE(sizes->find(16384) && sizes->find(16385));
    EXPECT_EQ(sizes->find(16384)->bytes, (std::array<int64_t, kForks>{12388, 24576, 8192, 0}));
    EXPECT_TRUE(sizes->find(16384)->has_main);
    EXPECT_EQ(sizes->find(16385)->bytes, (std::array<int64_t, kForks>{0, 0, 0, 8192}));
    EXPECT_FALSE(sizes->find(16385)->has_main);
    for (const uint32_t none : {0U, 3U, 16383U, 16386U, 16387U})
        EXPECT_FALSE(sizes->find(none)) << none;
    EXPECT_FALSE(read_relation_folder(data_, "base/6"));
    // At the limit and one past it.
    EXPECT_TRUE(read_relation_folder(data_, "base/5", 8));
    EXPECT_FALSE(read_relation_folder(data_, "base/5", 7));
}

class RelationSizes : public RelationFiles {
  protected:
    RelationSizes() : columns_(columns_for(*find_rowset("pg_stats", "file_sizes"), 15)) {}

    std::string row(uint32_t relid, const char* folder, uint32_t number) {
        RowBuilder rows(types_);
        rows.begin();
        for (const Column* column : columns_) {
            if (column->name == "relid") {
                rows.number(relid);
            } else if (column->name == "folder" && folder != nullptr) {
                rows.text(folder);
            } else if (column->name == "relfilenode") {
                rows.number(number);
            } else {
                rows.null();
            }
        }
        rows.end();
        return rows.take();
    }

    // relid -> the four sizes, -1 for null.
    std::map<int64_t, std::array<int64_t, kForks>> sizes_in(const std::string& rows) {
        std::map<int64_t, std::array<int64_t, kForks>> found;
        std::vector<Value> values(types_.size());
        RowReader reader(rows);
        for (std::string_view body; reader.next(body);) {
            EXPECT_TRUE(decode_row(body, types_, values));
            std::array<int64_t, kForks>& sizes = found[values[1].integer];
            for (size_t fork = 0; fork < kForks; ++fork) {
                const Value& value = values[types_.size() - kForks + fork];
                sizes[fork] = value.null ? -1 : value.integer;
            }
        }
        return found;
    }

    std::vector<const Column*> columns_;
    std::vector<ColumnType> types_ = types_of(columns_);
};

TEST_F(RelationSizes, FillTheRowsThatNameThem) {
    file("base/5/16384", 8192);
    file("base/5/16384_vm", 4096);
    file("secret", 1234);
    const std::string rows = row(1, "base/5", 16384) + row(2, "base/5", 16999) +
                             row(3, "../..", 16384) + row(4, nullptr, 16384);
    RowBuilder out(types_);
    ASSERT_TRUE(fill_file_sizes(rows, columns_, data_, AbsentFiles::kNull, out));
    EXPECT_EQ(out.count(), 4U);
    EXPECT_EQ(sizes_in(out.take()),
              (std::map<int64_t, std::array<int64_t, kForks>>{{1, {8192, 0, 4096, 0}},
                                                              {2, {-1, -1, -1, -1}},
                                                              {3, {-1, -1, -1, -1}},
                                                              {4, {-1, -1, -1, -1}}}));
}

TEST_F(RelationSizes, AskedForAgainWhatIsGoneIsLeftOut) {
    file("base/5/16384", 8192);
    const std::string rows = row(1, "base/5", 16384) + row(2, "base/5", 16999);
    RowBuilder out(types_);
    ASSERT_TRUE(fill_file_sizes(rows, columns_, data_, AbsentFiles::kLeftOut, out));
    EXPECT_EQ(sizes_in(out.take()),
              (std::map<int64_t, std::array<int64_t, kForks>>{{1, {8192, 0, 0, 0}}}));
}

TEST_F(RelationSizes, AFolderThatIsNotThereCostsItsSizesOnly) {
    file("base/5/16384", 8192);
    RowBuilder out(types_);
    const Status filled = fill_file_sizes(row(1, "base/5", 16384) + row(2, "base/7", 16384),
                                          columns_, data_, AbsentFiles::kNull, out);
    EXPECT_FALSE(filled);
    EXPECT_EQ(sizes_in(out.take()), (std::map<int64_t, std::array<int64_t, kForks>>{
                                        {1, {8192, 0, 0, 0}}, {2, {-1, -1, -1, -1}}}));
}

TEST_F(RelationSizes, MalformedRowsAreAnError) {
    RowBuilder out(types_);
    const std::string good = row(1, "base/5", 16384);
    EXPECT_FALSE(
        fill_file_sizes(good.substr(0, good.size() - 1), columns_, data_, AbsentFiles::kNull, out));
    EXPECT_FALSE(
        fill_file_sizes(std::string("\x05zzzzz", 6), columns_, data_, AbsentFiles::kNull, out));
    EXPECT_TRUE(fill_file_sizes("", columns_, data_, AbsentFiles::kNull, out));
}

}  // namespace
}  // namespace pganalytics::host
