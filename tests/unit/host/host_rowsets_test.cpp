// Rowsets of the host: what is read from the /proc of other kernels (fixtures), and what is read
// from this machine compared with awk, df and findmnt.
#include "pganalytics/host/host_rowsets.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using testing::run_command;
using testing::TemporaryFolder;
using testing::write_text;

using Row = std::map<std::string, std::string>;  // "null" for null

std::string shown(const Value& value, ColumnType type) {
    if (value.null) return "null";
    if (type == ColumnType::kText) return std::string(value.text);
    if (type == ColumnType::kBool) return value.integer != 0 ? "true" : "false";
    if (type != ColumnType::kFloat64) return std::to_string(value.integer);
    char text[32];
    snprintf(text, sizeof text, "%.2f", value.real);
    return text;
}

struct Reading {
    Status status;
    std::vector<Row> rows;

    const Row& only() const {
        EXPECT_EQ(rows.size(), 1U);
        static const Row none;
        return rows.empty() ? none : rows[0];
    }
    const Row& with(const std::string& column, const std::string& value) const {
        for (const Row& row : rows) {
            if (row.at(column) == value) return row;
        }
        ADD_FAILURE() << "no row with " << column << " = " << value;
        static const Row none;
        return none;
    }
};

Reading read(const std::string& plugin, const std::string& name, const HostFacts& facts) {
    const Rowset* rowset = find_rowset(plugin, name);
    const auto columns = columns_for(*rowset, 15);
    const auto types = types_of(columns);
    RowBuilder builder(types);
    Reading reading{read_host_rowset(*rowset, facts, builder), {}};
    RowReader rows(builder.rows());
    std::string_view body;
    std::vector<Value> values(types.size());
    while (rows.next(body)) {
        EXPECT_TRUE(decode_row(body, types, values)) << "not of the catalog's columns";
        Row& row = reading.rows.emplace_back();
        for (size_t i = 0; i < columns.size(); ++i) {
            row[std::string(columns[i]->name)] = shown(values[i], types[i]);
        }
    }
    EXPECT_TRUE(rows.ok());
    return reading;
}

Reading read_fixture(const std::string& fixture, const std::string& name) {
    HostFacts facts;
    facts.root = "tests/unit/host/fixtures/" + fixture;
    return read("sysstat", name, facts);
}

void expect_values(const Row& row, const Row& expected) {
    for (const auto& [column, value] : expected) {
        ASSERT_TRUE(row.contains(column)) << column;
        EXPECT_EQ(row.at(column), value) << column;
    }
}

TEST(HostRowsets, CpuOfAModernKernel) {
    const Reading reading = read_fixture("modern", "cpu");
    ASSERT_EQ(reading.rows.size(), 3U);
    EXPECT_EQ(reading.with("cpu", "all"), (Row{{"cpu", "all"},
                                               {"user_ticks", "10132153"},
                                               {"nice_ticks", "290696"},
                                               {"system_ticks", "3084719"},
                                               {"idle_ticks", "46828483"},
                                               {"iowait_ticks", "16683"},
                                               {"irq_ticks", "0"},
                                               {"softirq_ticks", "25195"},
                                               {"steal_ticks", "175628"},
                                               {"guest_ticks", "1000"},
                                               {"guest_nice_ticks", "200"},
                                               {"ticks_per_second", "100"},
                                               {"boot_time", "1761000000000000"}}));
    expect_values(reading.with("cpu", "0"), {{"user_ticks", "1393280"}});
    expect_values(reading.with("cpu", "11"), {{"irq_ticks", "5"}, {"steal_ticks", "7000"}});
}

TEST(HostRowsets, WhatAnOldKernelDoesNotTellIsNull) {
    expect_values(read_fixture("old", "cpu").with("cpu", "0"),
                  {{"steal_ticks", "800"}, {"guest_ticks", "null"}, {"guest_nice_ticks", "null"}});
    expect_values(read_fixture("old", "memory").only(),
                  {{"total_bytes", "1048576"},
                   {"buffers_bytes", "0"},
                   {"available_bytes", "null"},
                   {"cached_bytes", "null"},  // beyond 64 bits
                   {"huge_pages_total", "0"},
                   {"swap_total_bytes", "null"}});
    expect_values(read_fixture("old", "load").only(), {{"load_15m", "0.05"},
                                                       {"tasks_total", "null"},
                                                       {"tasks_blocked", "null"},
                                                       {"context_switches", "67"}});
    // The short line of a partition is of another format, and no row.
    expect_values(read_fixture("old", "disk_io").only(), {{"device", "sda"},
                                                          {"weighted_io_time_ms", "11"},
                                                          {"discard_ops", "null"},
                                                          {"flush_ops", "null"},
                                                          {"is_partition", "null"}});
}

TEST(HostRowsets, MemoryAndLoadOfAModernKernel) {
    const Reading memory = read_fixture("modern", "memory");
    const std::pair<const char*, int64_t> kilobytes[] = {{"total_bytes", 24684820},
                                                         {"free_bytes", 2171252},
                                                         {"available_bytes", 22015768},
                                                         {"buffers_bytes", 175184},
                                                         {"cached_bytes", 19250872},
                                                         {"swap_cached_bytes", 1},
                                                         {"active_bytes", 9140700},
                                                         {"inactive_bytes", 11270332},
                                                         {"dirty_bytes", 188},
                                                         {"writeback_bytes", 16},
                                                         {"anonymous_bytes", 985540},
                                                         {"mapped_bytes", 400044},
                                                         {"shared_bytes", 501444},
                                                         {"slab_bytes", 1118816},
                                                         {"slab_reclaimable_bytes", 1038124},
                                                         {"kernel_stack_bytes", 4096},
                                                         {"page_tables_bytes", 20480},
                                                         {"commit_limit_bytes", 20731012},
                                                         {"committed_bytes", 3050000},
                                                         {"swap_total_bytes", 8388604},
                                                         {"swap_free_bytes", 8388600},
                                                         {"huge_page_bytes", 2048}};
    for (const auto& [column, value] : kilobytes) {
        EXPECT_EQ(memory.only().at(column), std::to_string(value * 1024)) << column;
    }
    expect_values(memory.only(), {{"huge_pages_total", "512"},
                                  {"huge_pages_free", "500"},
                                  {"huge_pages_reserved", "10"},
                                  {"huge_pages_surplus", "1"},
                                  {"active_anonymous_bytes", "1023998976"},
                                  {"inactive_anonymous_bytes", "null"},
                                  {"unevictable_bytes", "7168"},
                                  {"zswap_bytes", "8192"},
                                  {"corrupted_bytes", "null"}});
    EXPECT_EQ(read_fixture("modern", "load").only(), (Row{{"load_1m", "0.52"},
                                                          {"load_5m", "1.25"},
                                                          {"load_15m", "12.07"},
                                                          {"tasks_runnable", "3"},
                                                          {"tasks_total", "421"},
                                                          {"tasks_blocked", "2"},
                                                          {"context_switches", "1990473"},
                                                          {"forks", "29150"},
                                                          {"interrupts", "199292"},
                                                          {"boot_time", "1761000000000000"}}));
}

TEST(HostRowsets, PagingIsSummedOverZones) {
    EXPECT_EQ(read_fixture("modern", "paging").only(), (Row{{"read_bytes", "103424"},
                                                            {"written_bytes", "104448"},
                                                            {"swapped_in", "103"},
                                                            {"swapped_out", "104"},
                                                            {"faults", "105"},
                                                            {"major_faults", "106"},
                                                            {"allocation_stalls", "7"},
                                                            {"scanned_background", "108"},
                                                            {"scanned_direct", "109"},
                                                            {"freed_background", "110"},
                                                            {"freed_direct", "111"},
                                                            {"compaction_stalls", "112"},
                                                            {"huge_faults", "113"},
                                                            {"huge_fallbacks", "114"},
                                                            {"oom_kills", "115"},
                                                            {"boot_time", "1761000000000000"}}));
    expect_values(read_fixture("old", "paging").only(), {{"read_bytes", "1024"},
                                                         {"written_bytes", "null"},
                                                         {"allocation_stalls", "5"},
                                                         {"scanned_direct", "9223372036854775807"},
                                                         {"oom_kills", "null"}});
    EXPECT_FALSE(read_fixture("broken", "paging").status);
}

TEST(HostRowsets, PressureOfHostAndGroup) {
    const Reading reading = read_fixture("cgroup2", "pressure");
    ASSERT_TRUE(reading.status);
    const auto row = [](const char* scope, const char* resource, const char* some, const char* full,
                        const char* since) {
        return Row{{"scope", scope},
                   {"resource", resource},
                   {"some_us", some},
                   {"full_us", full},
                   {"boot_time", since}};
    };
    const char* boot = "1761000000000000";
    EXPECT_EQ(reading.rows,
              (std::vector<Row>{row("host", "cpu", "9223372036854775807", "null", boot),
                                row("cgroup", "cpu", "444", "55", "null"),
                                row("host", "io", "10", "9", boot),
                                row("host", "irq", "null", "8", boot)}));
    // A kernel without it, or where it is off.
    EXPECT_TRUE(read_fixture("old", "pressure").status);
    EXPECT_TRUE(read_fixture("old", "pressure").rows.empty());
}

TEST(HostRowsets, GroupsOfVersionTwo) {
    const Reading reading = read_fixture("cgroup2", "cgroup");
    ASSERT_EQ(reading.rows.size(), 3U);
    EXPECT_EQ(reading.rows[0], (Row{{"level", "0"},
                                    {"version", "2"},
                                    {"path", "/system.slice/postgresql.service"},
                                    {"cpu_quota_us", "150000"},
                                    {"cpu_period_us", "100000"},
                                    {"cpu_periods", "31"},
                                    {"cpu_throttled_periods", "17"},
                                    {"cpu_throttled_us", "900"},
                                    {"cpu_usage_us", "7001"},
                                    {"cpu_user_us", "5001"},
                                    {"cpu_system_us", "2000"},
                                    {"memory_limit_bytes", "8589934592"},
                                    {"memory_high_bytes", "null"},
                                    {"memory_used_bytes", "4096000"},
                                    {"memory_peak_bytes", "5096000"},
                                    {"memory_anonymous_bytes", "1001"},
                                    {"memory_file_bytes", "1002"},
                                    {"memory_shared_bytes", "1004"},
                                    {"memory_kernel_bytes", "1003"},
                                    {"swap_limit_bytes", "0"},
                                    {"swap_used_bytes", "12"},
                                    {"memory_high_events", "2"},
                                    {"memory_limit_events", "3"},
                                    {"oom_events", "4"},
                                    {"oom_kills", "5"},
                                    {"io_read_bytes", "1100"},
                                    {"io_write_bytes", "2200"},
                                    {"io_read_ops", "33"},
                                    {"io_write_ops", "44"},
                                    {"tasks_limit", "null"},
                                    {"tasks_used", "99"}}));
    expect_values(reading.rows[1], {{"level", "1"},
                                    {"path", "/system.slice"},
                                    {"cpu_quota_us", "500000"},
                                    {"memory_limit_bytes", "null"},
                                    {"tasks_used", "6"}});
    expect_values(reading.rows[2], {{"level", "2"}, {"path", "/"}, {"cpu_usage_us", "70010"}});
}

TEST(HostRowsets, GroupsOfVersionOneEachControllerInItsOwnTree) {
    const Reading reading = read_fixture("cgroup1", "cgroup");
    ASSERT_EQ(reading.rows.size(), 3U);
    // Memory is mounted as a container sees it: its group is the mount itself.
    expect_values(reading.rows[0], {{"level", "0"},
                                    {"version", "1"},
                                    {"path", "/"},
                                    {"cpu_quota_us", "null"},
                                    {"cpu_period_us", "100000"},
                                    {"cpu_periods", "3"},
                                    {"cpu_throttled_periods", "2"},
                                    {"cpu_throttled_us", "5000"},
                                    {"cpu_usage_us", "7000"},
                                    {"cpu_user_us", "4000"},
                                    {"cpu_system_us", "3000"},
                                    {"memory_limit_bytes", "1000000"},
                                    {"memory_used_bytes", "900000"},
                                    {"memory_peak_bytes", "990000"},
                                    {"memory_anonymous_bytes", "12"},
                                    {"memory_file_bytes", "11"},
                                    {"memory_shared_bytes", "13"},
                                    {"swap_limit_bytes", "500000"},
                                    {"swap_used_bytes", "14"},
                                    {"memory_limit_events", "15"},
                                    {"oom_kills", "16"},
                                    // That group is outside of what can be seen.
                                    {"io_read_bytes", "null"}});
    expect_values(reading.rows[1], {{"level", "1"},
                                    {"path", "/kube"},
                                    {"cpu_quota_us", "250000"},
                                    {"memory_limit_bytes", "null"}});
    expect_values(reading.rows[2], {{"level", "2"}, {"path", "/"}});
    EXPECT_TRUE(read_fixture("old", "cgroup").rows.empty());
    EXPECT_TRUE(read_fixture("old", "cgroup").status);
}

TEST(HostRowsets, DisksOfAModernKernel) {
    const Reading reading = read_fixture("modern", "disk_io");
    ASSERT_EQ(reading.rows.size(), 5U);  // loop0 was never used
    EXPECT_EQ(reading.with("device", "nvme0n1"), (Row{{"device", "nvme0n1"},
                                                      {"major", "259"},
                                                      {"minor", "0"},
                                                      {"is_partition", "false"},
                                                      {"read_ops", "1001"},
                                                      {"reads_merged", "1002"},
                                                      {"read_sectors", "1003"},
                                                      {"read_time_ms", "1004"},
                                                      {"write_ops", "1005"},
                                                      {"writes_merged", "1006"},
                                                      {"write_sectors", "1007"},
                                                      {"write_time_ms", "1008"},
                                                      {"ios_in_progress", "9"},
                                                      {"io_time_ms", "1010"},
                                                      {"weighted_io_time_ms", "1011"},
                                                      {"discard_ops", "1012"},
                                                      {"discards_merged", "1013"},
                                                      {"discard_sectors", "1014"},
                                                      {"discard_time_ms", "1015"},
                                                      {"flush_ops", "1016"},
                                                      {"flush_time_ms", "1017"},
                                                      {"boot_time", "1761000000000000"}}));
    expect_values(reading.with("device", "nvme0n1p1"), {{"is_partition", "true"}});
    expect_values(reading.with("device", "cciss/c0d0"),
                  {{"is_partition", "false"}, {"discard_time_ms", "35"}, {"flush_ops", "null"}});
    expect_values(reading.with("device", "dm-1"), {{"is_partition", "null"}, {"read_ops", "1"}});
}

TEST(HostRowsets, InterfacesOfAModernKernel) {
    const Reading reading = read_fixture("modern", "network");
    ASSERT_EQ(reading.rows.size(), 3U);
    EXPECT_EQ(reading.with("interface", "eth0"), (Row{{"interface", "eth0"},
                                                      {"rx_bytes", "1"},
                                                      {"rx_packets", "2"},
                                                      {"rx_errors", "3"},
                                                      {"rx_dropped", "4"},
                                                      {"rx_fifo_errors", "5"},
                                                      {"rx_frame_errors", "6"},
                                                      {"rx_compressed", "7"},
                                                      {"rx_multicast", "8"},
                                                      {"tx_bytes", "9"},
                                                      {"tx_packets", "10"},
                                                      {"tx_errors", "11"},
                                                      {"tx_dropped", "12"},
                                                      {"tx_fifo_errors", "13"},
                                                      {"tx_collisions", "14"},
                                                      {"tx_carrier_errors", "15"},
                                                      {"tx_compressed", "16"},
                                                      {"boot_time", "1761000000000000"}}));
    expect_values(reading.with("interface", "wlp0s20f3"), {{"rx_bytes", "null"},
                                                           {"rx_packets", "9223372036854775807"},
                                                           {"rx_errors", "null"},
                                                           {"rx_dropped", "0"}});
}

TEST(HostRowsets, NonsenseIsAnErrorOfItsRowsetOrNoRow) {
    for (const char* name : {"cpu", "memory", "load"}) {
        const Reading reading = read_fixture("broken", name);
        EXPECT_FALSE(reading.status) << name;
        EXPECT_TRUE(reading.rows.empty()) << name;
    }
    // The only line was cut: its last figure can't be trusted.
    EXPECT_TRUE(read_fixture("broken", "disk_io").status);
    EXPECT_TRUE(read_fixture("broken", "disk_io").rows.empty());
    const Reading network = read_fixture("broken", "network");
    expect_values(network.only(), {{"interface",
                                    "\xef\xbf\xbd\xef\xbf\xbd"
                                    "0"},
                                   {"rx_bytes", "null"},
                                   {"rx_packets", "2"},
                                   {"tx_compressed", "null"},
                                   {"boot_time", "null"}});
}

TEST(HostRowsets, AMissingFileIsAnErrorThatNamesIt) {
    const Reading reading = read_fixture("old", "network");
    ASSERT_FALSE(reading.status);
    EXPECT_NE(reading.status.error().message.find("proc/net/dev"), std::string::npos);
    RowBuilder builder({});
    EXPECT_FALSE(read_host_rowset(*find_rowset("pg_stats", "tables"), {}, builder));
}

// --- this machine

int64_t number_of(const std::string& command) { return std::stoll(run_command(command).output); }

TEST(HostRowsetsLive, CountersStandBetweenTwoReadingsOfOthers) {
    const std::string idle = "awk '$1 == \"cpu\" {print $5}' /proc/stat";
    const std::string switches = "awk '$1 == \"ctxt\" {print $2}' /proc/stat";
    const std::string received = "awk -F '[: ]+' '$2 == \"lo\" {print $3}' /proc/net/dev";
    const int64_t idle_before = number_of(idle);
    const int64_t switches_before = number_of(switches);
    const int64_t received_before = number_of(received);
    const Reading cpu = read("sysstat", "cpu", {});
    const Reading load = read("sysstat", "load", {});
    const Reading network = read("sysstat", "network", {});
    const auto between = [](int64_t before, const std::string& ours, int64_t after) {
        EXPECT_LE(before, std::stoll(ours));
        EXPECT_LE(std::stoll(ours), after);
    };
    between(idle_before, cpu.with("cpu", "all").at("idle_ticks"), number_of(idle));
    between(switches_before, load.only().at("context_switches"), number_of(switches));
    between(received_before, network.with("interface", "lo").at("rx_bytes"), number_of(received));
    EXPECT_EQ(static_cast<int64_t>(cpu.rows.size()) - 1, number_of("nproc --all"));
    EXPECT_EQ(cpu.with("cpu", "0").at("ticks_per_second"),
              std::to_string(number_of("getconf CLK_TCK")));
    EXPECT_EQ(cpu.with("cpu", "0").at("boot_time"),
              std::to_string(number_of("awk '/^btime/ {print $2}' /proc/stat")) + "000000");
    EXPECT_EQ(std::stoll(read("sysstat", "memory", {}).only().at("total_bytes")),
              number_of("awk '/^MemTotal/ {print $2}' /proc/meminfo") * 1024);
}

TEST(HostRowsetsLive, PressureAndPagingStandBetweenTwoReadings) {
    const std::string faults = "awk '$1 == \"pgfault\" {print $2}' /proc/vmstat";
    const std::string stalled = "sed -n 's/^some.*total=//p' /proc/pressure/cpu";
    const bool has_pressure = run_command("cat /proc/pressure/cpu").status == 0;
    const int64_t faults_before = number_of(faults);
    const int64_t stalled_before = has_pressure ? number_of(stalled) : 0;
    const int64_t ours = std::stoll(read("sysstat", "paging", {}).only().at("faults"));
    const Reading pressure = read("sysstat", "pressure", {});
    EXPECT_LE(faults_before, ours);
    EXPECT_LE(ours, number_of(faults));
    EXPECT_EQ(!pressure.rows.empty(), has_pressure);
    if (!has_pressure) return;
    expect_values(pressure.rows[0], {{"scope", "host"}, {"resource", "cpu"}});
    EXPECT_LE(stalled_before, std::stoll(pressure.rows[0].at("some_us")));
    EXPECT_LE(std::stoll(pressure.rows[0].at("some_us")), number_of(stalled));
}

TEST(HostRowsetsLive, TheGroupIsOurs) {
    const Reading reading = read("sysstat", "cgroup", {});
    ASSERT_TRUE(reading.status);
    // Judged by the group that the shell finds us in, of whichever version.
    const std::string v1 =
        "d=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' "
        "/proc/self/cgroup); test -d \"$d\" && cat $d/";
    const std::string v2 = "d=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup); cat $d/";
    const bool one = run_command("grep -q :memory: /proc/self/cgroup").status == 0;
    const auto limit = run_command(one ? v1 + "memory.limit_in_bytes" : v2 + "memory.max");
    if (limit.status != 0) GTEST_SKIP() << "no group with limits of memory here";
    ASSERT_FALSE(reading.rows.empty());
    expect_values(reading.rows[0], {{"level", "0"}, {"version", one ? "1" : "2"}});
    const std::string theirs = limit.output.substr(0, limit.output.find('\n'));
    const bool none = theirs == "max" || theirs.size() > 18;
    EXPECT_EQ(reading.rows[0].at("memory_limit_bytes"), none ? "null" : theirs);
    EXPECT_NEAR(
        std::stod(reading.rows[0].at("memory_used_bytes")),
        std::stod(run_command(one ? v1 + "memory.usage_in_bytes" : v2 + "memory.current").output),
        1 << 30);
}

TEST(HostRowsetsLive, DisksAreThoseOfTheKernelThatWereUsed) {
    const Reading disks = read("sysstat", "disk_io", {});
    ASSERT_TRUE(disks.status);
    std::string ours;
    for (const Row& row : disks.rows) ours += row.at("device") + "\n";
    EXPECT_EQ(run_command("awk '{s = 0; for (i = 4; i <= NF; i++) s += $i; if (s > 0) print $3}' "
                          "/proc/diskstats")
                  .output,
              ours);
    for (const Row& row : disks.rows) {
        const std::string name = row.at("device");
        EXPECT_EQ(row.at("is_partition") == "true",
                  run_command("test -e /sys/class/block/" + name + "/partition").status == 0);
    }
}

class FilesystemsLive : public ::testing::Test {
  protected:
    FilesystemsLive() {
        facts_.data_directory = folder_ / "data";
        mkdir(facts_.data_directory.c_str(), 0700);
        mkdir((folder_ / "wal").c_str(), 0700);
        EXPECT_EQ(symlink((folder_ / "wal").c_str(), (facts_.data_directory + "/pg_wal").c_str()),
                  0);
    }
    static std::string shown_by(const std::string& command) {
        std::string text = run_command(command).output;
        while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
        return text.substr(text.find_last_of("\n ") + 1);
    }
    TemporaryFolder folder_;
    HostFacts facts_;
};

TEST_F(FilesystemsLive, FiguresAreThoseOfDf) {
    const Reading reading = read("disk_usage", "filesystems", facts_);
    ASSERT_TRUE(reading.status) << reading.status.error().message;
    const Row& row = reading.only();
    const std::string path = "'" + facts_.data_directory + "'";
    EXPECT_EQ(row.at("uses"), "data, wal, temporary");
    EXPECT_EQ(row.at("total_bytes"), shown_by("df -B1 --output=size " + path));
    EXPECT_EQ(row.at("inodes_total"), shown_by("df --output=itotal " + path));
    EXPECT_EQ(row.at("mount"), shown_by("df --output=target " + path));
    EXPECT_EQ(row.at("device"), shown_by("findmnt -no SOURCE -T " + path));
    EXPECT_EQ(row.at("mount"), shown_by("findmnt -no TARGET -T " + path));
    EXPECT_EQ(row.at("fs_type"), shown_by("findmnt -no FSTYPE -T " + path));
    EXPECT_EQ(row.at("read_only"), "false");
    // Others write meanwhile.
    const auto near = [](const std::string& ours, const std::string& theirs) {
        EXPECT_NEAR(std::stod(ours), std::stod(theirs), 1 << 30);
    };
    near(row.at("available_bytes"), shown_by("df -B1 --output=avail " + path));
    EXPECT_GE(std::stoll(row.at("free_bytes")), std::stoll(row.at("available_bytes")));
    EXPECT_GE(std::stoll(row.at("inodes_free")), std::stoll(row.at("inodes_available")));
}

TEST_F(FilesystemsLive, EachMountIsARowWithItsUses) {
    if (run_command("findmnt -n /dev/shm").status != 0) GTEST_SKIP() << "no /dev/shm here";
    facts_.log_directory = "/dev/shm";
    facts_.tablespaces = {{1, "fast", "/dev/shm"}, {2, "lost", "/nowhere/at/all"}};
    facts_.temp_tablespaces = {"fast"};
    const Reading reading = read("disk_usage", "filesystems", facts_);
    ASSERT_TRUE(reading.status);
    EXPECT_EQ(reading.rows.size(), 2U);
    expect_values(reading.with("mount", "/dev/shm"),
                  {{"uses", "log, temporary, tablespace fast"},
                   {"fs_type", "tmpfs"},
                   {"total_bytes", shown_by("df -B1 --output=size /dev/shm")}});
}

TEST_F(FilesystemsLive, NoDataDirectoryIsAnError) {
    facts_.data_directory = folder_ / "not there";
    const Reading reading = read("disk_usage", "filesystems", facts_);
    EXPECT_FALSE(reading.status);
    EXPECT_TRUE(reading.rows.empty());
}

}  // namespace
}  // namespace pganalytics::host
