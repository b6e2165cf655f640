// An errno as an Error (see the header).
#include "pganalytics/host/system_error.hpp"

#include <cerrno>
#include <system_error>

namespace pganalytics::host {

namespace {

std::string_view hint_for(int code) {
    switch (code) {
        case EACCES:
        case EPERM:
            return "Check owner and permissions of the path; the server's user needs access.";
        case ENOENT:
            return "Check that the path exists.";
        case ENOSPC:
        case EDQUOT:
            return "Free space on that volume; nothing needs to be repaired afterwards.";
        case EROFS:
            return "Mount the volume writable, or set pganalytics.state_directory to another path.";
        case ELOOP:
            return "A symbolic link is not followed here; name the file itself.";
        case EMFILE:
        case ENFILE:
            return "Raise the limit of open files.";
        default:
            return "";
    }
}

}  // namespace

Error system_error(std::string_view action, const std::string& path, int code) {
    return make_error(
        sqlstate::kIoError,
        std::string(action) + " \"" + path + "\": " + std::generic_category().message(code), {},
        std::string(hint_for(code)));
}

}  // namespace pganalytics::host
