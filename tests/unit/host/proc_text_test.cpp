// Lines, words, numbers, and that no bytes make the readers of /proc stumble.
#include "pganalytics/host/proc_text.hpp"

#include <gtest/gtest.h>

#include <random>

#include "pganalytics/host/mount_table.hpp"
#include "pganalytics/host/proc_diskstats.hpp"
#include "pganalytics/host/proc_meminfo.hpp"
#include "pganalytics/host/proc_net_dev.hpp"
#include "pganalytics/host/proc_stat.hpp"

namespace pganalytics::host {
namespace {

TEST(ProcText, NumbersAreWholeAndInRange) {
    EXPECT_EQ(to_figure("0"), 0);
    EXPECT_EQ(to_figure("007"), 7);
    EXPECT_EQ(to_figure("9223372036854775807"), INT64_MAX);
    for (const char* bad : {"", " 1", "1 ", "-1", "+1", "0x1", "1.5", "9223372036854775808", "1e3",
                            "18446744073709551616", "\xb2"}) {
        EXPECT_EQ(to_figure(bad), std::nullopt) << bad;
    }
    EXPECT_EQ(to_real("0.05"), 0.05);
    for (const char* bad : {"", "nan", "inf", "-1", ".5", "1.5.2", "1,5"}) {
        EXPECT_EQ(to_real(bad), std::nullopt) << bad;
    }
    EXPECT_EQ(scaled(9007199254740991, 1024), 9223372036854774784);
    EXPECT_EQ(scaled(9007199254740992, 1024), std::nullopt);
    EXPECT_EQ(scaled(std::nullopt, 1024), std::nullopt);
}

TEST(ProcText, LinesAndWords) {
    Lines lines("one\n\n two\t three \ncut");
    std::string_view line;
    std::vector<std::string> all;
    while (lines.next(line)) all.emplace_back(line);
    EXPECT_EQ(all, (std::vector<std::string>{"one", "", " two\t three "}));
    Words words(all[2]);
    EXPECT_EQ(words.next(), "two");
    EXPECT_EQ(words.next(), "three");
    EXPECT_EQ(words.next(), "");
    EXPECT_EQ(words.next(), "");
    Figure figures[3];
    EXPECT_EQ(Words("1 x").figures(figures), 2U);
    EXPECT_EQ(figures[0], 1);
    EXPECT_EQ(figures[1], std::nullopt);
    EXPECT_EQ(figures[2], std::nullopt);
}

// What it answers does not matter here; the sanitizers watch.
TEST(ProcText, AnyBytesAreSurvived) {
    std::mt19937 random(20260220);
    const std::string alphabet("cpu 0123456789:/\\-\n\t.kBMemTotal\xff\0", 33);
    for (int round = 0; round < 20000; ++round) {
        std::string text(random() % 120, ' ');
        for (char& c : text) c = alphabet[random() % alphabet.size()];
        (void)parse_proc_stat(text);
        (void)parse_loadavg(text);
        (void)parse_meminfo(text);
        (void)parse_diskstats(text);
        (void)parse_net_dev(text);
        (void)parse_mountinfo(text);
    }
}

}  // namespace
}  // namespace pganalytics::host
