// Binary COPY rows, byte by byte as PostgreSQL's documentation has them. (That the server takes
// them is shown by tests/e2e/test_serve_copy.py.)
#include "pganalytics/serve/copy_encoder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pganalytics::serve {
namespace {

using std::string_literals::operator""s;

TEST(CopyEncoder, EachType) {
    CopyEncoder encoder;
    encoder.begin_row(9);
    encoder.null();
    encoder.boolean(true);
    encoder.int64(-2);
    encoder.float64(1.5);
    encoder.timestamp(kPostgresEpoch + 1);
    encoder.lsn(0x16B374D848);
    encoder.oid(0xfffffffe);
    encoder.bytes("ab");
    encoder.jsonb("{}");
    EXPECT_EQ(encoder.rows(),
              "\0\x09"s
              "\xff\xff\xff\xff"s
              "\0\0\0\x01\x01"s
              "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe"s
              "\0\0\0\x08\x3f\xf8\0\0\0\0\0\0"s
              "\0\0\0\x08\0\0\0\0\0\0\0\x01"s
              "\0\0\0\x08\0\0\0\x16\xb3\x74\xd8\x48"s
              "\0\0\0\x04\xff\xff\xff\xfe"s
              "\0\0\0\x02"s
              "ab"
              "\0\0\0\x03\x01{}"s);
}

TEST(CopyEncoder, GrowsCutsAndClears) {
    CopyEncoder encoder;
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
        encoder.begin_row(1);
        encoder.bytes(std::string(static_cast<size_t>(i), 'x'));
        expected += "\0\x01\0\0"s;
        expected += static_cast<char>(i >> 8);
        expected += static_cast<char>(i & 0xff);
        expected += std::string(static_cast<size_t>(i), 'x');
    }
    EXPECT_EQ(encoder.rows(), expected);
    const size_t size = encoder.size();
    encoder.begin_row(1);
    encoder.null();
    encoder.cut(size);
    EXPECT_EQ(encoder.rows(), expected);
    encoder.clear();
    EXPECT_EQ(encoder.size(), 0U);
    encoder.bytes("");
    EXPECT_EQ(encoder.rows(), "\0\0\0\0"s);
}

}  // namespace
}  // namespace pganalytics::serve
