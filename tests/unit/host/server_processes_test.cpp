// PostgreSQL's processes by kind, from a /proc of our own making: what is summed, what is
// remembered.
#include "pganalytics/host/server_processes.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "pganalytics/core/catalog.hpp"
#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using testing::TemporaryFolder;
using testing::write_text;

constexpr int64_t kPostmaster = 100;

struct Use {
    int64_t user = 0;
    int64_t system = 0;
    int64_t read = 0;
    int64_t anonymous_kb = 0;
};

class ServerProcessesTest : public ::testing::Test {
  protected:
    void put(int64_t pid, const std::string& title, int64_t start, const Use& use) {
        const std::string folder = root_ / "proc/" + std::to_string(pid);
        std::filesystem::create_directories(folder + "/task/" + std::to_string(pid));
        write_text(folder + "/cmdline", title + std::string(3, '\0'));
        // The name is anybody's choice.
        write_text(folder + "/stat",
                   std::to_string(pid) + " (x) R 1 (y) S 99 1 1 0 -1 4194560 11 0 12 0 " +
                       std::to_string(use.user) + " " + std::to_string(use.system) +
                       " 50 60 20 0 1 0 " + std::to_string(start) + " 1000 10\n");
        write_text(folder + "/status", "Name:\tx\nVmSwap:\t       2 kB\nRssAnon:\t     " +
                                           std::to_string(use.anonymous_kb) +
                                           " kB\nvoluntary_ctxt_switches:\t7\n"
                                           "nonvoluntary_ctxt_switches:\t3\n");
        write_text(folder + "/io", "rchar: 1\nread_bytes: " + std::to_string(use.read) +
                                       "\nwrite_bytes: 5\ncancelled_write_bytes: 1\n");
    }
    void set_children(const std::string& pids) {
        write_text(root_ / ("proc/" + std::to_string(kPostmaster) + "/task/" +
                            std::to_string(kPostmaster) + "/children"),
                   pids);
    }
    // kind -> column -> value, -1 for null
    std::map<std::string, std::map<std::string, int64_t>> read() {
        const auto columns = columns_for(*find_rowset("sysstat", "processes"), 15);
        const auto types = types_of(columns);
        RowBuilder builder(types);
        EXPECT_TRUE(processes_.read(root_.path(), builder));
        std::map<std::string, std::map<std::string, int64_t>> rows;
        RowReader reader(builder.rows());
        std::string_view body;
        std::vector<Value> values(types.size());
        while (reader.next(body)) {
            EXPECT_TRUE(decode_row(body, types, values)) << "not of the catalog's columns";
            auto& row = rows[std::string(values[0].text)];
            for (size_t i = 1; i < columns.size(); ++i)
                row[std::string(columns[i]->name)] = values[i].null ? -1 : values[i].integer;
        }
        EXPECT_TRUE(reader.ok());
        return rows;
    }

    TemporaryFolder root_;
    ServerProcesses processes_{1'700'000'000'000'000, kPostmaster};
};

TEST_F(ServerProcessesTest, SumsAreByKind) {
    put(kPostmaster, "/usr/bin/postgres", 1, {1000, 2000, 0, 1});
    put(101, "postgres: walwriter ", 5, {10, 20, 4096, 100});
    put(102, "postgres: me db [local] idle", 6, {1, 2, 512, 300});
    put(103, "postgres: me db [local] idle", 7, {3, 4, 512, 200});
    put(104, "/usr/bin/postgres", 8, {9, 9, 9, 9});  // without a title yet
    set_children("101 102 103 104 105 ");
    auto rows = read();
    EXPECT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows["client backend"],
              (std::map<std::string, int64_t>{{"processes", 2},
                                              {"user_us", 40'000},
                                              {"system_us", 60'000},
                                              {"minor_faults", 22},
                                              {"major_faults", 24},
                                              {"voluntary_switches", 14},
                                              {"involuntary_switches", 6},
                                              {"read_bytes", 1024},
                                              {"write_bytes", 10},
                                              {"private_bytes", 500 * 1024},
                                              {"largest_private_bytes", 300 * 1024},
                                              {"swap_bytes", 4096},
                                              {"ended_user_us", -1},
                                              {"ended_system_us", -1},
                                              {"counted_since", 1'700'000'000'000'000}}));
    EXPECT_EQ(rows["walwriter"]["system_us"], 200'000);
    EXPECT_EQ(rows["postmaster"]["user_us"], 10'000'000);
    EXPECT_EQ(rows["postmaster"]["ended_user_us"], 500'000);
    EXPECT_EQ(rows["postmaster"]["ended_system_us"], 600'000);
}

TEST_F(ServerProcessesTest, CountersNeverFallWhoeverComesAndGoes) {
    put(kPostmaster, "/usr/bin/postgres", 1, {7, 0, 0, 0});
    put(101, "postgres: me db [local] idle", 5, {10, 0, 0, 4});
    set_children("101");
    EXPECT_EQ(read()["client backend"]["user_us"], 100'000);
    put(101, "postgres: me db [local] idle", 5, {15, 0, 0, 4});
    EXPECT_EQ(read()["client backend"]["user_us"], 150'000);
    // It ends, and its number is another's.
    put(101, "postgres: me db [local] idle", 9, {2, 0, 0, 8});
    EXPECT_EQ(read()["client backend"]["user_us"], 170'000);
    std::filesystem::remove_all(root_ / "proc/101");
    put(102, "postgres: walwriter ", 10, {1, 0, 0, 4});
    set_children("102");
    auto rows = read();
    EXPECT_EQ(rows["client backend"]["user_us"], 170'000);
    EXPECT_EQ(rows["client backend"]["processes"], 0);
    EXPECT_EQ(rows["client backend"]["private_bytes"], -1);
    EXPECT_EQ(rows["walwriter"]["private_bytes"], 4096);
    EXPECT_EQ(rows["postmaster"]["user_us"], 70'000);
}

TEST_F(ServerProcessesTest, AParentOfOtherProgramsIsNoPostmaster) {
    put(kPostmaster, "bash", 1, {7, 0, 0, 0});
    put(101, "vim", 5, {10, 0, 0, 4});
    set_children("101");
    EXPECT_TRUE(read().empty());
    set_children("");
    EXPECT_TRUE(read().empty());
}

TEST_F(ServerProcessesTest, WhatCanNotBeReadIsLeftOut) {
    put(kPostmaster, "/usr/bin/postgres", 1, {});
    put(101, "postgres: walwriter ", 5, {10, 20, 4096, 100});
    std::filesystem::remove(root_ / "proc/101/io");
    std::filesystem::remove(root_ / "proc/101/status");
    set_children("101 nonsense -5 99999999999999999999");
    auto rows = read();
    EXPECT_EQ(rows["walwriter"]["user_us"], 100'000);
    EXPECT_EQ(rows["walwriter"]["read_bytes"], 0);
    EXPECT_EQ(rows["walwriter"]["private_bytes"], -1);
    write_text(root_ / "proc/101/stat", "101 (x");
    EXPECT_TRUE(read().empty());
}

}  // namespace
}  // namespace pganalytics::host
