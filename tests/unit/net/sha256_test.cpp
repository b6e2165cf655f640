// Published vectors and the openssl command line as judges.
#include "pganalytics/net/sha256.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/hex.hpp"
#include "support/command.hpp"

namespace pganalytics::net {
namespace {

TEST(Sha256, AgreesWithOpensslCommand) {
    const testing::TemporaryFolder folder;
    std::string bytes;
    for (int i = 0; i < 3000; ++i) bytes.push_back(static_cast<char>(i * 7));
    testing::write_text(folder / "data", bytes);
    const auto judge = testing::run_command("sha256sum < " + (folder / "data"));
    EXPECT_EQ(judge.output.substr(0, 64), hex_text(sha256(bytes)));

    Sha256Hasher hasher;
    for (const char byte : bytes) hasher.update({&byte, 1});
    EXPECT_EQ(hex_text(hasher.finish()), hex_text(sha256(bytes)));
}

TEST(Hmac, Rfc4231) {
    const std::string key(20, '\x0b');
    EXPECT_EQ(hex_text(hmac_sha256(as_bytes(key), "Hi There")),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(hex_text(hmac_sha256(as_bytes("Jefe"), "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hex_text(hmac_sha256(as_bytes(std::string(131, '\xaa')),
                                   "Test Using Larger Than Block-Size Key - Hash Key First")),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hkdf, Rfc5869) {
    const std::string key(22, '\x0b');
    std::string salt;
    for (char c = 0; c <= 0x0c; ++c) salt.push_back(c);
    const std::string info = "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9";
    EXPECT_EQ(hex_text(hkdf_sha256(as_bytes(key), salt, info)),
              "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    // Case A.3: neither salt nor info.
    EXPECT_EQ(hex_text(hkdf_sha256(as_bytes(key), "", "")),
              "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

TEST(ConstantTime, Compares) {
    EXPECT_TRUE(equal_in_constant_time(as_bytes("same"), as_bytes("same")));
    EXPECT_TRUE(equal_in_constant_time({}, {}));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("samf")));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("same"), as_bytes("sam")));
}

}  // namespace
}  // namespace pganalytics::net
