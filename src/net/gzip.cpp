// gzip: the frame around deflate.hpp's output and inflate.hpp's input (see the header).
#include "pganalytics/net/gzip.hpp"

#include <isa-l.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "pganalytics/net/inflate.hpp"

namespace pganalytics::net {

namespace {

// RFC 1952: magic, deflate, no flags, no time, no hint, Unix.
constexpr std::string_view kGzipHeader("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
constexpr size_t kPiece = size_t{64} * 1024;  // of an output whose size nothing says

}  // namespace

struct GzipWriter::State {
    std::string* out = nullptr;
    std::array<std::unique_ptr<Deflater>, 2> deflaters;  // by Packing, made when first needed
    Packing packing = Packing::kFast;
    uint32_t checksum = 0;
    uint64_t bytes_in = 0;

    Deflater& deflater() {
        std::unique_ptr<Deflater>& one = deflaters.at(static_cast<size_t>(packing));
        if (!one) one = make_deflater(packing);
        return *one;
    }
    void append_number(uint32_t number) {
        char bytes[sizeof number];
        static_assert(std::endian::native == std::endian::little);
        std::memcpy(bytes, &number, sizeof number);
        out->append(bytes, sizeof bytes);
    }
};

GzipWriter::GzipWriter(std::string& out, Packing packing) : state_(std::make_unique<State>()) {
    state_->out = &out;
    state_->packing = packing;
    out.append(kGzipHeader);
}
GzipWriter::~GzipWriter() = default;
GzipWriter::GzipWriter(GzipWriter&&) noexcept = default;
GzipWriter& GzipWriter::operator=(GzipWriter&&) noexcept = default;

void GzipWriter::write(std::string_view bytes) {
    state_->bytes_in += bytes.size();
    state_->checksum = crc32_gzip_refl(
        state_->checksum, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    state_->deflater().write(bytes, *state_->out);
}

void GzipWriter::set_packing(Packing packing) {
    if (packing == state_->packing) return;
    state_->deflater().pause(*state_->out);
    state_->packing = packing;
}

void GzipWriter::finish() {
    state_->deflater().finish(*state_->out);
    state_->append_number(state_->checksum);
    state_->append_number(static_cast<uint32_t>(state_->bytes_in));  // modulo 2^32, by the RFC
}

uint64_t GzipWriter::bytes_in() const { return state_->bytes_in; }

size_t GzipWriter::memory() const {
    size_t sum = sizeof(State);
    for (const std::unique_ptr<Deflater>& one : state_->deflaters) sum += one ? one->memory() : 0;
    return sum;
}

std::string gzip(std::string_view bytes, Packing packing) {
    std::string out;
    GzipWriter writer(out, packing);
    writer.write(bytes);
    writer.finish();
    return out;
}

namespace {

Inflated problem(InflateProblem kind) { return Inflated{kind, {}}; }

// The bytes of a frame around deflated data; failed for good after the first read past the end.
class FrameReader {
  public:
    explicit FrameReader(std::string_view bytes) : all_(bytes), rest_(bytes) {}

    std::string_view take(size_t count) {
        if (count > rest_.size()) cut_ = true;
        const std::string_view taken = cut_ ? std::string_view{} : rest_.substr(0, count);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    uint32_t little_endian(size_t bytes) {
        uint32_t number = 0;
        unsigned shift = 0;
        for (const char byte : take(bytes)) {
            number |= uint32_t{static_cast<unsigned char>(byte)} << shift;
            shift += 8;
        }
        return number;
    }
    uint32_t big_endian(size_t bytes) {
        uint32_t number = 0;
        for (const char byte : take(bytes)) number = number << 8 | static_cast<unsigned char>(byte);
        return number;
    }
    void skip_text() { take(std::min(rest_.find('\0'), rest_.size()) + 1); }
    std::string_view taken() const { return all_.substr(0, all_.size() - rest_.size()); }
    std::string_view& rest() { return rest_; }
    bool cut() const { return cut_; }

  private:
    std::string_view all_;
    std::string_view rest_;
    bool cut_ = false;
};

uint32_t crc_of(std::string_view bytes) {
    return crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

// What is wrong with a header so far: `right`, unless it ended before that could be seen.
InflateProblem judge(const FrameReader& reader, bool right) {
    if (reader.cut()) return InflateProblem::kTruncated;
    return right ? InflateProblem::kNone : InflateProblem::kMalformed;
}

// RFC 1952.
InflateProblem read_gzip_header(FrameReader& reader) {
    constexpr uint32_t kHeaderChecksum = 2;
    constexpr uint32_t kExtra = 4;
    constexpr uint32_t kName = 8;
    constexpr uint32_t kComment = 16;
    constexpr uint32_t kReserved = 0xe0;
    for (const unsigned expected : {0x1fU, 0x8bU, 8U}) {
        const uint32_t byte = reader.little_endian(1);
        if (const auto wrong = judge(reader, byte == expected); wrong != InflateProblem::kNone)
            return wrong;
    }
    const uint32_t flags = reader.little_endian(1);
    if ((flags & kReserved) != 0) return InflateProblem::kMalformed;
    reader.take(6);  // time, hint, system
    if ((flags & kExtra) != 0) reader.take(reader.little_endian(2));
    if ((flags & kName) != 0) reader.skip_text();
    if ((flags & kComment) != 0) reader.skip_text();
    if ((flags & kHeaderChecksum) == 0) return judge(reader, true);
    const uint32_t checksum = crc_of(reader.taken()) & 0xffff;
    return judge(reader, reader.little_endian(2) == checksum);
}

// RFC 1950: deflate with a window of 32 KB at most, no preset dictionary.
InflateProblem read_zlib_header(FrameReader& reader) {
    const uint32_t header = reader.big_endian(2);
    return judge(reader, header % 31 == 0 && (header & 0x8f00) == 0x0800 && (header & 0x20) == 0);
}

// How much it probably becomes: what the end of a gzip member claims, within what is possible.
size_t claimed_size(std::string_view bytes, size_t limit) {
    constexpr size_t kHighestRatio = 1032;
    uint32_t claimed = 0;
    if (bytes.size() < sizeof claimed) return 0;
    std::memcpy(&claimed, bytes.end() - sizeof claimed, sizeof claimed);
    return std::min({size_t{claimed}, limit, bytes.size() * kHighestRatio});
}

InflateProblem problem_of(InflateEnd end) {
    switch (end) {
        case InflateEnd::kDone:
            return InflateProblem::kNone;
        case InflateEnd::kTooLarge:
            return InflateProblem::kTooLarge;
        case InflateEnd::kMalformed:
            return InflateProblem::kMalformed;
        case InflateEnd::kTruncated:
            return InflateProblem::kTruncated;
    }
    return InflateProblem::kMalformed;
}

}  // namespace

Inflated inflate_gzip(std::string_view bytes, size_t limit, bool accept_zlib) {
    constexpr auto kGzipFirstByte = '\x1f';
    if (bytes.empty()) return problem(InflateProblem::kTruncated);
    const bool zlib_form = accept_zlib && bytes.front() != kGzipFirstByte;
    FrameReader reader(bytes);
    InflateProblem found = zlib_form ? read_zlib_header(reader) : read_gzip_header(reader);
    if (found != InflateProblem::kNone) return problem(found);
    Inflated result;
    found = problem_of(inflate_raw(reader.rest(), result.bytes, limit,
                                   zlib_form ? kPiece : claimed_size(bytes, limit)));
    if (found != InflateProblem::kNone) return problem(found);
    bool same = false;
    if (zlib_form) {
        const auto* made = reinterpret_cast<const unsigned char*>(result.bytes.data());
        same = reader.big_endian(4) == isal_adler32(1, made, result.bytes.size());
    } else {
        same = reader.little_endian(4) == crc_of(result.bytes);
        // (modulo 2^32, by the RFC)
        same = reader.little_endian(4) == static_cast<uint32_t>(result.bytes.size()) && same;
    }
    found = judge(reader, same);
    if (found == InflateProblem::kNone && !reader.rest().empty()) found = InflateProblem::kTrailing;
    return found == InflateProblem::kNone ? result : problem(found);
}

std::string_view inflate_problem_text(InflateProblem problem) {
    switch (problem) {
        case InflateProblem::kNone:
            return "";
        case InflateProblem::kTooLarge:
            return "body is larger than allowed";
        case InflateProblem::kMalformed:
            return "compressed body is malformed";
        case InflateProblem::kTruncated:
            return "compressed body is cut short";
        case InflateProblem::kTrailing:
            return "bytes after the end of the compressed body";
    }
    return "";
}

std::string gzip_library_text() {
    return std::string("zlib ") + zlibVersion() + ", ISA-L " + std::to_string(ISAL_MAJOR_VERSION) +
           "." + std::to_string(ISAL_MINOR_VERSION) + "." + std::to_string(ISAL_PATCH_VERSION);
}

}  // namespace pganalytics::net
