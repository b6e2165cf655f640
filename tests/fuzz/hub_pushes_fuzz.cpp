// The hub worker's end of pushes, with a front that was taken over: frames in any order, with any
// rows. What is left to give to COPY is whole rows of announced tables, each the pusher's own.
//
// The input is a list of steps: what (0 begin, 1 and 2 rows, 3 end), and for rows the rowset and
// how many rows it says, then the length in two bytes and the rows.
#include "hub_tables.hpp"
#include "pganalytics/core/bytes.hpp"

namespace pganalytics {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    ByteReader in(fuzz_text(data, size));
    const FuzzRules rules;
    pg::HubPushes hub(rules);
    uint64_t pushed = 0;
    uint64_t open = 0;
    while (in.remaining() > 0) {
        const uint8_t step = in.u8();
        if (step % 4 == 0) {
            PushBegin begin;
            begin.number = pushed + 1;
            begin.collector_id = Uuid{7};
            begin.received_at = step % 8 == 4 ? INT64_MAX : kFuzzNow;
            begin.time = step % 16 == 12 ? INT64_MAX : kFuzzNow;
            FUZZ_CHECK(hub.begin(begin) == (open == 0));
            if (open == 0) open = ++pushed;
        } else if (step % 4 == 3) {
            FUZZ_CHECK(!hub.end({open + 1, 0}) && hub.end({open, in.u8()}) == (open != 0));
            open = 0;
        } else {
            PushRows rows;
            rows.number = step >= 0xf0 ? UINT64_MAX : open;
            rows.rowset = in.u8();
            rows.count = in.u8();
            rows.rows = in.raw(in.u16());
            const bool known = rules.fields(rows.rowset) > 0;
            const bool accepted = hub.rows(std::move(rows));
            FUZZ_CHECK(accepted == (open != 0 && step < 0xf0 && known));
        }
    }
    const auto window = rules.window();
    for (const pg::Push& push : hub.take_ready()) {
        FUZZ_CHECK(push.begin.received_at <= window.latest && push.begin.time <= window.latest);
        check_ready(push);
    }
    FUZZ_CHECK(hub.empty());
    return 0;
}

}  // namespace pganalytics
