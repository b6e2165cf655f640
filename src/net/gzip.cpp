// gzip: the frame around deflate.hpp's output, and inflating by zlib (see the header).
#include "pganalytics/net/gzip.hpp"

#include <isa-l/crc.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>

namespace pganalytics::net {

namespace {

constexpr int kWindowBits = 15;
constexpr int kGzipFormat = 16;  // added to the window bits
// RFC 1952: magic, deflate, no flags, no time, no hint, Unix.
constexpr std::string_view kGzipHeader("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
constexpr size_t kPiece = 64 * 1024;
// zlib counts in 32 bits.
constexpr size_t kMostAtOnce = size_t{1} << 30;

Bytef* zlib_bytes(std::string_view bytes) {
    // zlib's input pointer is not const but never written through.
    return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

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

struct InflateStream {
    z_stream stream{};
    ~InflateStream() { inflateEnd(&stream); }
};

Inflated problem(InflateProblem kind) { return Inflated{kind, {}}; }

// How much it probably becomes: what the end of a gzip member claims, within what is possible.
size_t claimed_size(std::string_view bytes, size_t limit) {
    constexpr size_t kHighestRatio = 1032;
    uint32_t claimed = 0;
    if (bytes.size() < sizeof claimed) return 0;
    std::memcpy(&claimed, bytes.end() - sizeof claimed, sizeof claimed);
    return std::min({size_t{claimed}, limit, bytes.size() * kHighestRatio});
}

// Inflates all of `bytes`, the end of which must be the end of the member.
Inflated run(z_stream& stream, std::string_view bytes, size_t limit) {
    Inflated result;
    result.bytes.reserve(claimed_size(bytes, limit));
    unsigned char piece[kPiece];
    int code = Z_OK;
    while (code != Z_STREAM_END) {
        if (stream.avail_in == 0 && !bytes.empty()) {
            const std::string_view part = bytes.substr(0, kMostAtOnce);
            stream.next_in = zlib_bytes(part);
            stream.avail_in = static_cast<uInt>(part.size());
            bytes.remove_prefix(part.size());
        }
        stream.next_out = piece;
        // One byte more than allowed is enough to know.
        stream.avail_out =
            static_cast<uInt>(std::min(sizeof piece, limit - result.bytes.size() + 1));
        const uInt room = stream.avail_out;
        code = inflate(&stream, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) throw std::bad_alloc();
        if (code == Z_BUF_ERROR) return problem(InflateProblem::kTruncated);
        if (code != Z_OK && code != Z_STREAM_END) return problem(InflateProblem::kMalformed);
        const size_t count = room - stream.avail_out;
        if (count > limit - result.bytes.size()) return problem(InflateProblem::kTooLarge);
        result.bytes.append(reinterpret_cast<const char*>(piece), count);
    }
    if (stream.avail_in > 0 || !bytes.empty()) return problem(InflateProblem::kTrailing);
    return result;
}

}  // namespace

Inflated inflate_gzip(std::string_view bytes, size_t limit, bool accept_zlib) {
    constexpr auto kGzipFirstByte = '\x1f';
    if (bytes.empty()) return problem(InflateProblem::kTruncated);
    const bool zlib_form = accept_zlib && bytes.front() != kGzipFirstByte;
    InflateStream inflater;
    if (inflateInit2(&inflater.stream, zlib_form ? kWindowBits : kWindowBits + kGzipFormat) !=
        Z_OK) {
        throw std::bad_alloc();
    }
    return run(inflater.stream, bytes, limit);
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

}  // namespace pganalytics::net
