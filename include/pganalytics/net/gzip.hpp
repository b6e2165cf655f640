// gzip (RFC 1952) out and in. Runs in the program. Reading: the only way to a compressed body; what
// it may become is counted while it is inflated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pganalytics/net/deflate.hpp"

namespace pganalytics::net {

// Appends one gzip member to a string of the caller's. The header holds neither name nor time, so
// the same bytes give the same output. Several may be open at once. Throws std::bad_alloc only.
class GzipWriter {
  public:
    // `out` outlives the writer.
    explicit GzipWriter(std::string& out, Packing packing = Packing::kFast);
    ~GzipWriter();
    GzipWriter(GzipWriter&&) noexcept;
    GzipWriter& operator=(GzipWriter&&) noexcept;

    void write(std::string_view bytes);
    // For what is written from here on. Changing costs some bytes.
    void set_packing(Packing packing);
    // Ends the member; nothing may be written after it.
    void finish();
    // Bytes given to write() so far.
    uint64_t bytes_in() const;
    // What it holds beside `out`, in bytes.
    size_t memory() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string gzip(std::string_view bytes, Packing packing = Packing::kFast);

enum class InflateProblem : uint8_t {
    kNone = 0,
    kTooLarge,   // more than the limit: 413
    kMalformed,  // not this format, a wrong checksum or length: 400
    kTruncated,  // ends before the member does: 400
    kTrailing,   // bytes, or another member, after the first member: 400
};

struct Inflated {
    InflateProblem problem = InflateProblem::kNone;
    std::string bytes;  // empty where there is a problem
    explicit operator bool() const { return problem == InflateProblem::kNone; }
};

// Exactly one gzip member (or, where `accept_zlib`, one RFC 1950 stream) without anything after it,
// `limit` bytes of output at most. Takes 130 KB beside the output.
Inflated inflate_gzip(std::string_view bytes, size_t limit, bool accept_zlib = false);

// "compressed body is cut short" and the like; without any of the input.
std::string_view inflate_problem_text(InflateProblem problem);

// "zlib 1.2.13, ISA-L 2.30.0": for status.
std::string gzip_library_text();

}  // namespace pganalytics::net
