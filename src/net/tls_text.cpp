// What went wrong in TLS, in words for a DBA (see net/tls.hpp).
#include <openssl/x509_vfy.h>

#include "pganalytics/net/tls.hpp"

namespace pganalytics::net {

namespace {

enum class Cause {
    kExpired,
    kEarly,
    kName,
    kAuthority,
    kSignature,
    kPurpose,
    kWeak,
    kPinned,
    kOther
};

Cause cause_of(int verify_error) {
    switch (verify_error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return Cause::kExpired;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return Cause::kEarly;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return Cause::kName;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_UNTRUSTED:
            return Cause::kAuthority;
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return Cause::kSignature;
        case X509_V_ERR_INVALID_PURPOSE:
        case X509_V_ERR_INVALID_CA:
            return Cause::kPurpose;
        case X509_V_ERR_EE_KEY_TOO_SMALL:
        case X509_V_ERR_CA_KEY_TOO_SMALL:
        case X509_V_ERR_CA_MD_TOO_WEAK:
            return Cause::kWeak;
        case X509_V_ERR_APPLICATION_VERIFICATION:
            return Cause::kPinned;
        default:
            return Cause::kOther;
    }
}

}  // namespace

std::string verify_error_text(int verify_error) {
    switch (cause_of(verify_error)) {
        case Cause::kExpired:
            return "certificate has expired";
        case Cause::kEarly:
            return "certificate is not valid yet";
        case Cause::kName:
            return "certificate is not for this host name or address";
        case Cause::kAuthority:
            return "certificate was not issued by the CA in use";
        case Cause::kSignature:
            return "certificate signature is wrong: another CA of the same name issued it";
        case Cause::kPurpose:
            return "certificate is not meant for this purpose";
        case Cause::kWeak:
            return "certificate has a key or a signature that is too weak";
        case Cause::kPinned:
            return "the CA named by the enrolment token is not in the certificate chain";
        case Cause::kOther:
            return std::string("certificate does not pass: ") +
                   X509_verify_cert_error_string(verify_error);
    }
    return {};
}

std::string verify_error_hint(int verify_error) {
    switch (cause_of(verify_error)) {
        case Cause::kExpired:
        case Cause::kEarly:
            return "Compare the clocks of both machines, then renew the certificate.";
        case Cause::kName:
            return "Use a name that is in the hub's certificate, or add this one to "
                   "pganalytics.hub_names on the hub.";
        case Cause::kAuthority:
        case Cause::kSignature:
            return "Check that the address is the hub's. Where the hub has a new CA, enrol again "
                   "or correct pganalytics.ca_file.";
        case Cause::kPurpose:
            return "Use a certificate whose extended key usage names its purpose: server for the "
                   "hub, client for a collector.";
        case Cause::kWeak:
            return "Use EC P-256, EC P-384, Ed25519, or RSA of 3072 bits or more, and SHA-256 or "
                   "better, in the whole chain.";
        case Cause::kPinned:
            return "Check that the address is the hub's and that the token was made on that hub.";
        case Cause::kOther:
            return "Have the certificate issued again.";
    }
    return {};
}

bool alert_refuses_certificate(int alert) {
    switch (alert) {
        case SSL_AD_BAD_CERTIFICATE:
        case SSL_AD_UNSUPPORTED_CERTIFICATE:
        case SSL_AD_CERTIFICATE_REVOKED:
        case SSL_AD_CERTIFICATE_EXPIRED:
        case SSL_AD_CERTIFICATE_UNKNOWN:
        case SSL_AD_UNKNOWN_CA:
        case SSL_AD_ACCESS_DENIED:
        case TLS13_AD_CERTIFICATE_REQUIRED:
            return true;
        default:
            return false;
    }
}

std::string alert_text(int alert) {
    switch (alert) {
        case TLS13_AD_CERTIFICATE_REQUIRED:
            return "a client certificate is required and none was sent";
        case SSL_AD_CERTIFICATE_EXPIRED:
            return "the client certificate has expired";
        case SSL_AD_CERTIFICATE_REVOKED:
            return "the client certificate is revoked";
        case SSL_AD_UNKNOWN_CA:
            return "the client certificate was issued by another CA";
        case SSL_AD_UNSUPPORTED_CERTIFICATE:
            return "the client certificate is not meant for this purpose";
        case SSL_AD_BAD_CERTIFICATE:
        case SSL_AD_CERTIFICATE_UNKNOWN:
        case SSL_AD_ACCESS_DENIED:
            return "the client certificate is not accepted";
        case SSL_AD_PROTOCOL_VERSION:
            return "no common TLS version; TLS 1.3 is required";
        case SSL_AD_HANDSHAKE_FAILURE:
            return "no common cipher suite or group";
        case SSL_AD_UNRECOGNIZED_NAME:
            return "the server does not answer for this host name";
        case SSL_AD_NO_APPLICATION_PROTOCOL:
            return "the server does not speak HTTP/1.1 there";
        default:
            return std::string("TLS alert: ") + SSL_alert_desc_string_long(alert);
    }
}

}  // namespace pganalytics::net
