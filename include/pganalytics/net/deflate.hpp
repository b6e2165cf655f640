// DEFLATE (RFC 1951) out, by one of two libraries, in pieces that can be put one behind the other:
// after pause() the output is at a byte's boundary and nothing written later refers to what was
// before, so the next piece may be another library's. Runs in the program.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace pganalytics::net {

// What a body's bytes are worth.
enum class Packing : unsigned char {
    kFast,   // ISA-L at level 1: a quarter of the CPU of zlib's level 1, about as small
    kSmall,  // zlib at level 6
};

class Deflater {
  public:
    virtual ~Deflater() = default;
    // Each appends to `out` what is ready. Throws std::bad_alloc only.
    virtual void write(std::string_view bytes, std::string& out) = 0;
    virtual void pause(std::string& out) = 0;
    // The last block; nothing may be written after it.
    virtual void finish(std::string& out) = 0;
    // Of its own, in bytes.
    virtual size_t memory() const = 0;
};

std::unique_ptr<Deflater> make_deflater(Packing packing);

}  // namespace pganalytics::net
