// The file of master keys (see the header).
#include "pganalytics/net/master_keys.hpp"

#include <algorithm>
#include <charconv>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/net/random.hpp"

namespace pganalytics::net {

namespace {

Error bad_line(size_t number) {
    return make_error(sqlstate::kInvalidText, "master key file is malformed",
                      "Line " + std::to_string(number) +
                          " is not a version number and 64 hexadecimal digits, or its version does "
                          "not rise.",
                      "Restore the file from its backup.");
}

bool parse_line(std::string_view line, MasterKey& key) {
    const char* end = line.data() + line.size();
    const auto [stop, code] = std::from_chars(line.data(), end, key.version);
    if (code != std::errc() || stop == end || *stop != ' ' || key.version == 0) return false;
    return parse_hex({stop + 1, static_cast<size_t>(end - stop - 1)}, key.secret);
}

}  // namespace

Result<std::vector<MasterKey>> parse_master_keys(std::string_view text) {
    std::vector<MasterKey> keys;
    for (size_t number = 1; !text.empty(); ++number) {
        const size_t length = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, length);
        text.remove_prefix(std::min(length + 1, text.size()));
        if (line.empty() || line.front() == '#') continue;
        MasterKey key;
        if (!parse_line(line, key)) return bad_line(number);
        if (!keys.empty() && key.version <= keys.back().version) return bad_line(number);
        keys.push_back(key);
    }
    if (keys.empty()) {
        return make_error(sqlstate::kInvalidText, "master key file holds no key", {},
                          "Restore the file from its backup.");
    }
    return keys;
}

std::string master_keys_text(const std::vector<MasterKey>& keys) {
    std::string text =
        "# pganalytics master keys: version, 32 random bytes. Tokens of all collectors are "
        "derived\n"
        "# from them. The last one signs; the one before it is still accepted.\n";
    for (const MasterKey& key : keys) {
        text += std::to_string(key.version);
        text += ' ';
        append_hex(text, key.secret);
        text += '\n';
    }
    return text;
}

MasterKey make_master_key(uint32_t version) {
    MasterKey key;
    key.version = version;
    random_bytes(key.secret);
    return key;
}

}  // namespace pganalytics::net
