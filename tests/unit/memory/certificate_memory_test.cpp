// A certificate read while memory runs out is read, or it is an error; never one without its key,
// which as a CA would have signed nothing for as long as it stays in force.
#include "pganalytics/net/certificate.hpp"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include <ctime>

#include "memory/failing_allocation.hpp"
#include "pganalytics/net/certificate_authority.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::net {
namespace {

TEST(CertificateOutOfMemory, NeverWithoutItsKey) {
    for (const KeyKind kind : {KeyKind::kEcP256, KeyKind::kRsa3072}) {
        const auto key = make_private_key(kind);
        ASSERT_TRUE(key);
        const auto authority = make_authority(**key, "test CA", std::time(nullptr));
        ASSERT_TRUE(authority);
        const std::string pem = *certificate_pem(**authority);
        ASSERT_TRUE(parse_certificates(pem));  // what is allocated once only
        uint64_t at = 0;
        size_t refused = 0;
        for (bool failed = true; failed;) {
            std::optional<Result<std::vector<Certificate>>> read;
            {
                const testing::FailingAllocation failing(++at);
                try {
                    read.emplace(parse_certificates(pem));
                } catch (const std::bad_alloc&) {
                }
                failed = failing.failed();
            }
            if (!read || !*read) {
                ++refused;
                continue;
            }
            ASSERT_EQ((*read)->size(), 1U);
            EXPECT_NE(X509_get0_pubkey((*read)->front().get()), nullptr) << "allocation " << at;
        }
        EXPECT_GT(refused, 10U);
        std::cout << at - 1 << " allocations, " << refused << " of them an error" << std::endl;
    }
}

}  // namespace
}  // namespace pganalytics::net
