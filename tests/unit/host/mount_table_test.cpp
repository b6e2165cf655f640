// The mount a path is on: links, bind mounts, mounts over mounts, containers, and text that is no
// mount table.
#include "pganalytics/host/mount_table.hpp"

#include <gtest/gtest.h>

#include "pganalytics/host/files.hpp"

namespace pganalytics::host {
namespace {

std::vector<Mount> fixture(const std::string& name) {
    const Result<std::string> text = read_file("tests/unit/host/fixtures/" + name, 1 << 20);
    EXPECT_TRUE(text);
    return parse_mountinfo(*text);
}

std::string device_of(const std::vector<Mount>& mounts, const std::string& path, uint32_t major,
                      uint32_t minor) {
    const Mount* mount = find_mount(mounts, path, major, minor);
    return mount == nullptr ? "none" : mount->device;
}

TEST(MountTable, TheLongestPointAboveThePathWins) {
    const std::vector<Mount> mounts = fixture("mountinfo-host");
    ASSERT_EQ(mounts.size(), 11U);
    EXPECT_EQ(device_of(mounts, "/var/lib/postgresql/15/main", 254, 16), "/dev/mapper/vg-pg");
    EXPECT_EQ(device_of(mounts, "/var/lib/postgresql", 254, 16), "/dev/mapper/vg-pg");
    EXPECT_EQ(device_of(mounts, "/var/lib", 254, 0), "/dev/vda1");
    EXPECT_EQ(device_of(mounts, "/", 254, 0), "/dev/vda1");
    // A name that only begins alike is not below the point.
    EXPECT_EQ(device_of(mounts, "/var/lib/postgresql2/x", 254, 0), "/dev/vda1");
    EXPECT_EQ(device_of(mounts, "/var/lib/postgresql2/x", 9, 9), "/dev/vda1");
    EXPECT_EQ(device_of(mounts, "/var/lib/postgres/x", 0, 50), "tmpfs");
    EXPECT_EQ(device_of({}, "/", 1, 1), "none");
}

TEST(MountTable, EscapesAreDecoded) {
    const std::vector<Mount> mounts = fixture("mountinfo-host");
    const Mount* wal = find_mount(
        mounts, "/var/lib/postgresql/wal space\ttab\\back\nline/000000010000000000000001", 254, 32);
    ASSERT_NE(wal, nullptr);
    EXPECT_EQ(wal->point, "/var/lib/postgresql/wal space\ttab\\back\nline");
    EXPECT_EQ(wal->device, "/dev/vdc");
    EXPECT_EQ(wal->type, "ext4");
    EXPECT_TRUE(wal->read_only);  // by the file system's own option
}

TEST(MountTable, BindMountsAndCoveredMounts) {
    const std::vector<Mount> mounts = fixture("mountinfo-host");
    const Mount* bind = find_mount(mounts, "/srv/bind/file", 254, 16);
    ASSERT_NE(bind, nullptr);
    EXPECT_EQ(bind->point, "/srv/bind");
    EXPECT_TRUE(bind->read_only);  // by the mount's option
    // /covered was mounted over the mount below it: its device says so.
    EXPECT_EQ(device_of(mounts, "/covered/deep/file", 254, 64), "/dev/vdf");
    EXPECT_EQ(device_of(mounts, "/covered/deep/file", 254, 48), "/dev/vde");
    EXPECT_EQ(device_of(mounts, "/twice/file", 254, 96), "/dev/second");
    const std::vector<Mount> again = parse_mountinfo(
        "1 0 8:1 /a /data rw - ext4 first rw\n2 0 8:1 /b /data rw - ext4 second rw\n");
    EXPECT_EQ(device_of(again, "/data/x", 8, 1), "second");
    // stat() gives another device for a subvolume than the table.
    EXPECT_EQ(device_of(mounts, "/btr/pg", 0, 45), "/dev/vdd");
}

TEST(MountTable, Containers) {
    const std::vector<Mount> mounts = fixture("mountinfo-container");
    ASSERT_EQ(mounts.size(), 4U);
    EXPECT_EQ(device_of(mounts, "/var/lib/postgresql/data/base", 259, 1), "/dev/nvme0n1p1");
    EXPECT_EQ(device_of(mounts, "/var/log/postgresql", 0, 119), "overlay");
    EXPECT_EQ(device_of(mounts, "/mnt/share/wal", 0, 77), "server:/export");
}

TEST(MountTable, WhatIsNoMountIsLeftOut) {
    const std::vector<Mount> mounts = fixture("mountinfo-hostile");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].point, "/ends\\04");
    EXPECT_EQ(mounts[0].device, "/dev/a\\");
    EXPECT_EQ(mounts[1].point, "/bad\\999\\777");
    EXPECT_TRUE(mounts[1].read_only);
    EXPECT_TRUE(parse_mountinfo("").empty());
    EXPECT_TRUE(parse_mountinfo(std::string(100000, '\n')).empty());
}

}  // namespace
}  // namespace pganalytics::host
