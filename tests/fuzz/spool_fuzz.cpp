// The spool over files of any content: raw bytes, and records with right checksums but wrong
// numbers, lengths and metas. It must end, take new snapshots, and never answer one twice.
#include <cstdint>
#include <set>
#include <string>

#include "check.hpp"
#include "pganalytics/core/bytes.hpp"
#include "pganalytics/core/codec.hpp"
#include "pganalytics/ship/spool.hpp"
#include "support/simulated_files.hpp"

namespace pganalytics::ship {

namespace {

constexpr uint32_t kSeed = 7;

// A file from the input: header as it says, then records of it.
std::string make_file(ByteReader& in, uint64_t number) {
    SegmentHeader header;
    header.segment = number;
    header.first_number = in.u8();
    header.seed = kSeed;
    header.state.position = in.u8();
    std::string bytes = encode_segment_header(header);
    for (uint8_t records = in.u8() % 16; records > 0 && in.ok(); --records) {
        const auto type = static_cast<RecordType>(in.u8() % 7);
        const uint64_t record = in.u16();
        std::string meta(in.raw(in.u8()));
        // Seldom found by chance.
        if (meta.empty()) meta = encode(SnapshotMeta{});
        const std::string_view body = in.raw(in.u8());
        bytes += encode_record(type, record, kSeed, meta, body);
        bytes += body;
        if (in.u8() % 4 == 0) bytes.resize(bytes.size() - in.u8() % bytes.size());
    }
    return bytes;
}

void use(SimulatedFiles& files, uint8_t choices) {
    SpoolOptions options;
    options.limit = 1 << 20;
    options.random = [] { return kSeed; };
    Spool spool(files, options);
    if (!spool.open(1)) return;
    std::set<uint64_t> seen;
    for (int turns = 0;; ++turns) {
        FUZZ_CHECK(turns < 10'000);
        const auto next = spool.next(1);
        FUZZ_CHECK(static_cast<bool>(next));
        if (!*next) break;
        FUZZ_CHECK(seen.insert((*next)->number).second);
        if ((choices & 1) != 0) {
            spool.set_aside((*next)->number, (*next)->snapshot, "no", 1);
        } else {
            spool.finish((*next)->number);
        }
    }
    Snapshot fresh;
    fresh.body = "fresh";
    const Snapshot* pointer = &fresh;
    FUZZ_CHECK(static_cast<bool>(spool.append(std::span(&pointer, 1), 1)));
    const auto next = spool.next(1);
    FUZZ_CHECK(next && *next && (*next)->snapshot.body == "fresh");
}

}  // namespace

void try_bytes(std::string_view bytes) {
    ByteReader in(bytes);
    const uint8_t choices = in.u8();
    SimulatedFiles files;
    if ((choices & 2) != 0) {
        files.put(spool_file_name(SpoolFileKind::kSegment, 1), std::string(in.rest()));
    } else {
        for (uint64_t number = 1; number <= 3; ++number)
            files.put(spool_file_name(SpoolFileKind::kSegment, number), make_file(in, number));
    }
    use(files, choices);
    use(files, choices);
}

}  // namespace pganalytics::ship

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    pganalytics::ship::try_bytes(fuzz_text(data, size));
    return 0;
}
