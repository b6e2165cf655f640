// Rows as bytes: what goes in comes out, and hostile bytes are refused.
#include "pganalytics/core/row_format.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace pganalytics {
namespace {

using enum ColumnType;
constexpr ColumnType kTypes[] = {kOid,       kText, kInt64, kBool, kFloat64,
                                 kTimestamp, kLsn,  kUuid,  kJson};
constexpr size_t kCount = std::size(kTypes);

std::string sample_rows(size_t count) {
    RowBuilder builder(kTypes);
    for (size_t i = 0; i < count; ++i) {
        builder.begin();
        builder.number(UINT32_MAX);
        builder.text("name\n\"" + std::to_string(i));
        builder.integer(i % 2 == 0 ? std::numeric_limits<int64_t>::min()
                                   : std::numeric_limits<int64_t>::max());
        builder.boolean(i % 2 == 0);
        builder.real(-0.1);
        builder.null();
        builder.number(UINT64_MAX);
        builder.text("0123456789abcdef");
        builder.text("{}");
        builder.end();
    }
    EXPECT_EQ(builder.count(), count);
    return builder.take();
}

TEST(RowFormat, ValuesComeBackExactly) {
    const std::string rows = sample_rows(2);
    RowReader reader(rows);
    std::string_view body;
    for (int64_t i = 0; i < 2; ++i) {
        ASSERT_TRUE(reader.next(body));
        Value values[kCount];
        ASSERT_TRUE(decode_row(body, kTypes, values));
        EXPECT_EQ(values[0].integer, int64_t{UINT32_MAX});
        EXPECT_EQ(values[1].text, "name\n\"" + std::to_string(i));
        EXPECT_EQ(values[2].integer, i == 0 ? INT64_MIN : INT64_MAX);
        EXPECT_EQ(values[3].integer, i == 0 ? 1 : 0);
        EXPECT_EQ(values[4].real, -0.1);
        EXPECT_TRUE(values[5].null);
        EXPECT_EQ(static_cast<uint64_t>(values[6].integer), UINT64_MAX);
        EXPECT_EQ(values[7].text, "0123456789abcdef");
        EXPECT_EQ(values[8].text, "{}");
    }
    EXPECT_FALSE(reader.next(body));
    EXPECT_TRUE(reader.ok());
}

TEST(RowFormat, ValueFormWritesTheSameBytes) {
    const std::string rows = sample_rows(3);
    RowBuilder again(kTypes);
    RowReader reader(rows);
    std::string_view body;
    while (reader.next(body)) {
        Value values[kCount];
        ASSERT_TRUE(decode_row(body, kTypes, values));
        again.begin();
        for (const Value& value : values) again.value(value);
        again.end();
    }
    EXPECT_EQ(again.take(), rows);
}

TEST(RowFormat, KeyBytesDependOnTheKeyOnly) {
    std::vector<std::string> keys;
    const std::string rows = sample_rows(4);
    RowReader reader(rows);
    std::string_view body;
    while (reader.next(body)) keys.emplace_back(key_bytes(body, kTypes, 2));
    EXPECT_FALSE(keys[0].empty());
    EXPECT_NE(keys[0], keys[2]);
    RowReader once_more(rows);
    once_more.next(body);
    EXPECT_EQ(key_bytes(body, kTypes, 2), keys[0]);
    EXPECT_EQ(key_bytes(body, kTypes, 1).size(), 5U);
    EXPECT_TRUE(key_bytes("", kTypes, 1).empty());
}

TEST(RowFormat, EveryCutIsRefused) {
    const std::string rows = sample_rows(1);
    RowReader whole(rows);
    std::string_view body;
    ASSERT_TRUE(whole.next(body));
    Value values[kCount];
    for (size_t length = 0; length < body.size(); ++length) {
        EXPECT_FALSE(decode_row(body.substr(0, length), kTypes, values)) << length;
    }
    EXPECT_FALSE(decode_row(std::string(body) + "x", kTypes, values));
    for (size_t length = 1; length < rows.size(); ++length) {
        RowReader reader(std::string_view(rows).substr(0, length));
        EXPECT_FALSE(reader.next(body));
        EXPECT_FALSE(reader.ok()) << length;
    }
}

TEST(RowFormat, RandomBytesNeverReadOutside) {
    std::mt19937 random(20261121);
    for (int round = 0; round < 50'000; ++round) {
        std::string bytes(random() % 60, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        Value values[kCount];
        decode_row(bytes, kTypes, values);
        key_bytes(bytes, kTypes, 3);
        RowReader reader(bytes);
        std::string_view body;
        while (reader.next(body)) EXPECT_LE(body.size(), bytes.size());
    }
}

TEST(RowFormat, ValuesOutOfTheirTypeAreRefused) {
    Value value;
    const ColumnType boolean[] = {kBool};
    EXPECT_FALSE(decode_row(std::string_view("\0\2", 2), boolean, {&value, 1}));
    const ColumnType oid[] = {kOid};
    EXPECT_FALSE(decode_row(std::string_view("\0\x80\x80\x80\x80\x10", 6), oid, {&value, 1}));
    EXPECT_TRUE(decode_row(std::string_view("\0\xff\xff\xff\xff\x0f", 6), oid, {&value, 1}));
}

}  // namespace
}  // namespace pganalytics
