// The mount table: names in it are chosen by whoever may mount. The first byte cuts the input into
// a path to look for and the table.
#include <algorithm>

#include "check.hpp"
#include "pganalytics/host/mount_table.hpp"

namespace pganalytics::host {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes = fuzz_text(data + 1, size - 1);
    const size_t cut = std::min<size_t>(data[0], bytes.size());
    const std::string_view path = bytes.substr(0, cut);
    const std::vector<Mount> mounts = parse_mountinfo(bytes.substr(cut));
    for (const Mount& mount : mounts) {
        FUZZ_CHECK(mount.point.starts_with('/') && !mount.type.empty());
        // Each is found at its own point, or one mounted there later is.
        const Mount* found = find_mount(mounts, mount.point, mount.major, mount.minor);
        FUZZ_CHECK(found != nullptr && found->major == mount.major && found->minor == mount.minor);
        FUZZ_CHECK(found->point == mount.point);
    }
    const Mount* found = find_mount(mounts, path, 8, 1);
    FUZZ_CHECK(found == nullptr || found->point == "/" || path.starts_with(found->point));
    return 0;
}

}  // namespace pganalytics::host
