// DEFLATE by zlib and by ISA-L (see the header). Runs in the program.
#include "pganalytics/net/deflate.hpp"

#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <cstdint>
#include <limits>
#include <new>

namespace pganalytics::net {

namespace {

constexpr size_t kPiece = size_t{16} << 10;
// Both count in 32 bits.
constexpr size_t kMostAtOnce = size_t{1} << 30;

// Neither library writes through its pointer to the input.
uint8_t* input_of(std::string_view bytes) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
}

// Hands `bytes` to `compress` in what both libraries can count.
template <class Compress>
void in_parts(std::string_view bytes, Compress&& compress) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, kMostAtOnce);
        compress(part);
        bytes.remove_prefix(part.size());
    }
}

// Runs `step` with room for output until it leaves some of it. The streams' members have the same
// names in both libraries.
template <class Stream, class Step>
void pump(Stream& stream, std::string& out, Step&& step) {
    uint8_t piece[kPiece];
    do {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        step();
        out.append(reinterpret_cast<const char*>(piece), sizeof piece - stream.avail_out);
    } while (stream.avail_out == 0);
}

class ZlibDeflater final : public Deflater {
  public:
    ZlibDeflater() {
        if (deflateInit2(&stream_, kLevel, Z_DEFLATED, kRawWindowBits, kMemoryLevel,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            throw std::bad_alloc();
        }
    }
    ZlibDeflater(const ZlibDeflater&) = delete;
    ZlibDeflater& operator=(const ZlibDeflater&) = delete;
    ~ZlibDeflater() override { deflateEnd(&stream_); }

    void write(std::string_view bytes, std::string& out) override {
        in_parts(bytes, [&](std::string_view part) {
            stream_.next_in = input_of(part);
            stream_.avail_in = static_cast<uInt>(part.size());
            run(Z_NO_FLUSH, out);
        });
    }
    void pause(std::string& out) override { run(Z_FULL_FLUSH, out); }
    void finish(std::string& out) override { run(Z_FINISH, out); }
    size_t memory() const override { return size_t{268} << 10; }  // by zlib.h's formula

  private:
    static constexpr int kLevel = 6;
    static constexpr int kRawWindowBits = -15;
    static constexpr int kMemoryLevel = 8;

    void run(int flush, std::string& out) {
        pump(stream_, out, [&] { deflate(&stream_, flush); });
    }

    z_stream stream_{};
};

class IsalDeflater final : public Deflater {
  public:
    IsalDeflater() : room_(std::make_unique_for_overwrite<uint8_t[]>(kRoom)) {
        isal_deflate_init(&stream_);
        // (which leaves the input as it was)
        stream_.next_in = nullptr;
        stream_.avail_in = 0;
        stream_.level = 1;
        stream_.level_buf = room_.get();
        stream_.level_buf_size = kRoom;
    }

    void write(std::string_view bytes, std::string& out) override {
        in_parts(bytes, [&](std::string_view part) {
            stream_.next_in = input_of(part);
            stream_.avail_in = static_cast<uint32_t>(part.size());
            run(NO_FLUSH, out);
        });
    }
    void pause(std::string& out) override { run(FULL_FLUSH, out); }
    void finish(std::string& out) override {
        stream_.end_of_stream = 1;
        run(NO_FLUSH, out);
    }
    size_t memory() const override { return sizeof *this + kRoom; }

  private:
    static constexpr size_t kRoom = ISAL_DEF_LVL1_DEFAULT;

    void run(uint16_t flush, std::string& out) {
        stream_.flush = flush;
        pump(stream_, out, [&] { isal_deflate(&stream_); });
    }

    std::unique_ptr<uint8_t[]> room_;
    isal_zstream stream_;
};

}  // namespace

std::unique_ptr<Deflater> make_deflater(Packing packing) {
    if (packing == Packing::kFast) return std::make_unique<IsalDeflater>();
    return std::make_unique<ZlibDeflater>();
}

}  // namespace pganalytics::net
