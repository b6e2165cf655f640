// Answers of a hub that is hostile or none at all: status, Retry-After, Date, content type and body
// are the fuzzer's. Only the snapshot's own acknowledgement deletes it; whatever is taken from an
// answer is within its bounds and fit for where it goes.
//
// The input: two bytes of status, then three lines (Retry-After, Date, Content-Type), then the
// body.
#include <algorithm>

#include "check.hpp"
#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/retry_after.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/ship/hub_answer.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kNow = 1'771'583'400'000'000;

Snapshot sent() {
    Snapshot made;
    made.snapshot_id.fill(0x11);
    made.collector_id.fill(0x22);
    made.sequence = 1234;
    made.digest.fill(0xab);
    return made;
}

std::string line_of(std::string_view& input) {
    const size_t end = std::min(input.find('\n'), input.size());
    std::string line(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
    return line;
}

// One line of text, short, well-formed.
void check_line(std::string_view text) {
    FUZZ_CHECK(text.size() <= 600 && is_utf8(text));
    for (const char c : text) FUZZ_CHECK(static_cast<uint8_t>(c) >= 0x20 && c != 0x7f);
}

void check_delivered(const net::HttpsResponse& response) {
    FUZZ_CHECK(response.status >= 200 && response.status <= 299);
    // It is named in it, all of it; an escape may hide that from a search.
    const bool escapes = response.body.find('\\') != std::string::npos;
    FUZZ_CHECK(escapes || response.body.find(hex_text(sent().digest)) != std::string::npos);
    FUZZ_CHECK(response.body.find("1234") != std::string::npos);
    // Nor does it acknowledge any other.
    for (int member = 0; member < 4; ++member) {
        Snapshot other = sent();
        if (member == 0) other.snapshot_id[15] ^= 1;
        if (member == 1) other.collector_id[0] ^= 1;
        if (member == 2) ++other.sequence;
        if (member == 3) other.digest[31] ^= 1;
        FUZZ_CHECK(read_push_answer(response, other, kNow).verdict == Verdict::kRetry);
    }
    // Nor under another status.
    net::HttpsResponse refused = response;
    refused.status = 503;
    FUZZ_CHECK(read_push_answer(refused, sent(), kNow).verdict == Verdict::kRetry);
}

void try_push_answer(const net::HttpsResponse& response) {
    const PushAnswer answer = read_push_answer(response, sent(), kNow);
    check_line(answer.reason);
    FUZZ_CHECK((answer.verdict == Verdict::kDelivered) == answer.reason.empty());
    if (answer.verdict == Verdict::kDelivered) check_delivered(response);
    if (answer.retry_after) {
        FUZZ_CHECK(answer.verdict == Verdict::kRetry);
        FUZZ_CHECK(*answer.retry_after >= kShortestRetryAfter &&
                   *answer.retry_after <= kLongestRetryAfter);
    }
    const bool is_success = response.status >= 200 && response.status <= 299;
    FUZZ_CHECK(!is_success || answer.verdict == Verdict::kDelivered ||
               answer.verdict == Verdict::kRetry);
}

void try_token(const net::HttpsResponse& response) {
    const auto token = read_token_answer(response, kNow);
    if (!token) return;
    FUZZ_CHECK(response.status >= 200 && response.status <= 299);
    FUZZ_CHECK(!token->text.empty() && token->text.size() <= 2048);
    // It becomes a header.
    for (const char c : token->text) {
        FUZZ_CHECK(c > ' ' && c <= '~' && c != ':' && c != ',' && c != ';');
    }
    FUZZ_CHECK(token->lifetime >= 0 && token->lifetime <= int64_t{86'400} * 1'000'000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    net::HttpsResponse response;
    response.status = 100 + (data[0] * 256 + data[1]) % 500;
    std::string_view input = fuzz_text(data + 2, size - 2);
    response.retry_after = line_of(input);
    response.date = line_of(input);
    response.content_type = line_of(input);
    response.body = input;
    try_push_answer(response);
    try_token(response);
    check_line(refusal_text(response));
    (void)read_registration(response.body);
    return 0;
}

}  // namespace pganalytics::ship
