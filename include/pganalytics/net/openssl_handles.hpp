// OpenSSL's objects with their ends, and its error queue as text. Included by net only where a
// function takes or gives such an object. Runs in the program.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace pganalytics::net {

template <auto Free>
struct OpensslFree {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};

using Bio = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using PublicKey = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, OpensslFree<X509_free>>;
using CertificateRequest = std::unique_ptr<X509_REQ, OpensslFree<X509_REQ_free>>;
using TlsContext = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;

// Makes OpenSSL ready without any configuration file or environment. Every function of net that
// uses OpenSSL calls it; a process that hands OpenSSL to another library calls it first. Throws
// bad_alloc where memory ran out meanwhile, then each time: OpenSSL does not get over that.
void init_openssl();

// Reason of the oldest entry of this thread's error queue, and empties it. "unknown error" where it
// is empty.
std::string take_openssl_error();

}  // namespace pganalytics::net
