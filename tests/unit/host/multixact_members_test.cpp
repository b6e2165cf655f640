// The space for members of multixacts by its files.
#include "pganalytics/host/multixact_members.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using testing::run_command;
using testing::TemporaryFolder;
using testing::write_text;

TEST(MultixactMembers, FilesAreCountedAndNothingElse) {
    const TemporaryFolder folder;
    const std::string members = folder / "pg_multixact/members";
    ASSERT_EQ(run_command("mkdir -p " + members + "/00FF").status, 0);
    EXPECT_EQ(read_multixact_members(folder / "", 150000)->members, 0);
    write_text(members + "/0000", std::string(262144, '\0'));
    write_text(members + "/14077", std::string(8192, '\0'));
    write_text(members + "/0000.old", "x");
    write_text(members + "/core", "x");
    ASSERT_EQ(symlink("/etc/passwd", (members + "/0ABC").c_str()), 0);
    const auto found = read_multixact_members(folder / "", 180004);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->files, 2);
    EXPECT_EQ(found->bytes, 262144 + 8192);
    EXPECT_EQ(found->members, 2 * 52352);
    EXPECT_EQ(found->low, 2147483647);
    EXPECT_EQ(found->high, 3221225472);
    EXPECT_EQ(found->limit, 4294967295);
    // 64 bits from 19 on.
    write_text(members + "/000000000000001", "x");
    const auto newer = read_multixact_members(folder / "", 190000);
    EXPECT_EQ(newer->files, 3);
    EXPECT_EQ(newer->limit, std::nullopt);
    EXPECT_EQ(newer->high, 4000000000);
}

TEST(MultixactMembers, WhereThereIsNoSuchDirectory) {
    const TemporaryFolder folder;
    const auto found = read_multixact_members(folder / "nowhere", 150000);
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().message.find("pg_multixact/members"), std::string::npos);
}

}  // namespace
}  // namespace pganalytics::host
