#include "pganalytics/host/files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using testing::read_text;
using testing::run_command;
using testing::write_text;

class FilesTest : public ::testing::Test {
  protected:
    std::string shown(const std::string& path) {
        return run_command("stat -c '%a %F %s' '" + path + "'").output;
    }
    size_t entries() {
        size_t count = 0;
        for ([[maybe_unused]] const auto& entry :
             std::filesystem::directory_iterator(folder_.path()))
            ++count;
        return count;
    }
    // Mode of a key file, and whether it is taken.
    bool secret_taken(const std::string& name) {
        return static_cast<bool>(read_secret(folder_ / name, 100));
    }
    testing::TemporaryFolder folder_;
};

TEST_F(FilesTest, StateDirectoryIsPrivateWhateverTheUmask) {
    const mode_t before = umask(0);
    const std::string path = folder_ / "state";
    EXPECT_TRUE(make_state_directory(path, true));
    umask(before);
    for (const char* part : {"", "/identity", "/config", "/spool", "/hub"}) {
        EXPECT_TRUE(shown(path + part).starts_with("700 directory")) << part;
    }
    EXPECT_TRUE(make_state_directory(path, true));
    const std::string other = folder_ / "other";
    EXPECT_TRUE(make_state_directory(other, false));
    EXPECT_TRUE(is_absent(other + "/hub"));
}

TEST_F(FilesTest, StateDirectoryRefusals) {
    const auto message = [&](const std::string& path) {
        const Status status = make_state_directory(path, false);
        return status ? std::string() : status.error().message;
    };
    EXPECT_NE(message("relative").find("not an absolute path"), std::string::npos);
    EXPECT_NE(message(folder_ / "missing/state").find("No such file"), std::string::npos);
    write_text(folder_ / "file", "");
    EXPECT_NE(message(folder_ / "file").find("is not a directory"), std::string::npos);
    mkdir((folder_ / "real").c_str(), 0700);
    EXPECT_EQ(symlink("real", (folder_ / "link").c_str()), 0);
    EXPECT_NE(message(folder_ / "link").find("is not a directory"), std::string::npos);
    mkdir((folder_ / "open").c_str(), 0700);
    chmod((folder_ / "open").c_str(), 0750);
    EXPECT_NE(message(folder_ / "open").find("has group or world access"), std::string::npos);
    if (geteuid() == 0) {
        mkdir((folder_ / "foreign").c_str(), 0700);
        EXPECT_EQ(chown((folder_ / "foreign").c_str(), 12345, 12345), 0);
        EXPECT_NE(message(folder_ / "foreign").find("belongs to another user"), std::string::npos);
    }
}

TEST_F(FilesTest, WritesReplaceWholeFilesAndLeaveNothingElse) {
    const std::string path = folder_ / "file";
    EXPECT_TRUE(write_file_durably(path, "one"));
    EXPECT_EQ(shown(path), "600 regular file 3\n");
    EXPECT_TRUE(write_file_durably(path, std::string(100'000, 'x'), 0644));
    EXPECT_EQ(shown(path), "644 regular file 100000\n");
    // What a killed predecessor left beside it is no obstacle, whatever it is.
    EXPECT_EQ(symlink("/etc/passwd", (path + ".new").c_str()), 0);
    EXPECT_TRUE(write_file_durably(path, "two"));
    EXPECT_EQ(read_text(path), "two");
    EXPECT_NE(read_text("/etc/passwd"), "two");
    EXPECT_EQ(entries(), 1U);
    // An error leaves the old content.
    mkdir((folder_ / "directory").c_str(), 0700);
    EXPECT_FALSE(write_file_durably(folder_ / "directory", "three"));
    EXPECT_FALSE(write_file_durably(folder_ / "missing/file", "three"));
    EXPECT_EQ(entries(), 2U);
}

TEST_F(FilesTest, CreateNeverReplaces) {
    const std::string path = folder_ / "file";
    bool exists = true;
    EXPECT_TRUE(create_file_durably(path, "one", 0600, exists));
    EXPECT_FALSE(exists);
    EXPECT_FALSE(create_file_durably(path, "two", 0600, exists));
    EXPECT_TRUE(exists);
    EXPECT_EQ(read_text(path), "one");
    EXPECT_FALSE(create_file_durably(folder_ / "missing/file", "x", 0600, exists));
    EXPECT_FALSE(exists);
    EXPECT_EQ(symlink("/nowhere", (folder_ / "dangling").c_str()), 0);
    EXPECT_FALSE(create_file_durably(folder_ / "dangling", "x", 0600, exists));
    EXPECT_TRUE(exists);
    EXPECT_FALSE(is_absent(folder_ / "dangling"));
    EXPECT_EQ(entries(), 2U);
    EXPECT_TRUE(remove_file_durably(path));
    EXPECT_TRUE(remove_file_durably(path));
    EXPECT_TRUE(is_absent(path));
}

TEST_F(FilesTest, ReadsAreBounded) {
    write_text(folder_ / "file", "12345");
    EXPECT_EQ(*read_file(folder_ / "file", 5), "12345");
    const auto large = read_file(folder_ / "file", 4);
    ASSERT_FALSE(large);
    EXPECT_NE(large.error().message.find("too large"), std::string::npos);
    EXPECT_FALSE(read_file(folder_ / "missing", 5));
    EXPECT_FALSE(read_file(folder_.path(), 5));
    ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
    EXPECT_FALSE(read_file(folder_ / "fifo", 5));
    EXPECT_FALSE(read_file("/dev/zero", 5));
    // /proc files have no size.
    EXPECT_TRUE(read_file("/proc/self/status", 100'000));
}

TEST_F(FilesTest, SecretsOnlyWhereNobodyElseCouldReadOrWriteThem) {
    write_text(folder_ / "key", "secret");
    const std::string path = folder_ / "key";
    const bool root = geteuid() == 0;
    const std::pair<mode_t, bool> modes[] = {{0600, true},  {0400, true},  {0640, root},
                                             {0440, root},  {0644, false}, {0660, false},
                                             {0604, false}, {0700, false}, {04600, false}};
    for (const auto& [mode, taken] : modes) {
        chmod(path.c_str(), mode);
        EXPECT_EQ(secret_taken("key"), taken) << std::oct << mode;
    }
    chmod(path.c_str(), 0600);
    EXPECT_EQ(*read_secret(path, 6), "secret");
    EXPECT_FALSE(read_secret(path, 5));
    EXPECT_EQ(symlink("key", (folder_ / "link").c_str()), 0);
    EXPECT_FALSE(secret_taken("link"));
    mkdir((folder_ / "directory").c_str(), 0700);
    EXPECT_FALSE(secret_taken("directory"));
    ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
    EXPECT_FALSE(secret_taken("fifo"));
    EXPECT_FALSE(secret_taken("missing"));
    for (const mode_t mode : {0770U, 0707U, 01777U, 0720U}) {
        chmod(folder_.path().c_str(), mode);
        EXPECT_FALSE(secret_taken("key")) << std::oct << mode;
    }
    for (const mode_t mode : {0700U, 0755U, 0550U}) {
        chmod(folder_.path().c_str(), mode);
        EXPECT_TRUE(secret_taken("key")) << std::oct << mode;
    }
    chmod(folder_.path().c_str(), 0700);
}

TEST_F(FilesTest, SecretsOfStrangersAreRefused) {
    if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    write_text(folder_ / "key", "secret");
    chmod((folder_ / "key").c_str(), 0600);
    ASSERT_EQ(chown((folder_ / "key").c_str(), 12345, 0), 0);
    EXPECT_FALSE(secret_taken("key"));
    ASSERT_EQ(chown((folder_ / "key").c_str(), 0, 0), 0);
    EXPECT_TRUE(secret_taken("key"));
    ASSERT_EQ(chown(folder_.path().c_str(), 12345, 0), 0);
    EXPECT_FALSE(secret_taken("key"));
    ASSERT_EQ(chown(folder_.path().c_str(), 0, 0), 0);
}

TEST_F(FilesTest, OneHolderOfALock) {
    const std::string path = folder_ / "lock";
    {
        const auto first = FileLock::take(path);
        ASSERT_TRUE(first);
        const auto second = FileLock::take(path);
        ASSERT_FALSE(second);
        EXPECT_NE(second.error().message.find("held by another process"), std::string::npos);
        // Another program sees it, too.
        EXPECT_NE(run_command("flock -n " + path + " true").status, 0);
    }
    EXPECT_TRUE(FileLock::take(path));
    EXPECT_EQ(run_command("flock -n " + path + " true").status, 0);
}

TEST_F(FilesTest, ErrorsSayPathReasonAndRemedy) {
    const auto error = read_secret(folder_ / "missing", 10).error();
    EXPECT_NE(error.message.find("\"" + (folder_ / "missing") + "\": No such file"),
              std::string::npos);
    EXPECT_FALSE(error.hint.empty());
    write_text(folder_ / "key", "secret");
    chmod((folder_ / "key").c_str(), 0644);
    const auto open_to_all = read_secret(folder_ / "key", 10).error();
    EXPECT_NE(open_to_all.hint.find("0600"), std::string::npos);
}

}  // namespace
}  // namespace pganalytics::host
