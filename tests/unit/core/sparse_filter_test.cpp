// The sparse filter against a model: a server whose rows change at random and a receiver that
// knows only what the filter lets through.
#include "pganalytics/core/sparse_filter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "pganalytics/core/ordered_key.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {
namespace {

using enum ColumnType;
constexpr ColumnType kTypes[] = {kOid, kText, kInt64};
constexpr SipKey kKey = {1, 2};

using Key = std::pair<uint32_t, std::string>;
using Rows = std::map<Key, int64_t>;

std::string body_of(const Key& key, int64_t value) {
    RowBuilder builder(kTypes);
    builder.begin();
    builder.number(key.first);
    builder.text(key.second);
    builder.integer(value);
    builder.end();
    RowReader reader(builder.rows());
    std::string_view body;
    EXPECT_TRUE(reader.next(body));
    return std::string(body);
}

struct Receiver {
    Rows rows;
    bool lossy = false;

    void take(const SparseFilter::Changes& changes, bool complete) {
        EXPECT_TRUE(!changes.full || changes.gone.empty());
        if (changes.full && complete) rows.clear();
        std::string last;
        for (const std::string_view body : changes.rows) {
            Value values[3];
            ASSERT_TRUE(decode_row(body, kTypes, values));
            std::string key;
            ASSERT_TRUE(append_ordered_key(key, body, 3, std::span(kTypes).first(2)));
            EXPECT_LT(last, key) << "rows are sorted by key, each key once";
            last = key;
            rows[{static_cast<uint32_t>(values[0].integer), std::string(values[1].text)}] =
                values[2].integer;
        }
        last.clear();
        for (const std::string_view gone : changes.gone) {
            Value values[2];
            ASSERT_TRUE(decode_ordered_key(gone, std::span(kTypes).first(2), values));
            EXPECT_LT(last, gone);
            last = gone;
            const Key key{static_cast<uint32_t>(values[0].integer), std::string(values[1].text)};
            EXPECT_TRUE(rows.erase(key) == 1 || lossy) << "only what is there can be gone";
        }
    }
};

SparseFilter::Changes read(SparseFilter& filter, RowsetGroup group,
                           const std::vector<std::pair<Key, int64_t>>& rows, bool full,
                           bool complete) {
    filter.begin(group, 3, std::span(kTypes).first(2), full);
    for (const auto& [key, value] : rows) EXPECT_TRUE(filter.add(body_of(key, value)));
    return filter.end(complete);
}

class Model {
  public:
    explicit Model(unsigned seed) : seed_(seed), random_(seed) { receiver_.lossy = seed % 2 == 1; }

    void step() {
        if (!chance(20)) change_server();
        bool full = chance(10);
        // A dropped snapshot: what was lost is unknown, so the next reading has to be full.
        if (receiver_.lossy && chance(10)) {
            for (auto row = receiver_.rows.begin(); row != receiver_.rows.end();)
                row = chance(50) ? receiver_.rows.erase(row) : std::next(row);
            full = true;
        }
        std::vector<std::pair<Key, int64_t>> reading(server_.begin(), server_.end());
        // A server that reads its rows in an order of its own, mostly in the same.
        if (seed_ % 3 != 0) {
            std::sort(reading.begin(), reading.end(), [](const auto& a, const auto& b) {
                return own_order(a.first) < own_order(b.first);
            });
        }
        if (chance(seed_ % 3 == 1 ? 10 : 50)) {
            std::shuffle(reading.begin(), reading.end(), random_);
        }
        const bool complete = chance(80);
        if (!complete) reading.resize(reading.size() * (random_() % 100) / 100);
        if (!full && chance(5)) {
            filter_.begin(kGroup, 3, std::span(kTypes).first(2), full);
            for (const auto& [key, value] : reading) filter_.add(body_of(key, value));
            return filter_.abandon();
        }
        if (known_ && !full && chance(30)) return step_partial();
        const SparseFilter::Changes changes = read(filter_, kGroup, reading, full, complete);
        const bool nothing_new = known_ && !full && complete && known_ == server_;
        EXPECT_EQ(changes.anything, changes.full || !changes.rows.empty() || !changes.gone.empty());
        EXPECT_FALSE(nothing_new && changes.anything);
        receiver_.take(changes, complete);
        for (const auto& [key, value] : reading) EXPECT_EQ(receiver_.rows[key], value);
        EXPECT_TRUE(!complete || receiver_.rows == server_);
        known_ = complete ? std::optional(server_) : std::nullopt;
    }

  private:
    static constexpr RowsetGroup kGroup{3, 16384};

    static std::pair<uint32_t, Key> own_order(const Key& key) {
        return {key.first * 2654435761U >> 20, key};
    }

    // What changed since the last complete reading, and some that did not; nothing is gone by it.
    void step_partial() {
        ASSERT_TRUE(filter_.begin_partial(kGroup, 3, std::span(kTypes).first(2)));
        std::vector<std::pair<Key, int64_t>> changed;
        for (const auto& [key, value] : server_) {
            const auto before = known_->find(key);
            if (before == known_->end() || before->second != value || chance(10))
                changed.emplace_back(key, value);
        }
        std::shuffle(changed.begin(), changed.end(), random_);
        for (const auto& [key, value] : changed) EXPECT_TRUE(filter_.add(body_of(key, value)));
        const SparseFilter::Changes changes = filter_.end(chance(80));
        EXPECT_FALSE(changes.full);
        EXPECT_TRUE(changes.gone.empty());
        EXPECT_EQ(changes.anything, !changes.rows.empty());
        receiver_.take(changes, true);
        for (const auto& [key, value] : changed) (*known_)[key] = value;
        EXPECT_EQ(receiver_.rows, *known_);
        EXPECT_EQ(filter_.rows(), known_->size());
    }

    bool chance(unsigned percent) { return random_() % 100 < percent; }

    void change_server() {
        const size_t changes = random_() % 20;
        for (size_t i = 0; i < changes; ++i) {
            Key key{random_() % 40 * 7919 % 70000, std::string(random_() % 3, 'x')};
            // Keys that many begin alike.
            if (seed_ % 4 == 0) key = {key.first % 3, "alike" + std::string(random_() % 30, 'x')};
            if (chance(30)) {
                server_.erase(key);
            } else {
                server_[key] = static_cast<int64_t>(random_() % 5);
            }
        }
    }

    unsigned seed_;
    std::mt19937 random_;
    SparseFilter filter_{kKey};
    Rows server_;
    Receiver receiver_;
    std::optional<Rows> known_;  // the server's rows at the last complete reading
};

TEST(SparseFilter, ReceiverEndsWithTheServersRows) {
    for (unsigned seed = 0; seed < 40; ++seed) {
        Model model(seed);
        for (int step = 0; step < 60; ++step) model.step();
        if (HasFailure()) FAIL() << "seed " << seed;
    }
}

TEST(SparseFilter, APartialReadingNeedsACompleteOneBefore) {
    SparseFilter filter(kKey);
    const auto keys = std::span(kTypes).first(2);
    EXPECT_FALSE(filter.begin_partial({1, 0}, 3, keys));
    read(filter, {1, 0}, {{{5, "a"}, 1}}, false, true);
    EXPECT_FALSE(filter.begin_partial({1, 0}, 3, {}));
    ASSERT_TRUE(filter.begin_partial({1, 0}, 3, keys));
    EXPECT_TRUE(filter.add(body_of({5, "a"}, 1)));
    EXPECT_TRUE(filter.add(body_of({4, "a"}, 1)));
    EXPECT_EQ(filter.end(true).rows.size(), 1U);
    // A complete one afterwards is again what it was.
    const auto changes = read(filter, {1, 0}, {{{5, "a"}, 2}}, false, true);
    EXPECT_EQ(changes.rows.size(), 1U);
    EXPECT_EQ(changes.gone.size(), 1U);
}

TEST(SparseFilter, FirstReadingIsFullAndEmptyOnesCount) {
    SparseFilter filter(kKey);
    EXPECT_TRUE(read(filter, {1, 0}, {}, false, true).full);
    EXPECT_FALSE(read(filter, {1, 0}, {}, false, true).anything);
    const auto changes = read(filter, {1, 0}, {{{5, "a"}, 1}}, false, true);
    EXPECT_FALSE(changes.full);
    EXPECT_EQ(changes.rows.size(), 1U);
    EXPECT_TRUE(read(filter, {1, 0}, {}, true, true).anything);
}

TEST(SparseFilter, TheLastOfTwoRowsWithOneKeyCounts) {
    SparseFilter filter(kKey);
    const std::vector<std::pair<Key, int64_t>> twice = {
        {{7, "b"}, 1}, {{5, "a"}, 1}, {{7, "b"}, 2}};
    const auto changes = read(filter, {1, 0}, twice, false, true);
    ASSERT_EQ(changes.rows.size(), 2U);
    EXPECT_EQ(changes.rows[1], body_of({7, "b"}, 2));
    EXPECT_FALSE(read(filter, {1, 0}, twice, false, true).anything);
}

TEST(SparseFilter, ARowsetWithoutKeyIsFullWhenItChanges) {
    SparseFilter filter(kKey);
    const auto look = [&](int64_t value) {
        filter.begin({2, 0}, 3, {}, false);
        EXPECT_TRUE(filter.add(body_of({1, "server"}, value)));
        return filter.end(true);
    };
    EXPECT_TRUE(look(1).full);
    EXPECT_FALSE(look(1).anything);
    const auto changes = look(2);
    EXPECT_TRUE(changes.full && changes.anything);
    EXPECT_EQ(changes.rows.size(), 1U);
}

TEST(SparseFilter, ForgetsDatabasesThatAreGone) {
    SparseFilter filter(kKey);
    for (const uint32_t datid : {0U, 10U, 20U})
        read(filter, {1, datid}, {{{datid, "a"}, 1}}, false, true);
    EXPECT_EQ(filter.rows(), 3U);
    const uint32_t left[] = {20, 30};
    filter.keep_databases(left);
    EXPECT_EQ(filter.rows(), 2U);
    EXPECT_TRUE(read(filter, {1, 10}, {}, false, true).full);
    EXPECT_FALSE(read(filter, {1, 20}, {{{20, "a"}, 1}}, false, true).full);
    EXPECT_FALSE(read(filter, {1, 0}, {{{0, "a"}, 1}}, false, true).full);
}

TEST(SparseFilter, RefusesMalformedRows) {
    SparseFilter filter(kKey);
    const std::string good = body_of({5, "a"}, 1);
    filter.begin({1, 0}, 3, std::span(kTypes).first(2), false);
    EXPECT_FALSE(filter.add(""));
    EXPECT_FALSE(filter.add(std::string_view(good).substr(0, 2)));
    EXPECT_TRUE(filter.add(good));
    EXPECT_EQ(filter.end(true).rows.size(), 1U);
}

// 500,000 rows with a key of two oids: 20 MB or less.
TEST(SparseFilter, IsSmall) {
    constexpr ColumnType kOids[] = {kOid, kOid};
    SparseFilter filter(kKey);
    for (uint16_t rowset = 0; rowset < 5; ++rowset) {
        filter.begin({rowset, 16384}, 2, kOids, false);
        RowBuilder builder(kOids);
        for (uint32_t i = 0; i < 100000; ++i) {
            builder.begin();
            builder.number(16384);
            builder.number(20000 + i * 3);
            builder.end();
        }
        RowReader reader(builder.rows());
        std::string_view body;
        while (reader.next(body)) ASSERT_TRUE(filter.add(body));
        filter.end(true);
        filter.release();
    }
    EXPECT_EQ(filter.rows(), 500000U);
    EXPECT_LT(filter.bytes(), size_t{15} << 20);
}

}  // namespace
}  // namespace pganalytics
