// Certificates read and looked at (see the header).
#include "pganalytics/net/certificate.hpp"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "pem_text.hpp"
#include "pganalytics/core/hex.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::net {

namespace {

constexpr size_t kMostCertificates = 16;

using GeneralNames = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

int64_t seconds_of(const ASN1_TIME* time) {
    tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
    return timegm(&parts);
}

// The names as DER would have them: OpenSSL takes an extension with bytes behind its value, too.
bool is_exact(const GENERAL_NAMES& names, const X509& certificate) {
    const int at = X509_get_ext_by_NID(&certificate, NID_subject_alt_name, -1);
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(&certificate, at));
    const auto der = der_text(names, i2d_GENERAL_NAMES, "list of names");
    return der &&
           *der == std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                    static_cast<size_t>(ASN1_STRING_length(value)));
}

bool is_ip_address(const std::string& name) {
    unsigned char address[sizeof(in6_addr)];
    return inet_pton(AF_INET, name.c_str(), address) == 1 ||
           inet_pton(AF_INET6, name.c_str(), address) == 1;
}

// A key that OpenSSL could not read, for want of memory too, it never tries again: a CA would stay
// in force that has signed nothing.
Certificate with_key(Certificate certificate) {
    if (X509_get0_pubkey(certificate.get()) != nullptr) return certificate;
    const auto der = certificate_der(*certificate);
    const auto* at = der ? reinterpret_cast<const unsigned char*>(der->data()) : nullptr;
    Certificate again(der ? d2i_X509(nullptr, &at, static_cast<long>(der->size())) : nullptr);
    ERR_clear_error();
    return again ? std::move(again) : std::move(certificate);
}

}  // namespace

Result<std::vector<Certificate>> parse_certificates(std::string_view pem) {
    init_openssl();
    std::vector<Certificate> certificates;
    const Bio in = pem.size() <= kMaxPemBytes ? text_bio(pem) : Bio();
    while (in && certificates.size() <= kMostCertificates) {
        Certificate next(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
        if (!next) break;
        certificates.push_back(with_key(std::move(next)));
    }
    // The end of the text is the one error that is none.
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (certificates.empty() || certificates.size() > kMostCertificates || !at_end) {
        return make_error(sqlstate::kInvalidText, "not a certificate in PEM form");
    }
    return certificates;
}

Result<Certificate> parse_certificate(std::string_view pem) {
    auto certificates = parse_certificates(pem);
    if (!certificates) return std::move(certificates).error();
    return std::move(certificates->front());
}

Result<std::string> certificate_pem(const X509& certificate) {
    const Bio out(BIO_new(BIO_s_mem()));
    if (!out || PEM_write_bio_X509(out.get(), &certificate) != 1) {
        return make_error(sqlstate::kInternal,
                          "could not write a certificate: " + take_openssl_error());
    }
    return bio_text(*out);
}

Result<std::string> certificate_der(const X509& certificate) {
    return der_text(certificate, i2d_X509, "certificate");
}

Sha256 certificate_fingerprint(const X509& certificate) {
    // An X509 that was parsed or signed always has its DER.
    const auto der = certificate_der(certificate);
    return der ? sha256(*der) : Sha256{};
}

std::optional<Uuid> certificate_collector_id(const X509& certificate) {
    // Null, too, where the extension is there twice.
    const GeneralNames names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
    if (!names || sk_GENERAL_NAME_num(names.get()) != 1 || !is_exact(*names, certificate)) {
        return std::nullopt;
    }
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
    if (name->type != GEN_URI) return std::nullopt;
    const ASN1_IA5STRING* value = name->d.uniformResourceIdentifier;
    const std::string_view uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                               static_cast<size_t>(ASN1_STRING_length(value)));
    if (!uri.starts_with(kCollectorUriPrefix)) return std::nullopt;
    const std::string_view text = uri.substr(kCollectorUriPrefix.size());
    const auto uuid = parse_uuid(text);
    if (!uuid || uuid_text(*uuid) != text) return std::nullopt;
    return uuid;
}

int64_t certificate_not_before(const X509& certificate) {
    return seconds_of(X509_get0_notBefore(&certificate));
}

int64_t certificate_not_after(const X509& certificate) {
    return seconds_of(X509_get0_notAfter(&certificate));
}

bool is_authority(const X509& certificate) {
    EVP_PKEY* key = X509_get0_pubkey(&certificate);
    return X509_check_ca(const_cast<X509*>(&certificate)) == 1 && key != nullptr &&
           is_accepted_key(*key);
}

std::string authorities_mark(std::span<const Certificate> authorities) {
    constexpr size_t kMarkDigits = 16;
    std::string all;
    for (const Certificate& authority : authorities)
        all.append(as_text(certificate_fingerprint(*authority)));
    return hex_text(sha256(all)).substr(0, kMarkDigits);
}

int64_t certificate_renew_at(const X509& certificate) {
    const int64_t begin = certificate_not_before(certificate);
    return begin + (certificate_not_after(certificate) - begin) / 3 * 2;
}

std::string certificate_serial(const X509& certificate) {
    const std::unique_ptr<BIGNUM, OpensslFree<BN_free>> number(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
    char* digits = number ? BN_bn2hex(number.get()) : nullptr;
    if (digits == nullptr) return {};
    std::string text(digits);
    OPENSSL_free(digits);
    std::transform(text.begin(), text.end(), text.begin(), [](char digit) {
        return digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
    });
    return text;
}

Result<std::string> certificate_public_key(const X509& certificate) {
    const X509_PUBKEY* key = X509_get_X509_PUBKEY(&certificate);
    return der_text(*key, i2d_X509_PUBKEY, "public key");
}

bool key_matches(const X509& certificate, const EVP_PKEY& key) {
    const EVP_PKEY* own = X509_get0_pubkey(&certificate);
    return own != nullptr && EVP_PKEY_eq(own, &key) == 1;
}

bool certificate_has_name(const X509& certificate, std::string_view name) {
    const std::string text(name);
    // OpenSSL's functions do not change the certificate.
    X509* object = const_cast<X509*>(&certificate);
    if (is_ip_address(text)) return X509_check_ip_asc(object, text.c_str(), 0) == 1;
    constexpr unsigned kFlags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    return !text.empty() && text.find('\0') == std::string::npos &&
           X509_check_host(object, text.data(), text.size(), kFlags, nullptr) == 1;
}

}  // namespace pganalytics::net
