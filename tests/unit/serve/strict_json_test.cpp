// JSON from outside: RFC 8259 kept to the letter, and each limit of our own at and one past it.
#include "pganalytics/serve/strict_json.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pganalytics::serve {
namespace {

// Writes down what it is told.
struct Recorder {
    std::string events;
    JsonReason start_object(const char*) { return add("{"); }
    JsonReason end_object() { return add("}"); }
    JsonReason start_array() { return add("["); }
    JsonReason end_array() { return add("]"); }
    JsonReason key(std::string_view text) { return add("k:" + std::string(text)); }
    JsonReason string(std::string_view text) { return add("s:" + std::string(text)); }
    JsonReason number(std::string_view text) { return add("n:" + std::string(text)); }
    JsonReason boolean(bool value) { return add(value ? "true" : "false"); }
    JsonReason null() { return add("null"); }
    JsonReason add(const std::string& event) {
        if (!events.empty()) events += ' ';
        events += event;
        return nullptr;
    }
};

std::string events_of(std::string text) {
    Recorder recorder;
    const auto problem = parse_strict_json(text, recorder);
    return problem ? "refused: " + problem->text() : recorder.events;
}

bool accepted(std::string text) {
    Recorder recorder;
    return !parse_strict_json(text, recorder);
}

std::string repeat(const std::string& text, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += text;
    return out;
}

TEST(StrictJson, Events) {
    EXPECT_EQ(events_of(R"( {"a" : [1,-0.5e+3,true,false,null,"x"],"":{}} )"),
              "{ k:a [ n:1 n:-0.5e+3 true false null s:x ] k: { } }");
    EXPECT_EQ(events_of(R"("\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00")"),
              "s:\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80");
    EXPECT_EQ(events_of("9223372036854775808"), "n:9223372036854775808");
    EXPECT_EQ(events_of("\t\r\n 1 \t\r\n"), "n:1");
}

TEST(StrictJson, WhatIsNotJson) {
    using namespace std::string_literals;
    const std::vector<std::string> texts = {"",
                                            " ",
                                            "{",
                                            "}",
                                            "[",
                                            "]",
                                            "[1",
                                            "[1,",
                                            "[1,]",
                                            "[,1]",
                                            "[1 2]",
                                            "[1,,2]",
                                            "[]]",
                                            "{]",
                                            "[}",
                                            "{\"a\"}",
                                            "{\"a\":}",
                                            "{\"a\":1,}",
                                            "{,}",
                                            "{\"a\":1 \"b\":2}",
                                            "{\"a\" 1}",
                                            "{a:1}",
                                            "{'a':1}",
                                            "{1:1}",
                                            "{null:1}",
                                            "{\"a\":1}}",
                                            "{\"a\":1}x",
                                            "1 2",
                                            "nul",
                                            "nulls",
                                            "True",
                                            "TRUE",
                                            "tru",
                                            "fals",
                                            "NaN",
                                            "nan",
                                            "Infinity",
                                            "-Infinity",
                                            "inf",
                                            "undefined",
                                            "+1",
                                            "-",
                                            "--1",
                                            "01",
                                            "-01",
                                            "00",
                                            "1.",
                                            ".5",
                                            "-.5",
                                            "1.e1",
                                            "1e",
                                            "1e+",
                                            "1E-",
                                            "0x1",
                                            "1_000",
                                            "1,000",
                                            "1e1.5",
                                            "\xd9\xa1",
                                            "\"",
                                            "\"a",
                                            "'a'",
                                            "\"\\\"",
                                            "\"\\x\"",
                                            "\"\\u\"",
                                            "\"\\u12\"",
                                            "\"\\u12g4\"",
                                            "\"\\U0041\"",
                                            "\"\\u 041\"",
                                            "\"a\nb\"",
                                            "\"a\tb\"",
                                            "\"a\x01\"",
                                            "\"a\x1f\"",
                                            "/* c */ 1",
                                            "1 // c",
                                            "# c\n1",
                                            "\xef\xbb\xbf{}",
                                            "\xff\xfe{\0"s,
                                            "{}\0"s,
                                            "{}\0x"s,
                                            "\0{}"s,
                                            "[1]\x1a",
                                            "\x0b[]",
                                            "\x0c[]",
                                            "\xc2\xa0[]",
                                            "\xe2\x80\xa8[]",
                                            "[\"a\",\n4\n,1,",
                                            "[1\0]"s,
                                            "\"\\\0\""s,
                                            "\"\0\""s};
    for (const std::string& text : texts) EXPECT_FALSE(accepted(text)) << text;
    EXPECT_GE(texts.size(), 85U);
}

TEST(StrictJson, IllFormedUtf8) {
    using namespace std::string_literals;
    for (const std::string& bytes : {"\x80"s,
                                     "\xbf"s,
                                     "\xc0\x80"s,
                                     "\xc1\xbf"s,
                                     "\xc2"s,
                                     "\xc2\x20"s,
                                     "\xe0\x80\x80"s,
                                     "\xe0\x9f\xbf"s,
                                     "\xe2\x82"s,
                                     "\xed\xa0\x80"s,
                                     "\xed\xbf\xbf"s,
                                     "\xed\xa0\xbd\xed\xb8\x80"s,
                                     "\xf0\x80\x80\x80"s,
                                     "\xf0\x8f\xbf\xbf"s,
                                     "\xf0\x9f\x98"s,
                                     "\xf4\x90\x80\x80"s,
                                     "\xf5\x80\x80\x80"s,
                                     "\xf8\x88\x80\x80\x80"s,
                                     "\xfe"s,
                                     "\xff"s}) {
        EXPECT_FALSE(accepted("\"" + bytes + "\""));
        EXPECT_FALSE(accepted("{\"" + bytes + "\":1}"));
        EXPECT_FALSE(accepted("[1]" + bytes));
    }
    EXPECT_TRUE(
        accepted("\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
                 "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""));
}

TEST(StrictJson, HalfSurrogatesAndNul) {
    for (const char* text : {R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\udc00\ud800")",
                             R"("\ud800x")", R"("\ud83d\u0041")", R"("a\u0000b")", R"("\u0000")"}) {
        EXPECT_FALSE(accepted(text)) << text;
        EXPECT_FALSE(accepted("{" + std::string(text) + ":1}")) << text;
    }
    EXPECT_TRUE(accepted(R"("\ud7ff\ue000\uffff\u0001")"));
}

TEST(StrictJson, Depth) {
    EXPECT_TRUE(accepted(repeat("[", 31) + repeat("]", 31)));
    EXPECT_TRUE(accepted(repeat("[", 32) + repeat("]", 32)));
    EXPECT_FALSE(accepted(repeat("[", 33) + repeat("]", 33)));
    EXPECT_TRUE(accepted(repeat("{\"a\":", 31) + "{}" + repeat("}", 31)));
    EXPECT_FALSE(accepted(repeat("{\"a\":", 32) + "{}" + repeat("}", 32)));
    EXPECT_FALSE(accepted(repeat("[", 100'000)));
    EXPECT_FALSE(accepted(repeat("{\"a\":[", 100'000)));
}

TEST(StrictJson, Members) {
    const auto object = [](size_t count) {
        std::string text = "{";
        for (size_t i = 0; i < count; ++i) {
            text += (i > 0 ? ",\"key" : "\"key") + std::to_string(i) + "\":0";
        }
        return text + "}";
    };
    EXPECT_TRUE(accepted(object(kJsonMembers)));
    EXPECT_FALSE(accepted(object(kJsonMembers + 1)));
}

TEST(StrictJson, KeysTwice) {
    EXPECT_FALSE(accepted(R"({"a":1,"a":1})"));
    EXPECT_FALSE(accepted(R"({"a":1,"\u0061":2})"));
    EXPECT_FALSE(accepted(R"({"":1,"":1})"));
    EXPECT_FALSE(accepted(R"([{"x":{"a":1,"b":2,"a":3}}])"));
    EXPECT_FALSE(accepted(R"({"abcdefgh1":1,"b":{"c":1},"abcdefgh1":1})"));
    EXPECT_TRUE(accepted(R"({"a":1,"A":1,"a ":1,"b":{"a":1},"c":[{"a":1},{"a":1}]})"));
    EXPECT_TRUE(accepted(R"({"abcdefgh1":1,"abcdefgh2":1,"abcdefgh":1,"abcdefg":1})"));
}

TEST(StrictJson, Strings) {
    const std::string longest(kJsonStringBytes, 'x');
    EXPECT_TRUE(accepted("\"" + longest + "\""));
    EXPECT_FALSE(accepted("\"" + longest + "x\""));
    EXPECT_TRUE(accepted("{\"" + longest + "\":1}"));
    EXPECT_FALSE(accepted("{\"" + longest + "x\":1}"));
    // Bytes count after unescaping.
    EXPECT_TRUE(accepted("\"" + repeat("\\u0041", kJsonStringBytes) + "\""));
}

TEST(StrictJson, Numbers) {
    EXPECT_TRUE(accepted(repeat("1", kJsonNumberBytes)));
    EXPECT_FALSE(accepted(repeat("1", kJsonNumberBytes + 1)));
    EXPECT_FALSE(accepted(repeat("1", 10'000)));
    EXPECT_FALSE(accepted("0." + repeat("1", 10'000)));
    for (const char* text : {"1e308", "-1.7976931348623157e308", "4.9e-324", "0e0", "-0", "-0.0"}) {
        EXPECT_TRUE(accepted(text)) << text;
    }
    for (const char* text :
         {"1e309", "-1e309", "1e400000", "1e-400000", "1e131071", "1e99999999999999999999",
          "1e-99999999999999999999", "1.7976931348623159e308"}) {
        EXPECT_FALSE(accepted(text)) << text;
        EXPECT_FALSE(accepted("[" + std::string(text) + "]")) << text;
    }
}

TEST(StrictJson, Tokens) {
    EXPECT_TRUE(accepted("[" + repeat("0,", kJsonTokens - 2) + "0]"));
    EXPECT_FALSE(accepted("[" + repeat("0,", kJsonTokens - 1) + "0]"));
}

TEST(StrictJson, SaysWhere) {
    EXPECT_EQ(events_of("[1,2,x]").substr(0, 16), "refused: byte 5:");
    EXPECT_EQ(events_of("[\"a\xff\"]"), "refused: byte 3: not valid UTF-8, or NUL");
    EXPECT_EQ(events_of("{\"a\":1,\"a\":2}").find("key twice in an object") != std::string::npos,
              true);
}

}  // namespace
}  // namespace pganalytics::serve
