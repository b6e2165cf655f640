// Identity on disk: written as a set, whatever is killed when.
#include "pganalytics/ship/identity.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <random>

#include "pganalytics/host/files.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::ship {
namespace {

using pganalytics::testing::LeafRecipe;
using pganalytics::testing::OpensslCertificates;
using pganalytics::testing::read_text;
using pganalytics::testing::run_command;
using pganalytics::testing::TemporaryFolder;
using pganalytics::testing::write_text;
namespace fs = std::filesystem;

class IdentityTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        made_ = new Made;
        made_->certificates.authority("ca");
        made_->certificates.authority("other");
        made_->a = make("ca", "a", "11111111-1111-4111-8111-111111111111");
        made_->b = make("other", "b", "22222222-2222-4222-8222-222222222222");
    }
    static void TearDownTestSuite() {
        delete made_;
        made_ = nullptr;
    }

    static Identity make(const std::string& ca, const std::string& name, const std::string& id) {
        LeafRecipe recipe;
        recipe.names = "URI:urn:uuid:" + id;
        recipe.purpose = "clientAuth";
        made_->certificates.leaf(ca, name, recipe);
        Identity identity;
        identity.collector_id = *parse_uuid(id);
        identity.hub_id = "hub of " + name;
        identity.hub_url = "https://" + name + ":8443";
        identity.name = "it's \"" + name + "\"\n";
        identity.self_enrolled = name == "b";
        identity.key_pem = read_text(made_->folder / (name + ".key"));
        identity.certificate_pem = read_text(made_->folder / (name + ".crt"));
        identity.ca_pem = read_text(made_->folder / (ca + ".crt"));
        return identity;
    }

    static void expect_same(const Identity& got, const Identity& wanted) {
        EXPECT_EQ(got.collector_id, wanted.collector_id);
        EXPECT_EQ(got.hub_id, wanted.hub_id);
        EXPECT_EQ(got.hub_url, wanted.hub_url);
        EXPECT_EQ(got.name, wanted.name);
        EXPECT_EQ(got.self_enrolled, wanted.self_enrolled);
        EXPECT_EQ(got.key_pem, wanted.key_pem);
        EXPECT_EQ(got.certificate_pem, wanted.certificate_pem);
        EXPECT_EQ(got.ca_pem, wanted.ca_pem);
    }
    void expect_loads(const Identity& wanted) {
        const Result<std::optional<Identity>> loaded = store().load();
        ASSERT_TRUE(loaded) << loaded.error().message;
        ASSERT_TRUE(*loaded);
        expect_same(**loaded, wanted);
    }
    void expect_nobody() {
        const Result<std::optional<Identity>> loaded = store().load();
        ASSERT_TRUE(loaded) << loaded.error().message;
        EXPECT_FALSE(*loaded);
    }

    IdentityStore store() const { return IdentityStore(state.path()); }
    const Identity& a() const { return made_->a; }
    const Identity& b() const { return made_->b; }

    struct Made {
        TemporaryFolder folder;
        OpensslCertificates certificates{folder};
        Identity a;
        Identity b;
    };
    static inline Made* made_ = nullptr;
    TemporaryFolder state;
};

TEST_F(IdentityTest, AuthoritiesThatAHubNames) {
    const std::string known = read_text(made_->folder / "ca.crt");
    const std::string next = read_text(made_->folder / "other.crt");
    Identity identity = made_->a;
    // In their order, and without what stands between them.
    ASSERT_TRUE(change_authorities(identity, "a note\n" + next + "another\n" + known));
    EXPECT_EQ(identity.ca_pem, next + known);
    EXPECT_EQ(identity.certificate_pem, made_->a.certificate_pem);
    ASSERT_TRUE(change_authorities(identity, known));
    EXPECT_EQ(identity.ca_pem, known);
    const std::pair<std::string, std::string> refused[] = {
        {"", "no certificates"},
        {"nonsense", "no certificates"},
        {next, "none of them is known"},
        {made_->a.certificate_pem + known, "not a CA's"},
        {known + next + known + next + known, "no certificates"}};
    for (const auto& [pem, why] : refused) {
        const Status changed = change_authorities(identity, pem);
        ASSERT_FALSE(changed) << why;
        EXPECT_NE(changed.error().message.find(why), std::string::npos) << changed.error().message;
        EXPECT_EQ(identity.ca_pem, known);
    }
    // The own certificate would be worth nothing.
    identity.ca_pem = known + next;
    EXPECT_FALSE(change_authorities(identity, next));
}

TEST_F(IdentityTest, IsSavedLoadedReplacedForgotten) {
    expect_nobody();
    ASSERT_TRUE(host::make_state_directory(state.path(), false));
    expect_nobody();
    ASSERT_TRUE(store().save(a()));
    expect_loads(a());
    ASSERT_TRUE(store().save(b()));
    expect_loads(b());
    for (const char* file : {"collector.json", "key.pem", "cert.pem", "ca.pem"}) {
        struct stat status {};
        ASSERT_EQ(stat((state / "identity/" + file).c_str(), &status), 0) << file;
        EXPECT_EQ(status.st_mode & 07777, 0600U) << file;
    }
    EXPECT_EQ(
        run_command("/usr/bin/python3 -m json.tool " + state / "identity/collector.json").status,
        0);
    EXPECT_TRUE(host::is_absent(state / "identity.old"));
    EXPECT_TRUE(fs::is_empty(state / "identity.new")) << "nothing is left of the last";
    ASSERT_TRUE(store().forget());
    expect_nobody();
    EXPECT_TRUE(host::is_absent(state / "identity/key.pem"));
    ASSERT_TRUE(store().forget());
    ASSERT_TRUE(store().save(a()));
    expect_loads(a());
}

TEST_F(IdentityTest, AKeyToRenewWithIsKeptUntilItIsUsed) {
    ASSERT_TRUE(host::make_state_directory(state.path(), false));
    ASSERT_TRUE(store().save(a()));
    const Result<std::string> key = store().renewal_key(a().certificate_pem);
    ASSERT_TRUE(key);
    EXPECT_EQ(*store().renewal_key(a().certificate_pem), *key);
    struct stat status {};
    ASSERT_EQ(stat((state / "identity/renewal-key.pem").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    expect_loads(a());
    // An enrolment beside it has its own.
    EXPECT_NE(*store().pending_key("token"), *key);
    EXPECT_EQ(*store().renewal_key(a().certificate_pem), *key);
    // Of another certificate it is another; with the new set the old one is gone.
    EXPECT_NE(*store().renewal_key(b().certificate_pem), *key);
    ASSERT_TRUE(store().save(b()));
    EXPECT_TRUE(host::is_absent(state / "identity/renewal-key.pem"));
    ASSERT_TRUE(store().renewal_key(b().certificate_pem));
    ASSERT_TRUE(store().forget());
    EXPECT_TRUE(host::is_absent(state / "identity/renewal-key.pem"));
}

TEST_F(IdentityTest, ASetThatDoesNotFitTogetherIsNobodys) {
    ASSERT_TRUE(store().save(a()));
    const auto replace = [this](const char* file, const std::string& text) {
        const std::string before = read_text(state / "identity/" + file);
        write_text(state / "identity/" + file, text);
        EXPECT_FALSE(store().load()) << file;
        write_text(state / "identity/" + file, before);
        expect_loads(a());
    };
    replace("key.pem", b().key_pem);
    replace("cert.pem", b().certificate_pem);
    replace("ca.pem", b().ca_pem);
    replace("collector.json", "{\"collector_id\": \"22222222-2222-4222-8222-222222222222\"}");
    replace("collector.json", "{\"collector_id\": 5}");
    replace("collector.json", "");
    replace("key.pem", "");
    fs::permissions(state / "identity/key.pem", fs::perms::others_read, fs::perm_options::add);
    EXPECT_FALSE(store().load());
}

// Each state that a crash within save() can leave.
TEST_F(IdentityTest, EveryInterruptedChangeLeavesOldOrNew) {
    ASSERT_TRUE(store().save(b()));
    fs::rename(state / "identity", state / "b");
    ASSERT_TRUE(store().save(a()));
    const auto copy = [this](const char* from, const char* to) {
        fs::remove_all(state / to);
        fs::copy(state / from, state / to, fs::copy_options::recursive);
    };
    copy("b", "identity.new");
    fs::remove(state / "identity.new/collector.json");
    expect_loads(a());
    copy("b", "identity.new");
    expect_loads(a());
    copy("identity", "identity.old");
    fs::remove_all(state / "identity");
    expect_loads(b());
    EXPECT_TRUE(host::is_absent(state / "identity.new"));
    ASSERT_TRUE(store().save(a())) << "what is left over is in nobody's way";
    expect_loads(a());
    // And without an identity before.
    fs::remove_all(state / "identity");
    copy("b", "identity.new");
    ASSERT_TRUE(store().save(a()));
    expect_loads(a());
}

TEST_F(IdentityTest, AKillAtAnyTimeLeavesOldOrNew) {
    ASSERT_TRUE(store().save(a()));
    std::mt19937 random(1);
    bool seen_a = false;
    bool seen_b = false;
    for (int round = 0; round < 40; ++round) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            for (bool turn = false;; turn = !turn) (void)store().save(turn ? a() : b());
        }
        usleep(static_cast<useconds_t>(random() % 150000));
        // Loading beside the writer answers one of the two as well.
        const Result<std::optional<Identity>> beside = store().load();
        if (beside && *beside)
            expect_same(**beside, (*beside)->collector_id == a().collector_id ? a() : b());
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        const Result<std::optional<Identity>> loaded = store().load();
        ASSERT_TRUE(loaded) << loaded.error().message;
        ASSERT_TRUE(*loaded);
        const bool is_a = (*loaded)->collector_id == a().collector_id;
        expect_same(**loaded, is_a ? a() : b());
        (is_a ? seen_a : seen_b) = true;
    }
    EXPECT_TRUE(seen_a && seen_b);
}

TEST_F(IdentityTest, APendingKeyBelongsToItsToken) {
    const Result<std::string> first = store().pending_key("token one");
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(*store().pending_key("token one"), *first);
    const Result<std::string> second = store().pending_key("token two");
    EXPECT_NE(*second, *first);
    EXPECT_EQ(*store().pending_key("token two"), *second);
    write_text(state / "key", *second);
    EXPECT_EQ(
        run_command("openssl pkey -noout -text -in " + state / "key" + " | grep -c P-256").output,
        "1\n");
    expect_nobody();
    ASSERT_TRUE(store().save(a()));
    EXPECT_TRUE(host::is_absent(state / "identity/pending-key.pem"));
    EXPECT_NE(*store().pending_key("token two"), *second);
    ASSERT_TRUE(store().forget());
    EXPECT_TRUE(host::is_absent(state / "identity/pending-key.pem"));
    const std::string text = read_text(state / "identity.lock");
    EXPECT_EQ(text.find("token"), std::string::npos);
}

TEST_F(IdentityTest, FilesAreWatched) {
    FileWatch watch;
    const std::string path = state / "file";
    watch.set({path, state / "never"});
    EXPECT_FALSE(watch.changed());
    write_text(path, "1");
    EXPECT_TRUE(watch.changed());
    EXPECT_FALSE(watch.changed());
    ASSERT_TRUE(host::write_file_durably(path, "2"));
    EXPECT_TRUE(watch.changed()) << "same size, another file";
    EXPECT_FALSE(watch.changed());
    fs::remove(path);
    EXPECT_TRUE(watch.changed());
}

TEST_F(IdentityTest, ACertificateNamesItsCollector) {
    EXPECT_EQ(*collector_id_of(a().certificate_pem, "x"), a().collector_id);
    EXPECT_FALSE(collector_id_of(a().ca_pem, "x"));
    EXPECT_FALSE(collector_id_of("nonsense", "x"));
}

}  // namespace
}  // namespace pganalytics::ship
