// When a certificate is renewed, by which clock, and what is taken for an answer.
#include "pganalytics/ship/renewal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/ship/json_object.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::ship {
namespace {

using pganalytics::testing::LeafRecipe;
using pganalytics::testing::OpensslCertificates;
using pganalytics::testing::read_text;
using pganalytics::testing::TemporaryFolder;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kDay = 86400 * kSecond;
// The life of the certificate: 30 days from here.
constexpr int64_t kBegin = 1'893'456'000 * kSecond;  // 2030-01-01
constexpr int64_t kLife = 30 * kDay;
constexpr char kMe[] = "11111111-1111-4111-8111-111111111111";

class RenewalTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        made_ = new Made;
        made_->certificates.authority("ca");
        made_->identity = make("own", kMe, "20300101000000Z", "20300131000000Z");
        made_->next = make("next", kMe, "20300120000000Z", "20300219000000Z");
    }
    static void TearDownTestSuite() {
        delete made_;
        made_ = nullptr;
    }
    static Identity make(const std::string& name, const std::string& id, const std::string& begin,
                         const std::string& end) {
        LeafRecipe recipe;
        recipe.names = "URI:urn:uuid:" + id;
        recipe.purpose = "clientAuth";
        recipe.begin = begin;
        recipe.end = end;
        made_->certificates.leaf("ca", name, recipe);
        Identity identity;
        identity.collector_id = *parse_uuid(id);
        identity.key_pem = read_text(made_->folder / (name + ".key"));
        identity.certificate_pem = read_text(made_->folder / (name + ".crt"));
        identity.ca_pem = read_text(made_->folder / "ca.crt");
        return identity;
    }
    // So long after the begin of the life.
    static Moment at(int64_t since) { return {since + kDay, kBegin + since}; }
    // Of a hub whose clock is so far ahead of ours.
    static int64_t hub_began(int64_t ahead) { return at(0).wall - at(0).monotonic + ahead; }
    void ask(Renewal& renewal) {
        ASSERT_TRUE(renewal.ask(own(), "https://hub:1", made_->next.key_pem));
    }
    static net::HttpsOutcome answer(int status, const std::string& certificate) {
        net::HttpsOutcome outcome;
        outcome.response.status = status;
        std::string escaped;
        for (const char c : certificate)
            escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
        outcome.response.body = "{\"certificate\": \"" + escaped + "\"}";
        return outcome;
    }
    const Identity& own() const { return made_->identity; }

    struct Made {
        TemporaryFolder folder;
        OpensslCertificates certificates{folder};
        Identity identity;
        Identity next;
    };
    static inline Made* made_ = nullptr;
};

TEST_F(RenewalTest, AtTwoThirdsAndUpToATenthLaterByTheCollectorsId) {
    std::set<int64_t> all;
    int64_t sum = 0;
    Identity identity = own();
    for (uint8_t i = 0; i < 200; ++i) {
        identity.collector_id[15] = i;
        Renewal renewal;
        renewal.watch(identity, false);
        const int64_t since = renewal.renews_at() - kBegin;
        EXPECT_GE(since, kLife / 3 * 2);
        EXPECT_LT(since, kLife / 3 * 2 + kLife / 10);
        EXPECT_FALSE(renewal.is_due(at(since - 1)));
        EXPECT_TRUE(renewal.is_due(at(since)));
        all.insert(since);
        sum += since - kLife / 3 * 2;
        Renewal same;
        same.watch(identity, false);
        EXPECT_EQ(same.renews_at(), renewal.renews_at());
    }
    EXPECT_GT(all.size(), 195U);
    EXPECT_NEAR(static_cast<double>(sum) / 200, static_cast<double>(kLife) / 20,
                static_cast<double>(kLife) / 80);
}

TEST_F(RenewalTest, TheHubsClockCounts) {
    Renewal renewal;
    renewal.watch(own(), false);
    EXPECT_EQ(renewal.ends_at(), kBegin + kLife);
    EXPECT_FALSE(renewal.is_due(at(kLife)));  // over: there is nothing to ask with
    EXPECT_FALSE(renewal.is_due(at(10 * kDay)));
    renewal.set_hub_began(hub_began(14 * kDay));  // our clock is behind
    EXPECT_TRUE(renewal.is_due(at(10 * kDay)));
    renewal.set_hub_began(hub_began(-365 * kDay));
    EXPECT_FALSE(renewal.is_due(at(25 * kDay)));
    EXPECT_TRUE(renewal.is_due(at((365 + 25) * kDay)));
}

TEST_F(RenewalTest, OurClockMayBeSetAtAnyTime) {
    Renewal renewal;
    renewal.watch(own(), false);
    EXPECT_FALSE(renewal.hub_was_heard());
    renewal.set_hub_began(hub_began(0));
    EXPECT_TRUE(renewal.hub_was_heard());
    for (const int64_t step : {-3650 * kDay, -kDay, kDay, 25 * kDay, 365 * kDay}) {
        Moment now = at(10 * kDay);
        now.wall += step;
        EXPECT_FALSE(renewal.is_due(now)) << step;
        EXPECT_FALSE(renewal.take_warning(now)) << step;
        EXPECT_EQ(renewal.hub_time(now), kBegin + 10 * kDay);
        now = at(25 * kDay);
        now.wall += step;
        EXPECT_TRUE(renewal.is_due(now)) << step;
    }
}

TEST_F(RenewalTest, AGivenOneIsNeverAskedFor) {
    Renewal renewal;
    renewal.watch(own(), true);
    for (int day = 0; day < 40; ++day) EXPECT_FALSE(renewal.is_due(at(day * kDay)));
}

TEST_F(RenewalTest, OneRequestAtATimeThenTheNewPair) {
    Renewal renewal;
    renewal.watch(own(), false);
    const Result<net::HttpsRequest> request =
        renewal.ask(own(), "https://hub:1", made_->next.key_pem);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->url, "https://hub:1/api/v1/collectors/renew-certificate");
    const auto csr = JsonObject::parse(request->body)->text("csr");
    ASSERT_TRUE(csr);
    const Result<std::string> key = net::verify_certificate_request(*csr);
    ASSERT_TRUE(key);
    EXPECT_EQ(*key,
              *net::certificate_public_key(**net::parse_certificate(made_->next.certificate_pem)));
    EXPECT_FALSE(renewal.is_due(at(25 * kDay)));
    const Result<Renewed> renewed =
        renewal.finish(own(), answer(200, made_->next.certificate_pem), at(25 * kDay), 0.5);
    ASSERT_TRUE(renewed) << renewed.error().message;
    EXPECT_EQ(renewed->key_pem, made_->next.key_pem);
    EXPECT_EQ(renewed->certificate_pem, made_->next.certificate_pem);
    // One that is due when it is issued makes no storm.
    renewal.watch(made_->next, false);
    EXPECT_FALSE(renewal.is_due({25 * kDay + kDay + 59 * kSecond, kBegin + 45 * kDay}));
    EXPECT_TRUE(renewal.is_due({25 * kDay + kDay + 60 * kSecond, kBegin + 45 * kDay}));
}

TEST_F(RenewalTest, WhatIsNotTheCertificateAskedForIsRefused) {
    const Identity other =
        make("other", "22222222-2222-4222-8222-222222222222", "20300120000000Z", "20300219000000Z");
    const struct {
        int status;
        std::string certificate;
        const char* says;
    } cases[] = {
        {200, other.certificate_pem, "unusable"},
        {200, own().certificate_pem, "unusable"},
        {200, own().ca_pem, "unusable"},
        {200, "", "no certificate"},
        {409, "", "status 409"},
        {401, "", "status 401"},
        {404, "", "status 404"},
        {201, made_->next.certificate_pem, "status 201"},
    };
    for (const auto& one : cases) {
        Renewal renewal;
        renewal.watch(own(), false);
        ask(renewal);
        const Result<Renewed> renewed =
            renewal.finish(own(), answer(one.status, one.certificate), at(25 * kDay), 0);
        ASSERT_FALSE(renewed) << one.says;
        EXPECT_NE(renewed.error().message.find(one.says), std::string::npos)
            << renewed.error().message;
        ASSERT_TRUE(renewal.problem());
        // A minute; an hour where somebody else renewed.
        const int64_t wait = one.status == 409 ? 3600 * kSecond : 60 * kSecond;
        EXPECT_FALSE(renewal.is_due(at(25 * kDay + wait - 1)));
        EXPECT_TRUE(renewal.is_due(at(25 * kDay + wait)));
    }
    // Its own life is over: a hub with a wrong clock.
    Renewal renewal;
    renewal.watch(own(), false);
    renewal.set_hub_began(hub_began(60 * kDay));
    ask(renewal);
    EXPECT_FALSE(renewal.finish(own(), answer(200, made_->next.certificate_pem), at(25 * kDay), 0));
}

TEST_F(RenewalTest, FailuresComeFurtherApartUpToAnHour) {
    Renewal renewal;
    renewal.watch(own(), false);
    int64_t now = 24 * kDay;
    int64_t longest = 0;
    for (int i = 0; i < 20; ++i) {
        renewal.failed(make_error("58030", "no disk"), at(now), 0.999);
        int64_t wait = 0;
        while (!renewal.is_due(at(now + wait))) wait += kSecond;
        longest = std::max(longest, wait);
        now += wait;
    }
    EXPECT_LE(longest, 3600 * kSecond);
    EXPECT_GT(longest, 3500 * kSecond);
}

TEST_F(RenewalTest, WarningsComeOnce) {
    for (const bool given : {false, true}) {
        Renewal renewal;
        renewal.watch(own(), given);
        EXPECT_FALSE(renewal.take_warning(at(23 * kDay)));
        renewal.failed(make_error("08006", "the cause"), at(23 * kDay), 0);
        for (const int64_t since : {kLife / 5 * 4, kLife / 20 * 19, kLife}) {
            const std::optional<Error> warning = renewal.take_warning(at(since));
            ASSERT_TRUE(warning);
            EXPECT_NE(warning->message.find(since == kLife ? "has expired" : "2030-01-31"),
                      std::string::npos);
            EXPECT_EQ(warning->detail.find("the cause") == std::string::npos, given);
            EXPECT_EQ(warning->hint.find("cert_file") == std::string::npos, !given);
            EXPECT_FALSE(renewal.take_warning(at(since + kDay / 24)));
        }
    }
}

}  // namespace
}  // namespace pganalytics::ship
