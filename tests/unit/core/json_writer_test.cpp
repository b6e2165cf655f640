// JSON out, judged by another parser (RapidJSON) and by strtod.
#include "pganalytics/core/json_writer.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cmath>
#include <limits>
#include <random>

#include "pganalytics/core/json_check.hpp"
#include "pganalytics/core/utf8.hpp"

namespace pganalytics {
namespace {

constexpr unsigned kStrict =
    rapidjson::kParseValidateEncodingFlag | rapidjson::kParseFullPrecisionFlag;

rapidjson::Document parsed(const std::string& json) {
    rapidjson::Document document;
    document.Parse<kStrict>(json.data(), json.size());
    EXPECT_FALSE(document.HasParseError()) << json;
    return document;
}

std::string text_through_json(std::string_view text) {
    std::string json;
    append_json_text(json, text);
    const rapidjson::Document document = parsed(json);
    if (!document.IsString()) return "not a string";
    return {document.GetString(), document.GetStringLength()};
}

TEST(JsonWriter, TextComesBackExactly) {
    for (const std::string_view text :
         {"", "orders", "it's \"quoted\"", "back\\slash", "line\nend\r\ttab", "\x01\x1f\x7f",
          "sch\xc3\xb6n \xe2\x82\xac \xf0\x9f\x98\x80", "</script>"})
        EXPECT_EQ(text_through_json(text), text);
}

TEST(JsonWriter, IllFormedTextIsMendedAndLongTextCut) {
    using std::string_view_literals::operator""sv;
    EXPECT_EQ(text_through_json("a\0b"sv),
              "a\xef\xbf\xbd"
              "b");
    EXPECT_EQ(text_through_json("\xff"), "\xef\xbf\xbd");
    EXPECT_EQ(text_through_json("\xed\xa0\x80").find('\xed'), std::string::npos);
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (auto i = random() % 40; i > 0; --i) text.push_back(static_cast<char>(random()));
        EXPECT_TRUE(is_utf8(text_through_json(text)));
    }
    for (const size_t size : {kMaxJsonText - 1, kMaxJsonText, kMaxJsonText + 1, kMaxJsonText * 3}) {
        EXPECT_EQ(text_through_json(std::string(size, 'x')).size(), std::min(size, kMaxJsonText));
        const std::string euros = text_through_json("a" + std::string(size, '\xe2'));
        EXPECT_LE(euros.size(), kMaxJsonText);
        EXPECT_TRUE(is_utf8(euros));
    }
}

TEST(JsonWriter, IntegersAreExact) {
    for (const int64_t number :
         {int64_t{0}, int64_t{-1}, int64_t{9007199254740993}, std::numeric_limits<int64_t>::max(),
          std::numeric_limits<int64_t>::min()}) {
        std::string json;
        append_json_number(json, number);
        EXPECT_EQ(parsed(json).GetInt64(), number);
    }
    std::string json;
    append_json_number(json, std::numeric_limits<uint64_t>::max());
    EXPECT_EQ(json, "18446744073709551615");
}

TEST(JsonWriter, RealsReadBackTheSame) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 20000; ++round) {
        const double number = std::bit_cast<double>(random());
        std::string json;
        append_json_real(json, number);
        if (!std::isfinite(number)) {
            EXPECT_EQ(json, "null");
            continue;
        }
        parsed(json);
        EXPECT_EQ(std::bit_cast<uint64_t>(std::strtod(json.c_str(), nullptr)),
                  std::bit_cast<uint64_t>(number));
        EXPECT_LE(json.size(), kMaxJsonNumber);
    }
    std::string json;
    append_json_real(json, 0.1);
    EXPECT_EQ(json, "0.1");
}

std::string value_json(ColumnType type, int64_t integer, std::string_view text = {}) {
    Value value;
    value.null = false;
    value.integer = integer;
    value.text = text;
    std::string json;
    append_json_value(json, type, value);
    return json;
}

TEST(JsonWriter, EachTypeHasItsForm) {
    using enum ColumnType;
    EXPECT_EQ(value_json(kBool, 1), "true");
    EXPECT_EQ(value_json(kBool, 0), "false");
    EXPECT_EQ(value_json(kOid, 4294967295), "4294967295");
    EXPECT_EQ(value_json(kLsn, 0x16b374d848), "\"16/B374D848\"");
    EXPECT_EQ(value_json(kLsn, -1), "\"FFFFFFFF/FFFFFFFF\"");
    EXPECT_EQ(value_json(kTimestamp, 1'771'583'400'000'001), "\"2026-02-20T10:30:00.000001Z\"");
    EXPECT_EQ(value_json(kTimestamp, std::numeric_limits<int64_t>::max()), "null");
    EXPECT_EQ(value_json(kTimestamp, std::numeric_limits<int64_t>::min()), "null");
    EXPECT_EQ(value_json(kUuid, 0, "0123456789abcdef"), "\"30313233-3435-3637-3839-616263646566\"");
    EXPECT_EQ(value_json(kUuid, 0, "short"), "null");
    EXPECT_EQ(value_json(kJson, 0, R"({"a": [1, null]})"), R"({"a": [1, null]})");
    EXPECT_EQ(value_json(kJson, 0, R"({"a": )"), R"("{\"a\": ")");
    std::string json;
    append_json_value(json, kInt64, Value{});
    EXPECT_EQ(json, "null");
}

TEST(JsonCheck, TakesValidJson) {
    for (const std::string_view text :
         {"0", "-0", "-12.5e+10", "1E5", "true", "null", "\"\"", " [ ] ", "{ }",
          R"({"a":{"b":[1,"x\n\u00e4\ud83d\ude00",false]}})", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"}) {
        EXPECT_TRUE(is_json(text)) << text;
        parsed(std::string(text));
    }
}

TEST(JsonCheck, RefusesWhatIsNot) {
    for (const std::string_view text : {"",
                                        " ",
                                        "01",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "1e",
                                        "-",
                                        "nul",
                                        "True",
                                        "[1,]",
                                        "[,]",
                                        "[1",
                                        "{\"a\"}",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "{1:1}",
                                        "\"",
                                        "\"\t\"",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\\u0000\"",
                                        "\"\\ud800\"",
                                        "\"\\ud800\\u0041\"",
                                        "\"\\udc00\"",
                                        "\"\xff\"",
                                        "1 2",
                                        "[] x",
                                        "'a'",
                                        "NaN",
                                        "// x\n1",
                                        "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]",
                                        "123456789012345678901234567890123"})
        EXPECT_FALSE(is_json(text)) << text;
}

// What it takes another strict parser takes, too, for many mutations of a valid text.
TEST(JsonCheck, AgreesWithAnotherParser) {
    const std::string good = R"({"a":[1,-2.5e3,"x\u00e9\\",true,null,{"b":{}}],"c":""})";
    const std::string bytes = "{}[]\",:\\u0eE.-+1tfn \x01";
    std::mt19937 random(1);
    for (int round = 0; round < 50000; ++round) {
        std::string text = good;
        for (auto i = random() % 3 + 1; i > 0; --i)
            text[random() % text.size()] = bytes[random() % bytes.size()];
        rapidjson::Document document;
        document.Parse<kStrict>(text.data(), text.size());
        const bool nul = text.find("\\u0000") != std::string::npos;
        EXPECT_EQ(is_json(text), !document.HasParseError() && !nul) << text;
    }
}

}  // namespace
}  // namespace pganalytics
