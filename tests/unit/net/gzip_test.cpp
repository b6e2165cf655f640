// gzip and python as judges of what we write; their output, and broken forms of it, as what we
// read.
#include "pganalytics/net/gzip.hpp"

#include <gtest/gtest.h>

#include "pganalytics/net/random.hpp"
#include "support/command.hpp"

namespace pganalytics::net {
namespace {

std::string mixed_bytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) {
        bytes[i] = i % 3 == 0 ? static_cast<char>(random_below(256)) : 'x';
    }
    return bytes;
}

TEST(GzipWriter, JudgesReadIt) {
    const testing::TemporaryFolder folder;
    const std::string bytes = mixed_bytes(300'000);
    for (const Packing packing : {Packing::kFast, Packing::kSmall}) {
        std::string out;
        GzipWriter writer(out, packing);
        for (size_t at = 0; at < bytes.size(); at += 7777) {
            writer.write(std::string_view(bytes).substr(at, 7777));
        }
        writer.finish();
        EXPECT_EQ(writer.bytes_in(), bytes.size());
        testing::write_text(folder / "out.gz", out);
        EXPECT_EQ(testing::run_command("gzip -t " + (folder / "out.gz")).status, 0);
        testing::run_command("gzip -dc " + (folder / "out.gz") + " > " + (folder / "back"));
        EXPECT_EQ(testing::read_text(folder / "back"), bytes);
    }
}

TEST(GzipWriter, ItsPackingMayChangeOnTheWay) {
    const testing::TemporaryFolder folder;
    const std::string bytes = mixed_bytes(1'000'000);
    std::string out;
    GzipWriter writer(out, Packing::kSmall);
    Packing packing = Packing::kSmall;
    for (size_t at = 0; at < bytes.size(); at += 77'777) {
        writer.write(std::string_view(bytes).substr(at, 77'777));
        packing = packing == Packing::kSmall ? Packing::kFast : Packing::kSmall;
        writer.set_packing(packing);
        writer.set_packing(packing);
    }
    writer.finish();
    testing::write_text(folder / "out.gz", out);
    EXPECT_EQ(testing::run_command("gzip -t " + (folder / "out.gz")).status, 0);
    testing::run_command("gzip -dc " + (folder / "out.gz") + " > " + (folder / "back"));
    EXPECT_EQ(testing::read_text(folder / "back"), bytes);
}

// Nothing after a change may lean on what was before it: the library that writes it never saw that.
TEST(GzipWriter, ChangesWithoutAnythingWritten) {
    std::string out;
    GzipWriter writer(out, Packing::kSmall);
    writer.set_packing(Packing::kFast);
    writer.set_packing(Packing::kSmall);
    writer.write("abcabcabcabcabcabc");
    writer.set_packing(Packing::kFast);
    writer.write("abcabcabcabcabcabc");
    writer.set_packing(Packing::kSmall);
    writer.finish();
    EXPECT_EQ(inflate_gzip(out, 100).bytes, "abcabcabcabcabcabcabcabcabcabcabcabc");
    EXPECT_GT(writer.memory(), size_t{500} << 10);
}

TEST(GzipWriter, SmallIsSmallerThanFast) {
    std::string json;
    for (int i = 0; i < 20'000; ++i) json += std::to_string(16384 + 3 * i) + ",null,";
    const size_t small = gzip(json, Packing::kSmall).size();
    const size_t fast = gzip(json, Packing::kFast).size();
    EXPECT_LT(small, fast);
    EXPECT_LT(fast, json.size() / 3);
}

TEST(GzipWriter, EmptyAndSeveralAtOnce) {
    std::string first;
    std::string second;
    {
        GzipWriter a(first);
        GzipWriter b(second);
        a.write("one");
        b.write("two");
        GzipWriter moved = std::move(a);
        moved.write(" more");
        b.finish();
        moved.finish();
    }
    EXPECT_EQ(inflate_gzip(first, 100).bytes, "one more");
    EXPECT_EQ(inflate_gzip(second, 100).bytes, "two");
    EXPECT_EQ(inflate_gzip(gzip(""), 0).problem, InflateProblem::kNone);
    // Neither name nor time: the same bytes, the same output.
    EXPECT_EQ(gzip("abc"), gzip("abc"));
    EXPECT_EQ(gzip("abc").substr(3, 5), std::string(5, '\0'));
}

TEST(Inflate, ReadsWhatPythonAndGzipWrite) {
    const testing::TemporaryFolder folder;
    const std::string bytes = mixed_bytes(200'000);
    testing::write_text(folder / "data", bytes);
    testing::run_command("gzip -9 -k " + (folder / "data"));  // with name and time
    EXPECT_EQ(inflate_gzip(testing::read_text(folder / "data.gz"), bytes.size()).bytes, bytes);
    testing::run_command(
        "/usr/bin/python3 -c \"import gzip,sys; "
        "open('" +
        (folder / "py.gz") + "','wb').write(gzip.compress(open('" + (folder / "data") +
        "','rb').read()))\"");
    EXPECT_EQ(inflate_gzip(testing::read_text(folder / "py.gz"), bytes.size()).bytes, bytes);
}

TEST(Inflate, LimitIsExact) {
    const std::string bytes = mixed_bytes(100'000);
    const std::string packed = gzip(bytes);
    EXPECT_EQ(inflate_gzip(packed, bytes.size()).bytes, bytes);
    EXPECT_EQ(inflate_gzip(packed, bytes.size() - 1).problem, InflateProblem::kTooLarge);
    EXPECT_TRUE(inflate_gzip(packed, bytes.size() - 1).bytes.empty());
    EXPECT_EQ(inflate_gzip(gzip("x"), 0).problem, InflateProblem::kTooLarge);
    // A bomb: 64 MB of zeros in 64 KB.
    const std::string bomb = gzip(std::string(64 << 20, '\0'), Packing::kSmall);
    EXPECT_LT(bomb.size(), 80'000U);
    EXPECT_EQ(inflate_gzip(bomb, 32 << 20).problem, InflateProblem::kTooLarge);
}

TEST(Inflate, EveryCutIsTruncatedAndEveryFlipIsSeen) {
    const std::string bytes = "some body, some body, some other body";
    // (packed so that no flip hits the bits that fill the last byte of the deflated data)
    const std::string packed = gzip(bytes, Packing::kSmall);
    for (size_t length = 0; length < packed.size(); ++length) {
        EXPECT_EQ(inflate_gzip(packed.substr(0, length), 1000).problem, InflateProblem::kTruncated)
            << length;
    }
    for (size_t at = 0; at < packed.size(); ++at) {
        // MTIME, XFL and OS of the header mean nothing.
        if (at >= 4 && at < 10) continue;
        std::string broken = packed;
        broken[at] = static_cast<char>(broken[at] ^ 0x40);
        const Inflated result = inflate_gzip(broken, 1000);
        EXPECT_FALSE(result) << at;
    }
}

// As RFC 1952 has them, made by hand; python reads the good ones.
TEST(Inflate, HeadersWithEverything) {
    const testing::TemporaryFolder folder;
    const std::string plain = gzip("body");
    const std::string behind = plain.substr(10);
    const auto header = [](char flags) {
        return std::string("\x1f\x8b\x08", 3) + flags + std::string(6, 'm');
    };
    std::string full = header(2 | 4 | 8 | 16) + std::string("\3\0xyz", 5) +
                       std::string("name\0", 5) + std::string("comment\0", 8);
    testing::write_text(folder / "header", full);
    testing::run_command("/usr/bin/python3 -c \"import zlib; b = open('" + (folder / "header") +
                         "','rb').read(); open('" + (folder / "crc") +
                         "','wb').write((zlib.crc32(b) & 0xffff).to_bytes(2, 'little'))\"");
    full += testing::read_text(folder / "crc") + behind;
    testing::write_text(folder / "full.gz", full);
    ASSERT_EQ(testing::run_command("gzip -t " + (folder / "full.gz")).status, 0);
    EXPECT_EQ(inflate_gzip(full, 100).bytes, "body");
    for (size_t length = 0; length < full.size(); ++length) {
        EXPECT_EQ(inflate_gzip(full.substr(0, length), 100).problem, InflateProblem::kTruncated)
            << length;
    }
    // (its checksum covers all of the header)
    for (size_t at = 0; at < full.size() - behind.size(); ++at) {
        std::string broken = full;
        broken[at] = static_cast<char>(broken[at] ^ 0x40);
        EXPECT_FALSE(inflate_gzip(broken, 100)) << at;
    }
    for (const int reserved : {0x20, 0x40, 0x80}) {
        EXPECT_EQ(inflate_gzip(header(static_cast<char>(reserved)) + behind, 100).problem,
                  InflateProblem::kMalformed);
    }
}

// What its end says of its size is a claim: neither more nor less of it is believed.
TEST(Inflate, ALengthThatIsWrong) {
    const std::string bytes = mixed_bytes(3'000'000);
    std::string packed = gzip(bytes);
    EXPECT_EQ(inflate_gzip(packed, 4'000'000).bytes, bytes);
    for (const char high : {'\0', '\x7f', '\xff'}) {
        packed.back() = high;
        if (high != '\0') {
            EXPECT_EQ(inflate_gzip(packed, 4'000'000).problem, InflateProblem::kMalformed);
        }
    }
    packed.back() = '\0';
    packed[packed.size() - 4] = static_cast<char>(packed[packed.size() - 4] ^ 1);
    EXPECT_EQ(inflate_gzip(packed, 4'000'000).problem, InflateProblem::kMalformed);
}

TEST(Inflate, ExactlyOneMember) {
    const std::string packed = gzip("body");
    EXPECT_EQ(inflate_gzip(packed + packed, 1000).problem, InflateProblem::kTrailing);
    EXPECT_EQ(inflate_gzip(packed + '\0', 1000).problem, InflateProblem::kTrailing);
    EXPECT_EQ(inflate_gzip("plain text", 1000).problem, InflateProblem::kMalformed);
    EXPECT_EQ(inflate_gzip("", 1000).problem, InflateProblem::kTruncated);
}

TEST(Inflate, ZlibOnlyWhereAccepted) {
    const testing::TemporaryFolder folder;
    testing::run_command("/usr/bin/python3 -c \"import zlib; open('" + (folder / "z") +
                         "','wb').write(zlib.compress(b'older collector'))\"");
    const std::string packed = testing::read_text(folder / "z");
    EXPECT_EQ(inflate_gzip(packed, 100).problem, InflateProblem::kMalformed);
    EXPECT_EQ(inflate_gzip(packed, 100, true).bytes, "older collector");
    EXPECT_EQ(inflate_gzip(packed, 14, true).problem, InflateProblem::kTooLarge);
    EXPECT_EQ(inflate_gzip(packed + "x", 100, true).problem, InflateProblem::kTrailing);
    for (size_t length = 0; length < packed.size(); ++length) {
        EXPECT_EQ(inflate_gzip(packed.substr(0, length), 100, true).problem,
                  InflateProblem::kTruncated)
            << length;
    }
    // Its header and its checksum; a preset dictionary is none we have.
    for (const size_t at : {size_t{0}, size_t{1}, packed.size() - 4, packed.size() - 1}) {
        std::string broken = packed;
        broken[at] = static_cast<char>(broken[at] ^ 0x40);
        EXPECT_EQ(inflate_gzip(broken, 100, true).problem, InflateProblem::kMalformed) << at;
    }
    EXPECT_EQ(inflate_gzip("\x78\xbb" + packed.substr(2), 100, true).problem,
              InflateProblem::kMalformed);
    EXPECT_EQ(inflate_gzip(gzip("newer"), 100, true).bytes, "newer");
}

}  // namespace
}  // namespace pganalytics::net
