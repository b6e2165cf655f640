// Kinds of the server's processes by their titles.
#include "pganalytics/host/backend_title.hpp"

#include <gtest/gtest.h>

namespace pganalytics::host {
namespace {

const std::string kEnd(3, '\0');

TEST(BackendTitle, ProcessesOfTheServer) {
    EXPECT_EQ(backend_type("postgres: checkpointer " + kEnd), "checkpointer");
    EXPECT_EQ(backend_type("postgres: 15/main: walwriter "), "walwriter");
    EXPECT_EQ(backend_type("postgres: a: b: background writer "), "background worker");
    EXPECT_EQ(backend_type("postgres: startup recovering 000000010000000000000003"), "startup");
    EXPECT_EQ(backend_type("postgres: walreceiver streaming 0/3000148"), "walreceiver");
    EXPECT_EQ(backend_type("postgres: archiver last was 000000010000000000000003"), "archiver");
    EXPECT_EQ(backend_type("postgres: io worker 2"), "io worker");
    EXPECT_EQ(backend_type("postgres: autovacuum worker shop"), "autovacuum worker");
    EXPECT_EQ(backend_type("postgres: autovacuum launcher "), "autovacuum launcher");
    EXPECT_EQ(backend_type("postgres: walsender replicator 127.0.0.1(50114) streaming 0/3000148"),
              "walsender");
    EXPECT_EQ(backend_type("postgres: parallel worker for PID 4711 "), "parallel worker");
    EXPECT_EQ(backend_type("postgres: logical replication launcher "),
              "logical replication launcher");
    EXPECT_EQ(backend_type("postgres: logical replication apply worker for subscription 16390 "),
              "logical replication apply worker");
    EXPECT_EQ(backend_type("postgres: pganalytics visitor "), "pganalytics visitor");
}

TEST(BackendTitle, ClientsByTheirAddress) {
    EXPECT_EQ(backend_type("postgres: me shop [local] idle"), "client backend");
    EXPECT_EQ(backend_type("postgres: 15/main: my user my db 10.0.0.1(5432) SELECT waiting"),
              "client backend");
    EXPECT_EQ(backend_type("postgres: me shop fe80::1(65535) idle in transaction"),
              "client backend");
    EXPECT_EQ(backend_type("postgres: checkpointers shop [local] idle"), "client backend");
}

TEST(BackendTitle, WorkersOfOthersHaveFreeTitles) {
    EXPECT_EQ(backend_type("postgres: pg_cron launcher "), "background worker");
    EXPECT_EQ(backend_type("postgres: Citus Maintenance Daemon: 16384/10 "), "background worker");
    EXPECT_EQ(backend_type("postgres: worker (x) (12 (3x)"), "background worker");
}

TEST(BackendTitle, OtherProgramsAreNone) {
    EXPECT_EQ(backend_type(""), "");
    EXPECT_EQ(backend_type("postgres:"), "");
    EXPECT_EQ(backend_type("/usr/lib/postgresql/15/bin/postgres" + kEnd + "data"), "");
    EXPECT_EQ(backend_type("bash"), "");
}

}  // namespace
}  // namespace pganalytics::host
