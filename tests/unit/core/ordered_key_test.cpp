// Keys as bytes: they sort like the values and give the values back.
#include "pganalytics/core/ordered_key.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <compare>
#include <limits>
#include <random>
#include <vector>

namespace pganalytics {
namespace {

using enum ColumnType;

Value integer(int64_t number) {
    Value value;
    value.null = false;
    value.integer = number;
    return value;
}

Value text(std::string_view bytes) {
    Value value;
    value.null = false;
    value.text = bytes;
    return value;
}

Value real(double number) {
    Value value;
    value.null = false;
    value.real = number;
    return value;
}

std::string key_of(ColumnType type, const Value& value) {
    std::string key;
    append_ordered_key(key, std::span(&type, 1), std::span(&value, 1));
    return key;
}

TEST(OrderedKey, NumbersSortAsNumbers) {
    std::vector<int64_t> numbers = {0, std::numeric_limits<int64_t>::max(),
                                    std::numeric_limits<int64_t>::min()};
    for (int shift = 0; shift < 63; ++shift) {
        for (const int64_t delta : {-1, 0, 1}) {
            numbers.push_back((int64_t{1} << shift) + delta);
            numbers.push_back(-(int64_t{1} << shift) + delta);
        }
    }
    for (const int64_t a : numbers) {
        for (const int64_t b : numbers) {
            EXPECT_EQ(key_of(kInt64, integer(a)) <=> key_of(kInt64, integer(b)), a <=> b)
                << a << " and " << b;
            const auto ua = static_cast<uint64_t>(a);
            const auto ub = static_cast<uint64_t>(b);
            EXPECT_EQ(key_of(kLsn, integer(a)) <=> key_of(kLsn, integer(b)), ua <=> ub);
        }
    }
}

TEST(OrderedKey, TextAndRealsSortAsTheyShould) {
    const std::vector<std::string_view> texts = {"", "a", "a\x01", "ab", "b", "\xc3\xa4", "\xff"};
    for (size_t i = 1; i < texts.size(); ++i)
        EXPECT_LT(key_of(kText, text(texts[i - 1])), key_of(kText, text(texts[i])));
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> reals = {-inf, -2.5, -1e-300, 0.0, 1e-300, 2.5, 1e300, inf};
    for (size_t i = 1; i < reals.size(); ++i)
        EXPECT_LT(key_of(kFloat64, real(reals[i - 1])), key_of(kFloat64, real(reals[i])));
    EXPECT_LT(key_of(kText, text("\xfe")), key_of(kText, Value{}));  // null last
    EXPECT_LT(key_of(kInt64, integer(std::numeric_limits<int64_t>::max())),
              key_of(kInt64, Value{}));
}

// A second column decides only where the first ones are equal, whatever their lengths.
TEST(OrderedKey, ColumnsCountInTurn) {
    const ColumnType types[] = {kText, kOid};
    const auto key = [&](std::string_view name, int64_t oid) {
        const Value values[] = {text(name), integer(oid)};
        std::string out;
        append_ordered_key(out, types, values);
        return out;
    };
    EXPECT_LT(key("a", 70000), key("aa", 1));
    EXPECT_LT(key("a", 255), key("a", 256));
    EXPECT_NE(key("a", 0), key("a\x80", 0));
}

TEST(OrderedKey, ValuesComeBack) {
    const ColumnType types[] = {kBool, kOid, kInt64, kTimestamp, kText, kUuid, kFloat64, kText};
    const Value values[] = {integer(1),
                            integer(UINT32_MAX),
                            integer(-300),
                            integer(-1),
                            text("it's \"quoted\"\n"),
                            text("0123456789abcdef"),
                            real(-123.25e10),
                            Value{}};
    std::string key;
    append_ordered_key(key, types, values);
    Value back[8];
    ASSERT_TRUE(decode_ordered_key(key, types, back));
    for (size_t i = 0; i < 8; ++i) {
        EXPECT_EQ(back[i].null, values[i].null) << i;
        EXPECT_EQ(back[i].integer, values[i].integer) << i;
        EXPECT_EQ(back[i].text, values[i].text) << i;
        EXPECT_EQ(back[i].real, values[i].real) << i;
    }
    for (size_t cut = 0; cut < key.size(); ++cut)
        EXPECT_FALSE(decode_ordered_key(std::string_view(key).substr(0, cut), types, back)) << cut;
    EXPECT_FALSE(decode_ordered_key(key + "x", types, back));
}

TEST(OrderedKey, IsReadFromTheStartOfARow) {
    const ColumnType all[] = {kOid, kText, kInt64};
    RowBuilder builder(all);
    builder.begin();
    builder.number(16384);
    builder.text("orders");
    builder.null();
    builder.end();
    RowReader reader(builder.rows());
    std::string_view body;
    ASSERT_TRUE(reader.next(body));
    std::string key;
    ASSERT_TRUE(append_ordered_key(key, body, 3, std::span(all).first(2)));
    const Value values[] = {integer(16384), text("orders")};
    std::string expected;
    append_ordered_key(expected, std::span(all).first(2), values);
    EXPECT_EQ(key, expected);
    EXPECT_FALSE(append_ordered_key(key, body.substr(0, 3), 3, std::span(all).first(2)));
    const std::vector<ColumnType> nine(9, kOid);
    EXPECT_FALSE(append_ordered_key(key, body, 9, nine));
}

// Whatever the bytes: no crash, and what is taken for a key encodes to itself again.
TEST(OrderedKey, TakesAnyBytes) {
    const ColumnType types[] = {kOid, kInt64, kText, kFloat64};
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        std::string key;
        const size_t size = random() % 24;
        for (size_t i = 0; i < size; ++i)
            key.push_back(static_cast<char>(random() % 3 ? random() : 0x81));
        Value values[4];
        decode_ordered_key(key, types, values);
    }
}

}  // namespace
}  // namespace pganalytics
