// Pushes with rows of users' own rowsets: what they must be, and that their names go nowhere but
// into rows.
#include "pganalytics/serve/own_rows.hpp"

#include "push_fixture.hpp"

namespace pganalytics::serve {
namespace {

const std::string kDigest(64, 'a');

struct OwnPush {
    std::string name = "\"rowset\":\"orders\",";
    std::string rowset = "[\"orders\"]";
    std::string digest = "[\"" + kDigest + "\"]";
    std::string key = R"(["[1]"])";
    std::string row = R"([{"x":1}])";
    std::string more = "";
};

std::string columns_of(const OwnPush& own, bool keys) {
    std::string text = "{\"datid\":[5],\"rowset\":" + own.rowset + ",\"digest\":" + own.digest +
                       ",\"key\":" + own.key;
    if (!keys) text += ",\"row\":" + own.row;
    return text + "}";
}

std::string entry_of(const OwnPush& own) {
    return R"({"type":"own","datname":"app","rows":{)" + own.name +
           "\"full\":true,\"complete\":true,\"columns\":" + columns_of(own, false) + own.more +
           "}}";
}

std::string body_of(const OwnPush& own) { return envelope("[" + entry_of(own) + "]"); }

template <class Change>
std::string problem_with(Change change) {
    OwnPush own;
    change(own);
    return problem_of(body_of(own));
}

TEST(OwnRows, AreStoredAsTheyAre) {
    OwnPush own;
    own.more = ",\"gone\":" + columns_of({.key = R"(["[2]"])"}, true);
    const std::vector<Row> rows = rows_of(body_of(own));
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].rowset, "own.rows");
    EXPECT_EQ(field_of(rows[0], "rowset"), "orders");
    EXPECT_EQ(field_of(rows[0], "digest"), kDigest);
    EXPECT_EQ(field_of(rows[0], "datname"), "app");
    EXPECT_EQ(field_of(rows[0], "key"), "[1]");
    EXPECT_EQ(field_of(rows[0], "row"), "\1{\"x\":1}");
    EXPECT_EQ(rows[1].rowset, "pganalytics.gone");
    EXPECT_EQ(field_of(rows[1], "rowset"), "own.rows");
    EXPECT_EQ(rows[2].rowset, "pganalytics.fulls");
    EXPECT_EQ(field_of(rows[2], "rowset"), "own.orders");
    EXPECT_EQ(field_of(rows[2], "datname"), "app");
}

TEST(OwnRows, AFullOneWithoutRowsCounts) {
    const std::vector<Row> rows =
        rows_of(envelope(R"([{"type":"own","datname":"app","datid":5,"rows":{"rowset":"orders",)"
                         R"("full":true,"complete":true,"columns":{}}}])"));
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(field_of(rows[0], "rowset"), "own.orders");
}

TEST(OwnRows, WhatIsNoneIsRefused) {
    const auto has = [](const std::string& problem, const char* what) {
        EXPECT_NE(problem.find(what), std::string::npos) << problem << " / " << what;
    };
    has(problem_with([](auto& own) { own.name.clear(); }), "without the name");
    for (const char* name : {"", "Orders", "a b", "x\\\"y", "\xc3\xa9"}) {
        has(problem_with(
                [&](auto& own) { own.name = "\"rowset\":\"" + std::string(name) + "\","; }),
            "name of a user's rowset expected");
    }
    has(problem_with([](auto& own) { own.name = "\"rowset\":\"" + std::string(41, 'x') + "\","; }),
        "name of a user's rowset expected");
    has(problem_with([](auto& own) { own.name = "\"rowset\":7,"; }), "string expected");
    has(problem_with([](auto& own) { own.rowset = "[\"others\"]"; }), "row of another rowset");
    has(problem_with([](auto& own) { own.rowset = "[null]"; }), "row of another rowset");
    has(problem_with([](auto& own) { own.digest = "[\"abc\"]"; }), "malformed digest");
    has(problem_with([](auto& own) { own.digest = "[null]"; }), "malformed digest");
    has(problem_with([](auto& own) { own.digest = "[\"" + std::string(64, 'A') + "\"]"; }),
        "malformed digest");
    has(problem_with([](auto& own) { own.key = "[\"1\"]"; }), "malformed key");
    has(problem_with([](auto& own) { own.key = "[\"[" + std::string(40000, '1') + "]\"]"; }),
        "malformed key");
    for (const char* row : {"[[1]]", "[\"x\"]", "[7]", "[null]"})
        has(problem_with([&](auto& own) { own.row = row; }), "malformed row");
    has(problem_with([](auto& own) {
            own.more = ",\"gone\":" + columns_of({.rowset = "[\"others\"]"}, true);
        }),
        "row of another rowset");
    // The form of other collectors of the family has no place for the name.
    has(problem_of(envelope(R"([{"type":"own","datname":"app","rows":[{"rowset":"orders"}]}])")),
        "without the name");
}

TEST(OwnRows, TheyAreLimited) {
    std::string entries;
    for (int i = 0; i < 97; ++i) {
        const std::string name = "n" + std::to_string(i);
        OwnPush own;
        own.name = "\"rowset\":\"" + name + "\",";
        own.rowset = "[\"" + name + "\"]";
        if (i == 96) {
            EXPECT_EQ(problem_of(envelope("[" + entries + "]")), "");
        }
        if (!entries.empty()) entries += ",";
        entries += entry_of(own);
    }
    EXPECT_NE(problem_of(envelope("[" + entries + "]")).find("too many rowsets of users"),
              std::string::npos);
}

std::string definitions(int count, const std::string& name = "n") {
    std::string names;
    std::string digests;
    for (int i = 0; i < count; ++i) {
        const std::string comma = i > 0 ? "," : "";
        names += comma + "\"" + name + std::to_string(i) + "\"";
        digests += comma + "\"" + kDigest + "\"";
    }
    return envelope(R"([{"type":"own","rowsets":{"full":true,"columns":{"rowset":[)" + names +
                    "],\"digest\":[" + digests + "]}}}]");
}

TEST(OwnRows, DefinitionsAreLimited) {
    EXPECT_EQ(problem_of(definitions(32)), "");
    EXPECT_NE(problem_of(definitions(33)).find("too many"), std::string::npos);
    EXPECT_NE(problem_of(definitions(1, "N")).find("malformed name"), std::string::npos);
    const std::vector<Row> rows = rows_of(definitions(2));
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(field_of(rows[1], "rowset"), "n1");
    EXPECT_EQ(field_of(rows[2], "rowset"), "own.rowsets");
}

// Elsewhere a member of that name is an unknown one, as ever.
TEST(OwnRows, OtherRowsetsHaveNoSuchMember) {
    EXPECT_EQ(problem_of(tables("", ",\"rowset\":\"x\"")), "");
}

}  // namespace
}  // namespace pganalytics::serve
