// Certificates made by the openssl command line, good and bad, for both ends of TLS tests.
#pragma once

#include <string>

#include "support/command.hpp"

namespace pganalytics::testing {

struct LeafRecipe {
    std::string names = "DNS:localhost,IP:127.0.0.1";
    std::string purpose = "serverAuth";  // empty: no extended key usage
    std::string begin = "20200101000000Z";
    std::string end = "20490101000000Z";
    std::string key = "ec -pkeyopt ec_paramgen_curve:P-256";
    std::string subject = "/CN=leaf";
    std::string digest = "sha256";
    std::string more = "";  // lines of extensions
};

class OpensslCertificates {
  public:
    explicit OpensslCertificates(const TemporaryFolder& folder) : folder_(folder) {}

    // <name>.crt and <name>.key
    void authority(const std::string& name, const std::string& subject = "/CN=test CA") {
        must(
            "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 3000 "
            "-subj '" +
            subject + "' -keyout " + path(name, ".key") + " -out " + path(name, ".crt") +
            " -addext basicConstraints=critical,CA:TRUE"
            " -addext keyUsage=critical,keyCertSign,cRLSign");
    }

    // Signed by `authority`; <name>.crt, <name>.key, and <name>.chain with the authority behind.
    void leaf(const std::string& authority, const std::string& name,
              const LeafRecipe& recipe = {}) {
        const std::string work = path(name, ".work");
        must("mkdir " + work + " && touch " + work + "/index && echo 1" + serial() + " > " + work +
             "/serial");
        write_text(work + "/config",
                   "[ca]\ndefault_ca=c\n[c]\ndatabase=" + work + "/index\nserial=" + work +
                       "/serial\nnew_certs_dir=" + work +
                       "\npolicy=p\nx509_extensions=e\n[p]\n"
                       "commonName=supplied\n[e]\nbasicConstraints=critical,CA:FALSE\n"
                       "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\n"
                       "authorityKeyIdentifier=keyid\n" +
                       (recipe.names.empty() ? "" : "subjectAltName=" + recipe.names + "\n") +
                       (recipe.purpose.empty() ? "" : "extendedKeyUsage=" + recipe.purpose + "\n") +
                       recipe.more);
        must("openssl req -new -nodes -newkey " + recipe.key + " -subj '" + recipe.subject +
             "' -keyout " + path(name, ".key") + " -out " + work + "/request");
        must("openssl ca -batch -notext -md " + recipe.digest + " -config " + work +
             "/config -cert " + path(authority, ".crt") + " -keyfile " + path(authority, ".key") +
             " -startdate " + recipe.begin + " -enddate " + recipe.end + " -in " + work +
             "/request -out " + path(name, ".crt"));
        must("cat " + path(name, ".crt") + " " + path(authority, ".crt") + " > " +
             path(name, ".chain"));
    }

    std::string path(const std::string& name, const std::string& suffix) const {
        return folder_ / (name + suffix);
    }
    std::string text(const std::string& name, const std::string& suffix) const {
        return read_text(path(name, suffix));
    }

  private:
    void must(const std::string& command) {
        const CommandResult result = run_command(command);
        ASSERT_EQ(result.status, 0) << command << "\n" << result.output;
    }
    std::string serial() {
        std::string digits = std::to_string(++serial_);
        if (digits.size() % 2 == 0) digits = "0" + digits;
        return digits;
    }
    const TemporaryFolder& folder_;
    int serial_ = 0;
};

}  // namespace pganalytics::testing
