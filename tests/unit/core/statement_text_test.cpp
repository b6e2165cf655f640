// SQL text without constants: nothing of a constant's content is left, names and parameters are.
#include "pganalytics/core/statement_text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pganalytics {
namespace {

std::string stripped(std::string_view sql) {
    std::string room(sql.size(), '#');
    return std::string(strip_constants(sql, room.data()));
}

TEST(StatementText, KeepsNamesAndParameters) {
    EXPECT_EQ(stripped("select a.b2, \"odd '1' name\" from t$1 where x = $12"),
              "select a.b2, \"odd '1' name\" from t$1 where x = $12");
    EXPECT_EQ(stripped("  select\n\t*  "), "select *");
    EXPECT_EQ(stripped(""), "");
    EXPECT_EQ(stripped("select \"tä\"\"ble\", größe"), "select \"tä\"\"ble\", größe");
}

TEST(StatementText, TakesEveryFormOfConstant) {
    const std::pair<const char*, const char*> cases[] = {
        {"select 'secret'", "select ?"},
        {"select 'it''s secret', x", "select ?, x"},
        {"select E'it\\'s secret', x", "select ?, x"},
        {"select e'\\\\', x", "select ?, x"},
        {"select B'0101', X'1F', N'secret'", "select ?, ?, ?"},
        {"select U&'\\0073', U&\"name\"", "select U&?, U&\"name\""},
        {"select $$secret$$, $a1$ secret $$ $a1$, y", "select ?, ?, y"},
        {"select 12, 1.5e-7, .5, 0x1f, 1_000, -3", "select ?, ?, ?, ?, ?, -?"},
        {"alter role r password 'secret'", "alter role r password ?"},
        {"select a-1,b+2", "select a-?,b+?"},
        {"select 'a'\n'secret'", "select ? ?"},
        {"select type'secret'", "select type?"},
    };
    for (const auto& [sql, expected] : cases) EXPECT_EQ(stripped(sql), expected) << sql;
}

TEST(StatementText, TakesComments) {
    EXPECT_EQ(stripped("select 1 -- secret\n, x"), "select ? , x");
    EXPECT_EQ(stripped("select /* a /* secret */ b */ x"), "select x");
    EXPECT_EQ(stripped("select x -- secret"), "select x");
    EXPECT_EQ(stripped("select x /* secret"), "select x");
    EXPECT_EQ(stripped("/* secret */ select x"), "select x");
}

// A text that was cut somewhere, or that can be read in two ways.
TEST(StatementText, InDoubtTakesTheRest) {
    EXPECT_EQ(stripped("select 'secret"), "select ?");
    EXPECT_EQ(stripped("select E'secret\\"), "select ?");
    EXPECT_EQ(stripped("select $tag$ secret"), "select ?");
    EXPECT_EQ(stripped("select $secre"), "select ?");
    EXPECT_EQ(stripped("select 'a\\' secret', 'secret'"), "select ?");
    // Two backslashes: the quote ends it either way.
    EXPECT_EQ(stripped("select 'a\\\\', x"), "select ?, x");
}

TEST(StatementText, TakesWhatASettingIsSetTo) {
    const std::pair<const char*, const char*> cases[] = {
        {"set app.password to hunter2", "set app.password to ?"},
        {"SET SESSION app.password = hunter2;", "SET SESSION app.password = ?;"},
        {"set local \"App\".\"Pass\"=hunter2", "set local \"App\".\"Pass\"= ?"},
        {"set a.b to 'x;y', hunter2; select c.to = d", "set a.b to ?; select c.to = d"},
        {"set a.b to \"se;cret\" ; set c.d to $x$;$x$;x", "set a.b to ?; set c.d to ?;x"},
        {"/* c */ alter role r in database d set a.b to hunter2",
         "alter role r in database d set a.b to ?"},
        {"alter system set a . b = hunter2", "alter system set a . b = ?"},
        {"create function f() returns int set a.b to hunter2 language sql as 'x'",
         "create function f() returns int set a.b to ?"},
        {"set role hunter", "set role hunter"},
        {"set transaction isolation level serializable",
         "set transaction isolation level serializable"},
        {"update t set a = b, c = d", "update t set a = b, c = d"},
        {"insert into t values (1) on conflict (a) do update set a = b",
         "insert into t values (?) on conflict (a) do update set a = b"},
        {"alter table t set (fillfactor = x), rename to u",
         "alter table t set (fillfactor = x), rename to u"},
        {"alter table t alter c set default a = b", "alter table t alter c set default a = b"},
        {"set a to", "set a to"},
        {"set a to ", "set a to"},
        {"set a.b = /* x", "set a.b = ?"},
        {"select set.to = x", "select set.to = x"},
    };
    for (const auto& [sql, expected] : cases) EXPECT_EQ(stripped(sql), expected) << sql;
    const std::string sql = "set app.password to SECRET";
    for (size_t length = 0; length <= sql.size(); ++length)
        EXPECT_EQ(stripped(sql.substr(0, length)).find('S'), std::string::npos) << length;
}

TEST(StatementText, CutAnywhereNothingLeaks) {
    const std::string sql =
        "insert into t values ('SECRET', E'\\'SECRET', $x$SECRET$x$, N'SECRET') -- SECRET\n"
        "/* SECRET */ on conflict do nothing";
    for (size_t length = 0; length <= sql.size(); ++length) {
        EXPECT_EQ(stripped(sql.substr(0, length)).find("SECRE"), std::string::npos) << length;
    }
}

}  // namespace
}  // namespace pganalytics
