// Files of the front (see the header). Runs in `pganalytics serve`.
#include "pganalytics/serve/hub_files.hpp"

#include <sys/stat.h>

#include "pganalytics/host/files.hpp"
#include "pganalytics/net/tls.hpp"

namespace pganalytics::serve {

Result<HubFilesRead> read_hub_files(const ServeSettings& settings) {
    Result<std::string> certificate = host::read_file(settings.cert_file, net::kMaxPemBytes);
    if (!certificate) return std::move(certificate).error();
    Result<std::string> key = host::read_secret(settings.key_file, net::kMaxPemBytes);
    if (!key) return std::move(key).error();
    Result<std::string> authority = host::read_file(settings.ca_file, net::kMaxPemBytes);
    if (!authority) return std::move(authority).error();
    Result<std::string> masters =
        host::read_secret(settings.master_key_file, net::kMaxMasterKeyBytes);
    if (!masters) return std::move(masters).error();

    HubFilesRead read;
    Result<net::Certificate> own = net::parse_certificate(*certificate);
    if (!own) return std::move(own).error();
    read.certificate = *std::move(own);
    Result<std::vector<net::MasterKey>> keys = net::parse_master_keys(*masters);
    if (!keys) return std::move(keys).error();
    read.master_keys = *std::move(keys);
    Result<std::vector<net::Certificate>> authorities = net::parse_certificates(*authority);
    if (!authorities) return std::move(authorities).error();
    read.ca_mark = net::authorities_mark(*authorities);
    for (const net::Certificate& one : *authorities) {
        const Result<std::string> pem = net::certificate_pem(*one);
        if (!pem) return pem.error();
        read.ca_pem += *pem;
    }

    net::ServerTlsOptions options{*std::move(certificate), *std::move(key), *std::move(authority),
                                  net::ClientCertificates::kRequired};
    if (settings.console_port == 0) options.clients = net::ClientCertificates::kOptional;
    Result<net::TlsContext> collectors = net::make_server_context(options);
    if (!collectors) return std::move(collectors).error();
    read.collectors = *std::move(collectors);
    options.clients = net::ClientCertificates::kNone;
    Result<net::TlsContext> console = net::make_server_context(options);
    if (!console) return std::move(console).error();
    read.console = *std::move(console);
    return read;
}

std::string hub_files_mark(const ServeSettings& settings) {
    std::string mark;
    for (const std::string& path :
         {settings.cert_file, settings.key_file, settings.ca_file, settings.master_key_file}) {
        struct stat info {};
        if (stat(path.c_str(), &info) != 0) info = {};
        mark += std::to_string(info.st_ino) + "," + std::to_string(info.st_size) + "," +
                std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) +
                ";";
    }
    return mark;
}

}  // namespace pganalytics::serve
