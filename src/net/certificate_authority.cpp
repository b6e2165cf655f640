// Certificates issued by OpenSSL (see the header).
#include "pganalytics/net/certificate_authority.hpp"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "pem_text.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/random.hpp"
#include "signing.hpp"

namespace pganalytics::net {

namespace {

constexpr size_t kMostNames = 64;
constexpr size_t kMostNameBytes = 253;

using GeneralNames = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
using GeneralName = std::unique_ptr<GENERAL_NAME, OpensslFree<GENERAL_NAME_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;

Error issue_error() {
    return make_error(sqlstate::kInternal, "could not make a certificate: " + take_openssl_error());
}

// 16 bytes, positive, of one length.
bool set_serial(X509& certificate) {
    uint8_t bytes[16];
    random_bytes(bytes);
    bytes[0] = static_cast<uint8_t>((bytes[0] & 0x3f) | 0x40);
    const std::unique_ptr<BIGNUM, OpensslFree<BN_free>> number(
        BN_bin2bn(bytes, sizeof bytes, nullptr));
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate));
}

bool set_life(X509& certificate, int64_t begin, int64_t end) {
    return ASN1_TIME_set(X509_getm_notBefore(&certificate), begin) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(&certificate), end) != nullptr;
}

// `value` is OpenSSL's text form of the extension; ours, never from outside.
bool add_extension(X509& certificate, const X509& issuer, int kind, const char* value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, const_cast<X509*>(&issuer), &certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
    return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

GeneralName make_name(int kind, std::string_view bytes) {
    GeneralName name(GENERAL_NAME_new());
    const bool address = kind == GEN_IPADD;
    ASN1_STRING* value = address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!name || value == nullptr ||
        ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) != 1) {
        ASN1_STRING_free(value);
        return nullptr;
    }
    GENERAL_NAME_set0_value(name.get(), kind, value);
    return name;
}

bool is_dns_name(std::string_view name) {
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.empty() || name.size() > kMostNameBytes || name.front() == '.' || name.front() == '-')
        return false;
    return std::all_of(name.begin(), name.end(), [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
               (character >= '0' && character <= '9') || character == '-' || character == '.' ||
               character == '_';
    });
}

GeneralName make_server_name(const std::string& name) {
    char address[sizeof(in6_addr)];
    if (inet_pton(AF_INET, name.c_str(), address) == 1) {
        return make_name(GEN_IPADD, {address, sizeof(in_addr)});
    }
    if (inet_pton(AF_INET6, name.c_str(), address) == 1) {
        return make_name(GEN_IPADD, {address, sizeof(in6_addr)});
    }
    return is_dns_name(name) ? make_name(GEN_DNS, name) : nullptr;
}

bool push(GENERAL_NAMES& names, GeneralName name) {
    if (!name || sk_GENERAL_NAME_push(&names, name.get()) == 0) return false;
    static_cast<void>(name.release());
    return true;
}

struct Leaf {
    const char* purpose;
    std::string common_name;
    GENERAL_NAMES& names;
    int64_t now;
    int64_t lifetime;
};

Result<Certificate> issue_leaf(const Issuer& issuer, EVP_PKEY& public_key, const Leaf& leaf) {
    const int64_t life = std::clamp<int64_t>(leaf.lifetime, 1, kMaxLeafLifetime);
    // A tenth at most, or a short life would be due for renewal when it begins.
    const int64_t begin = std::max(leaf.now - std::min(kBackdate, life / 10),
                                   certificate_not_before(issuer.certificate));
    const int64_t end = std::min(leaf.now + life, certificate_not_after(issuer.certificate));
    if (end <= leaf.now) {
        return make_error(sqlstate::kObjectNotReady, "the hub's CA certificate has expired", {},
                          "Make a new CA and enrol the collectors again.");
    }
    Certificate certificate(X509_new());
    X509* object = certificate.get();
    if (object == nullptr || X509_set_version(object, X509_VERSION_3) != 1 ||
        !set_serial(*object) || !set_life(*object, begin, end) ||
        X509_set_issuer_name(object, X509_get_subject_name(&issuer.certificate)) != 1 ||
        !set_common_name(*X509_get_subject_name(object), leaf.common_name) ||
        X509_set_pubkey(object, &public_key) != 1 ||
        !add_extension(*object, issuer.certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(*object, issuer.certificate, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(*object, issuer.certificate, NID_ext_key_usage, leaf.purpose) ||
        !add_extension(*object, issuer.certificate, NID_subject_key_identifier, "hash") ||
        !add_extension(*object, issuer.certificate, NID_authority_key_identifier, "keyid:always") ||
        X509_add1_ext_i2d(object, NID_subject_alt_name, &leaf.names, 0, X509V3_ADD_DEFAULT) != 1 ||
        X509_sign(object, &issuer.key, signing_digest(issuer.key)) <= 0) {
        return issue_error();
    }
    return certificate;
}

}  // namespace

Result<Certificate> make_authority(EVP_PKEY& key, std::string_view name, int64_t now,
                                   int64_t lifetime) {
    init_openssl();
    Certificate certificate(X509_new());
    X509* object = certificate.get();
    if (object == nullptr || X509_set_version(object, X509_VERSION_3) != 1 ||
        !set_serial(*object) || !set_life(*object, now - kBackdate, now + lifetime) ||
        !set_common_name(*X509_get_subject_name(object), name) ||
        X509_set_issuer_name(object, X509_get_subject_name(object)) != 1 ||
        X509_set_pubkey(object, &key) != 1 ||
        !add_extension(*object, *object, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(*object, *object, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(*object, *object, NID_subject_key_identifier, "hash") ||
        X509_sign(object, &key, signing_digest(key)) <= 0) {
        return issue_error();
    }
    return certificate;
}

Result<Certificate> issue_server_certificate(const Issuer& issuer, EVP_PKEY& public_key,
                                             const std::vector<std::string>& names, int64_t now,
                                             int64_t lifetime) {
    const GeneralNames list(GENERAL_NAMES_new());
    if (names.empty() || names.size() > kMostNames || !list) {
        return make_error(sqlstate::kInvalidParameter,
                          "a hub needs 1 to 64 names for its certificate", {},
                          "Set pganalytics.hub_names.");
    }
    for (const std::string& name : names) {
        if (!push(*list, make_server_name(name))) {
            return make_error(sqlstate::kInvalidParameter,
                              "\"" + name + "\" is neither a host name nor an IP address", {},
                              "Correct pganalytics.hub_names.");
        }
    }
    return issue_leaf(issuer, public_key, {"serverAuth", names.front(), *list, now, lifetime});
}

Result<Certificate> issue_collector_certificate(const Issuer& issuer, EVP_PKEY& public_key,
                                                const Uuid& collector_id, int64_t now,
                                                int64_t lifetime) {
    const GeneralNames list(GENERAL_NAMES_new());
    const std::string id = uuid_text(collector_id);
    if (!list || !push(*list, make_name(GEN_URI, std::string(kCollectorUriPrefix) + id))) {
        return issue_error();
    }
    return issue_leaf(issuer, public_key, {"clientAuth", id, *list, now, lifetime});
}

}  // namespace pganalytics::net
