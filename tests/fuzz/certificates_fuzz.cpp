// Certificates, requests and keys. The first byte chooses; DER is wrapped into PEM here, so that
// the fuzzer need not find base64.
#include "check.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::net {

namespace {

std::string pem(const char* label, std::string_view der) {
    std::string base64(der.size() / 3 * 4 + 5, '\0');
    const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()),
                                       reinterpret_cast<const unsigned char*>(der.data()),
                                       static_cast<int>(der.size()));
    base64.resize(static_cast<size_t>(length));
    std::string text = std::string("-----BEGIN ") + label + "-----\n";
    for (size_t at = 0; at < base64.size(); at += 64) text += base64.substr(at, 64) + "\n";
    return text + "-----END " + label + "-----\n";
}

void certificates(std::string_view text) {
    const auto parsed = parse_certificates(text);
    if (!parsed) return;
    for (const Certificate& certificate : *parsed) {
        X509& one = *certificate;
        const auto id = certificate_collector_id(one);
        if (id) FUZZ_CHECK(parse_uuid(uuid_text(*id)) == id);
        certificate_fingerprint(one);
        certificate_serial(one);
        certificate_renew_at(one);
        certificate_has_name(one, "hub.example");
        certificate_has_name(one, "127.0.0.1");
        (void)certificate_public_key(one);
        const auto again = certificate_pem(one);
        FUZZ_CHECK(static_cast<bool>(again));
        for (const auto purpose : {CertificatePurpose::kServer, CertificatePurpose::kClient}) {
            const Status status = check_certificate(one, *parsed, *parsed, purpose, 1'800'000'000);
            if (!status) FUZZ_CHECK(!status.error().message.empty());
        }
    }
}

void request(std::string_view text) {
    const auto key = verify_certificate_request(text);
    if (!key) return;
    const auto parsed = parse_public_key(*key);
    FUZZ_CHECK(static_cast<bool>(parsed) && is_accepted_key(**parsed));
}

void public_key(std::string_view der) {
    const auto key = parse_public_key(der);
    if (!key) return;
    FUZZ_CHECK(!key_text(**key).empty());
    if (is_accepted_key(**key)) FUZZ_CHECK(static_cast<bool>(public_key_der(**key)));
}

void private_key(std::string_view text) {
    const auto key = parse_private_key(text);
    if (key) is_accepted_key(**key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes = fuzz_text(data + 1, size - 1);
    switch (data[0] % 6) {
        case 0:
            certificates(bytes);
            request(bytes);
            private_key(bytes);
            break;
        case 1:
        case 2:
            certificates(pem("CERTIFICATE", bytes));
            break;
        case 3:
            request(pem("CERTIFICATE REQUEST", bytes));
            break;
        case 4:
            public_key(bytes);
            break;
        default:
            private_key(pem("PRIVATE KEY", bytes));
            break;
    }
    return 0;
}

}  // namespace pganalytics::net
