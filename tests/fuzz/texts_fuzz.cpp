// Short texts and bodies from outside: ids, times, addresses, tokens, gzip. The first byte chooses.
#include "check.hpp"
#include "pganalytics/core/lsn.hpp"
#include "pganalytics/core/name_patterns.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/net/base64url.hpp"
#include "pganalytics/net/enrolment_token.hpp"
#include "pganalytics/net/gzip.hpp"
#include "pganalytics/net/https_url.hpp"
#include "pganalytics/net/jwt.hpp"
#include "pganalytics/net/master_keys.hpp"

namespace pganalytics {

namespace {

void times(std::string_view text) {
    const auto time = parse_time(text);
    if (!time) return;
    std::string out;
    if (append_time(out, *time)) FUZZ_CHECK(parse_time(out) == time);
}

void ids(std::string_view text) {
    if (const auto uuid = parse_uuid(text)) FUZZ_CHECK(parse_uuid(uuid_text(*uuid)) == uuid);
    if (const auto lsn = parse_lsn(text)) {
        std::string out;
        append_lsn(out, *lsn);
        FUZZ_CHECK(parse_lsn(out) == lsn);
    }
}

void utf8(std::string_view text) {
    std::string clean;
    append_utf8_clean(clean, text);
    FUZZ_CHECK(is_utf8(clean));
    if (is_utf8(text)) FUZZ_CHECK(is_utf8(utf8_cut(text, text.size() / 2)));
}

void tokens(std::string_view text) {
    if (const auto bytes = net::parse_base64url(text)) FUZZ_CHECK(net::base64url(*bytes) == text);
    if (const auto token = net::parse_enrolment_token(text)) {
        FUZZ_CHECK(net::parse_enrolment_token(token->text())->secret == token->secret);
    }
    const std::vector<net::MasterKey> keys = {net::MasterKey{1, {}}};
    // No text that was not signed with the key is ever accepted; the fuzzer has not got it.
    FUZZ_CHECK(net::verify_collector_token(text, keys, {}, 1'700'000'000) !=
               net::TokenRefusal::kNone);
    (void)net::parse_master_keys(text);
}

void urls(std::string_view text) {
    if (const auto url = net::parse_https_url(text)) {
        const auto again = net::parse_https_url(url->text());
        FUZZ_CHECK(static_cast<bool>(again) && again->text() == url->text());
    }
    (void)parse_name_patterns(text);
    (void)parse_selection(text);
}

void bodies(std::string_view bytes) {
    const net::Inflated inflated = net::inflate_gzip(bytes, size_t{1} << 20);
    FUZZ_CHECK(inflated.bytes.size() <= size_t{1} << 20);
    const net::Inflated again = net::inflate_gzip(net::gzip(bytes), bytes.size());
    FUZZ_CHECK(again && again.bytes == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text = fuzz_text(data + 1, size - 1);
    switch (data[0] % 6) {
        case 0:
            times(text);
            break;
        case 1:
            ids(text);
            break;
        case 2:
            utf8(text);
            break;
        case 3:
            tokens(text);
            break;
        case 4:
            urls(text);
            break;
        default:
            bodies(text);
            break;
    }
    return 0;
}

}  // namespace pganalytics
