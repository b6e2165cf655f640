// Small pure parts of the front: answers, media types, the body of a registration, JSON made.
#include <gtest/gtest.h>

#include "pganalytics/serve/http_answer.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/media.hpp"
#include "pganalytics/serve/register_body.hpp"

namespace pganalytics::serve {
namespace {

TEST(Answers, Bytes) {
    Answer answer = wait_answer(503, 7, "busy");
    EXPECT_EQ(answer_bytes(answer, false, 784111777),
              "HTTP/1.1 503 Service Unavailable\r\n"
              "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "Content-Type: application/json; charset=utf-8\r\nContent-Length: 29\r\n"
              "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
              "Strict-Transport-Security: max-age=63072000\r\nRetry-After: 7\r\n"
              "Connection: close\r\n\r\n{\"code\":503,\"message\":\"busy\"}");
    EXPECT_NE(answer_bytes(unauthorized(), true, 0).find("\r\nWWW-Authenticate: Bearer\r\n"),
              std::string::npos);
    EXPECT_EQ(error_answer(400, "a", "b \"c\"").body,
              R"({"code":400,"message":"a","details":"b \"c\""})");
}

TEST(Answers, JsonText) {
    std::string out;
    append_json_string(out, std::string("a\"b\\c\n\x01\x7f/\xc3\xa4", 11));
    EXPECT_EQ(out, "\"a\\\"b\\\\c\\u000a\\u0001\x7f/\xc3\xa4\"");
    EXPECT_EQ(JsonObject().take(), "{}");
    EXPECT_EQ(JsonObject()
                  .text("a", "x")
                  .number("b", UINT64_MAX)
                  .boolean("c", true)
                  .null("d")
                  .raw("e", "[1]")
                  .time("f", 0)
                  .time("g", INT64_MAX)
                  .take(),
              R"({"a":"x","b":18446744073709551615,"c":true,"d":null,"e":[1],)"
              R"("f":"1970-01-01T00:00:00.000Z","g":null})");
}

RequestHead head_with(std::string_view name, std::string_view value) {
    RequestHead head;
    head.fields[head.field_count++] = {name, value};
    return head;
}

TEST(Answers, MediaTypes) {
    for (const char* type :
         {"application/json", "Application/JSON", "application/json;charset=utf-8",
          "application/json ; charset=UTF-8"}) {
        EXPECT_TRUE(is_json(head_with("Content-Type", type))) << type;
    }
    for (const char* type :
         {"", "application/jsonx", "application/json;charset=latin1", "text/json",
          "application/json; charset=utf-8; x=y", "application/json;"}) {
        EXPECT_FALSE(is_json(head_with("Content-Type", type))) << type;
    }
    EXPECT_FALSE(is_json(RequestHead{}));
    EXPECT_EQ(content_coding(RequestHead{}), Coding::kIdentity);
    EXPECT_EQ(content_coding(head_with("content-encoding", "GZIP")), Coding::kGzip);
    EXPECT_EQ(content_coding(head_with("content-encoding", "identity")), Coding::kIdentity);
    for (const char* coding : {"", "deflate", "gzip, gzip", "gzip,identity", "x-gzip", "br"}) {
        EXPECT_FALSE(content_coding(head_with("content-encoding", coding))) << coding;
    }
}

TEST(Answers, RegisterBody) {
    RegisterBody body;
    EXPECT_FALSE(parse_register_body(
        R"({"name":"db-1","hostname":"h","version":"1","csr":"pem","more":{"name":["x"]},"address":5})",
        body));
    EXPECT_EQ(body.name, "db-1");
    EXPECT_EQ(body.hostname, "h");
    EXPECT_EQ(body.version, "1");
    EXPECT_EQ(body.csr, "pem");
    EXPECT_FALSE(parse_register_body(R"({"csr":null})", body));
    EXPECT_EQ(body.csr, "");
    EXPECT_EQ(body.name, "");
    for (const char* json :
         {"", "[]", "null", "5", "\"x\"", R"({"name":5})", R"({"name":[]})", R"({"csr":{"a":1}})",
          R"({"name":true})", R"({"name":"a","name":"b"})", R"({"name":"a"}x)"}) {
        EXPECT_TRUE(parse_register_body(json, body)) << json;
    }
    const std::string longest(255, 'n');
    EXPECT_FALSE(parse_register_body("{\"name\":\"" + longest + "\"}", body));
    EXPECT_TRUE(parse_register_body("{\"name\":\"" + longest + "n\"}", body));
}

}  // namespace
}  // namespace pganalytics::serve
