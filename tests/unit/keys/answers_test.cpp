// The hub's files from nothing to renewal, with the openssl command line and the file system as
// judges. Times are given, so that years pass in a test.
#include "pganalytics/keys/answers.hpp"
#include "pganalytics/core/time_text.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <map>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_authority.hpp"
#include "pganalytics/net/master_keys.hpp"
#include "pganalytics/net/private_key.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::keys {
namespace {

using testing::read_text;
using testing::run_command;
using testing::write_text;

constexpr int64_t kDay = 86400;

class KeysTest : public ::testing::Test {
  protected:
    KeysTest() : now_(std::time(nullptr)) {
        question_.files.state_directory = folder_ / "state";
        question_.hub_id = "11111111-2222-4333-8444-555555555555";
        question_.names = {"localhost", "127.0.0.1", "hub.example"};
        question_.may_create = true;
    }
    KeysInitResult ask(int64_t days = 0) { return answer(question_, now_ + days * kDay); }
    std::string file(const std::string& name) { return folder_ / ("state/hub/" + name); }
    // Every file of the hub with its content.
    std::map<std::string, std::string> files() {
        std::map<std::string, std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(folder_ / "state/hub")) {
            all[entry.path().filename()] = read_text(entry.path());
        }
        return all;
    }
    KeysSign order() {
        KeysSign order;
        order.files = question_.files;
        order.collector_id = *parse_uuid("0f0e0d0c-0b0a-4908-8706-050403020100");
        order.public_key = *net::public_key_der(**net::make_private_key());
        return order;
    }

    testing::TemporaryFolder folder_;
    const int64_t now_;
    KeysInit question_;
};

TEST_F(KeysTest, FromNothing) {
    const KeysInitResult result = ask();
    ASSERT_EQ(result.error, "");
    EXPECT_EQ(result.files.ca_file, file("ca.crt"));
    EXPECT_EQ(result.certificate_expires_at, (now_ + 30 * kDay) * kMicrosecondsPerSecond);
    EXPECT_EQ(result.ca_certificate, read_text(file("ca.crt")));
    const auto fingerprint =
        run_command("openssl x509 -noout -fingerprint -sha256 -in " + file("ca.crt") +
                    " | sed 's/.*=//; s/://g' | tr A-F a-f | tr -d '\\n'");
    EXPECT_EQ(hex_text(result.ca_fingerprint), fingerprint.output);
    EXPECT_EQ(run_command("openssl verify -x509_strict -purpose sslserver -verify_hostname "
                          "hub.example -CAfile " +
                          file("ca.crt") + " " + file("server.crt"))
                  .status,
              0);
    EXPECT_EQ(run_command("stat -c '%n %a' " + file("ca.key") + " " + file("server.key") + " " +
                          file("master.key") + " | sed 's/.*[/]//'")
                  .output,
              "ca.key 600\nserver.key 600\nmaster.key 600\n");
    EXPECT_EQ(run_command("stat -c %a " + folder_.path() + "/state/hub").output, "700\n");
    EXPECT_EQ(net::parse_master_keys(read_text(file("master.key")))->size(), 1U);
    const auto subject = run_command("openssl x509 -noout -subject -in " + file("ca.crt")).output;
    EXPECT_NE(subject.find("pganalytics hub 11111111-2222-4333-8444-555555555555"),
              std::string::npos);
}

TEST_F(KeysTest, AskedAgainNothingChanges) {
    const KeysInitResult first = ask();
    const auto before = files();
    question_.may_create = false;
    const KeysInitResult second = ask(19);
    EXPECT_EQ(second.error, "");
    EXPECT_EQ(second.ca_fingerprint, first.ca_fingerprint);
    EXPECT_EQ(files(), before);
}

TEST_F(KeysTest, OwnCertificateIsRenewedAtTwoThirdsOrForANewName) {
    ask();
    auto before = files();
    const KeysInitResult renewed = ask(21);
    EXPECT_EQ(renewed.certificate_expires_at, (now_ + 51 * kDay) * kMicrosecondsPerSecond);
    auto after = files();
    EXPECT_NE(after["server.crt"], before["server.crt"]);
    after["server.crt"] = before["server.crt"];
    EXPECT_EQ(after, before);

    before = files();
    question_.names.push_back("more.example");
    EXPECT_EQ(ask(21).error, "");
    after = files();
    EXPECT_NE(after["server.crt"], before["server.crt"]);
    EXPECT_TRUE(
        net::certificate_has_name(**net::parse_certificate(after["server.crt"]), "more.example"));
    // A hub that slept through the whole life mends itself, too.
    EXPECT_EQ(ask(200).certificate_expires_at, (now_ + 230 * kDay) * kMicrosecondsPerSecond);
}

TEST_F(KeysTest, BadNameIsAnErrorThatSaysSo) {
    question_.names = {"two words"};
    const KeysInitResult result = ask();
    EXPECT_NE(result.error.find("\"two words\" is neither a host name nor an IP address"),
              std::string::npos);
    EXPECT_NE(result.hint.find("hub_names"), std::string::npos);
}

TEST_F(KeysTest, NeverASecondAuthority) {
    ask();
    const auto all = files();
    question_.may_create = false;
    for (const char* name : {"ca.key", "ca.crt", "master.key"}) {
        std::filesystem::remove(file(name));
        const KeysInitResult result = ask();
        EXPECT_NE(result.error.find("is missing"), std::string::npos) << name;
        EXPECT_NE(result.error.find(file(name)), std::string::npos) << name;
        EXPECT_NE(result.hint.find("backup"), std::string::npos);
        EXPECT_FALSE(std::filesystem::exists(file(name))) << name;
        write_text(file(name), all.at(name));
        chmod(file(name).c_str(), 0600);
        EXPECT_EQ(ask().error, "") << name;
    }
    // The whole folder is gone: a promoted standby.
    std::filesystem::remove_all(folder_ / "state");
    EXPECT_NE(ask().error, "");
    EXPECT_FALSE(std::filesystem::exists(file("ca.crt")));
    // A certificate whose key is gone is never replaced, even where nobody is enrolled.
    question_.may_create = true;
    EXPECT_EQ(ask().error, "");
    std::filesystem::remove(file("ca.key"));
    EXPECT_NE(ask().error.find("private key of the hub's CA"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(file("ca.key")));
}

TEST_F(KeysTest, KilledBetweenTwoFilesTheNextRunGoesOn) {
    ask();
    const auto all = files();
    const std::vector<std::string> order = {"ca.key", "ca.crt", "master.key", "server.key",
                                            "server.crt"};
    for (size_t count = 0; count < order.size(); ++count) {
        std::filesystem::remove_all(folder_ / "state/hub");
        mkdir((folder_ / "state/hub").c_str(), 0700);
        for (size_t i = 0; i < count; ++i) {
            write_text(file(order[i]), all.at(order[i]));
            chmod(file(order[i]).c_str(), 0600);
        }
        // And a half-written file beside.
        write_text(file(order[count] + ".new"), "half");
        const KeysInitResult result = ask();
        EXPECT_EQ(result.error, "") << count;
        for (size_t i = 0; i < count; ++i) {
            EXPECT_EQ(read_text(file(order[i])), all.at(order[i])) << order[i];
        }
        EXPECT_EQ(run_command("openssl verify -x509_strict -CAfile " + file("ca.crt") + " " +
                              file("server.crt"))
                      .status,
                  0)
            << count;
        EXPECT_FALSE(std::filesystem::exists(file(order[count] + ".new")));
    }
}

TEST_F(KeysTest, DamagedAuthorityIsRefusedAndLeftAlone) {
    ask();
    const auto all = files();
    const auto refused = [&](const std::string& part) {
        const auto before = files();
        const KeysInitResult result = ask();
        EXPECT_NE(result.error.find(part), std::string::npos) << result.error;
        EXPECT_EQ(files(), before);
        for (const char* name : {"ca.key", "ca.crt", "master.key"}) {
            write_text(file(name), all.at(name));
            chmod(file(name).c_str(), 0600);
        }
    };
    write_text(file("ca.key"), *net::private_key_pem(**net::make_private_key()));
    refused("does not belong to its key");
    write_text(file("ca.key"), "rubbish");
    refused("not a private key");
    write_text(file("ca.crt"), "rubbish");
    refused("not a certificate");
    write_text(file("ca.crt"), all.at("server.crt"));
    write_text(file("ca.key"), all.at("server.key"));
    refused("is not that of a CA");
    write_text(file("master.key"), "1 short");
    refused("master key file is malformed");
    chmod(file("ca.key").c_str(), 0644);
    refused("has group or world access");
    chmod(file("master.key").c_str(), 0644);
    refused("has group or world access");
    EXPECT_NE(ask(6 * 365).error.find("has expired"), std::string::npos);
}

TEST_F(KeysTest, TwoAtOnceAreOne) {
    ask();
    // Another process holds the lock until it reads a line.
    FILE* other = popen(("exec flock -n " + file("lock") + " sh -c 'echo held > " +
                         (folder_ / "ready") + "; read line'")
                            .c_str(),
                        "w");
    ASSERT_NE(other, nullptr);
    ASSERT_TRUE(testing::eventually([&] { return read_text(folder_ / "ready") == "held\n"; }));
    EXPECT_NE(ask().error.find("held by another process"), std::string::npos);
    fputs("go\n", other);
    pclose(other);
    EXPECT_EQ(ask().error, "");
}

TEST_F(KeysTest, OperatorsFilesAreUsedAndNeverWritten) {
    testing::OpensslCertificates made(folder_);
    made.authority("corporate");
    // Past two thirds of its life, and without the hub's other names.
    const time_t end = now_ + 30 * kDay;
    char end_text[32];
    strftime(end_text, sizeof end_text, "%Y%m%d%H%M%SZ", gmtime(&end));
    made.leaf("corporate", "front", {.names = "DNS:hub.example", .end = end_text});
    const auto path = [&](const char* name, const char* suffix) { return made.path(name, suffix); };
    for (const char* name : {"corporate", "front"}) {
        chmod(path(name, ".key").c_str(), 0400);
        chmod(path(name, ".crt").c_str(), 0444);
    }
    question_.files.ca_file = path("corporate", ".crt");
    question_.files.ca_key_file = path("corporate", ".key");
    question_.files.cert_file = path("front", ".crt");
    question_.files.key_file = path("front", ".key");
    const std::string before = read_text(path("front", ".crt"));
    const KeysInitResult result = ask();
    ASSERT_EQ(result.error, "");
    EXPECT_EQ(result.files.cert_file, path("front", ".crt"));
    EXPECT_EQ(result.certificate_expires_at, end * kMicrosecondsPerSecond);
    EXPECT_FALSE(std::filesystem::exists(file("ca.crt")));
    EXPECT_FALSE(std::filesystem::exists(file("server.crt")));
    EXPECT_TRUE(std::filesystem::exists(file("master.key")));
    EXPECT_NE(ask(31).error.find("has expired"), std::string::npos);
    EXPECT_EQ(read_text(path("front", ".crt")), before);
    // The operator's CA, the hub's own pair.
    question_.files.cert_file.clear();
    question_.files.key_file.clear();
    EXPECT_EQ(ask().error, "");
    EXPECT_EQ(run_command("openssl verify -x509_strict -purpose sslserver -CAfile " +
                          path("corporate", ".crt") + " " + file("server.crt"))
                  .status,
              0);
}

TEST_F(KeysTest, OperatorsFilesThatDoNotDoAreNamed) {
    testing::OpensslCertificates made(folder_);
    made.authority("corporate");
    made.leaf("corporate", "old", {.end = "20210101000000Z"});
    made.leaf("corporate", "client", {.purpose = "clientAuth"});
    const auto with = [&](const std::string& certificate, const std::string& key) {
        KeysInit question = question_;
        question.files.ca_file = made.path("corporate", ".crt");
        question.files.ca_key_file = made.path("corporate", ".key");
        question.files.cert_file = certificate;
        question.files.key_file = key;
        return answer(question, now_).error;
    };
    EXPECT_NE(with(made.path("old", ".crt"), made.path("old", ".key")).find("has expired"),
              std::string::npos);
    EXPECT_NE(with(made.path("client", ".crt"), made.path("client", ".key"))
                  .find("not meant for this purpose"),
              std::string::npos);
    EXPECT_NE(
        with(made.path("old", ".crt"), made.path("client", ".key")).find("do not belong together"),
        std::string::npos);
    EXPECT_NE(with(folder_ / "missing", made.path("old", ".key")).find("No such file"),
              std::string::npos);
    KeysInit question = question_;
    question.files.ca_file = folder_ / "missing";
    const KeysInitResult result = answer(question, now_);
    EXPECT_NE(result.error.find("is missing"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(file("ca.crt")));
    EXPECT_FALSE(std::filesystem::exists(file("ca.key")));
    question = question_;
    question.files.master_key_file = folder_ / "missing";
    EXPECT_NE(answer(question, now_).error.find("is missing"), std::string::npos);
}

TEST_F(KeysTest, SignsForACollector) {
    ask();
    const KeysSign order = this->order();
    const KeysSignResult result = answer(order, now_);
    ASSERT_EQ(result.error, "");
    write_text(folder_ / "leaf.crt", result.certificate);
    EXPECT_EQ(run_command("openssl verify -x509_strict -purpose sslclient -CAfile " +
                          file("ca.crt") + " " + (folder_ / "leaf.crt"))
                  .status,
              0);
    EXPECT_EQ(
        run_command("openssl x509 -noout -serial -in " + (folder_ / "leaf.crt") + " | tr A-F a-f")
            .output,
        "serial=" + result.serial + "\n");
    const auto certificate = net::parse_certificate(result.certificate);
    EXPECT_EQ(net::certificate_collector_id(**certificate), order.collector_id);
    EXPECT_EQ(net::certificate_fingerprint(**certificate), result.fingerprint);
    EXPECT_EQ(*net::certificate_public_key(**certificate), order.public_key);
    EXPECT_EQ(result.not_after, (now_ + 30 * kDay) * kMicrosecondsPerSecond);
    KeysSign week = order;
    week.lifetime_s = 7 * kDay;
    EXPECT_EQ(answer(week, now_).not_after, (now_ + 7 * kDay) * kMicrosecondsPerSecond);
    KeysSign century = order;
    century.lifetime_s = 2'000'000'000;
    EXPECT_EQ(answer(century, now_).not_after, (now_ + 90 * kDay) * kMicrosecondsPerSecond);
}

TEST_F(KeysTest, SignsNothingElse) {
    KeysSign order = this->order();
    EXPECT_NE(answer(order, now_).error, "");  // no CA yet
    ask();
    order.public_key += "x";
    EXPECT_EQ(answer(order, now_).error, "malformed public key");
    order.public_key.clear();
    EXPECT_NE(answer(order, now_).error, "");
    run_command("openssl genrsa 2048 2>/dev/null | openssl pkey -pubout -outform DER -out " +
                (folder_ / "weak.der"));
    order.public_key = read_text(folder_ / "weak.der");
    EXPECT_EQ(answer(order, now_).error, "key of the collector is not accepted: RSA 2048 bit");
}

}  // namespace
}  // namespace pganalytics::keys
