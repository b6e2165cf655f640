// Files of the program: the state directory, secrets, durable writes, locks. Runs in ship, serve,
// keys and register; never in the server. Every Error says the path, what is wrong and what to do.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

// A descriptor that closes itself.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    int number() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }
    int release();

  private:
    int number_ = -1;
};

// Makes `path` (its parent must exist) with mode 0700, or accepts what is there: a directory, no
// symbolic link, owned by us, without rights for group and others. Also for its subdirectories.
Status make_private_directory(const std::string& path);

// The state directory and its parts "identity", "config", "spool" ("hub" where `with_hub`).
Status make_state_directory(const std::string& path, bool with_hub);

// Holds an exclusive flock() on a file for its life; a second holder is refused at once.
class FileLock {
  public:
    static Result<FileLock> take(const std::string& path);

  private:
    explicit FileLock(Descriptor file) : file_(std::move(file)) {}
    Descriptor file_;
};

// Replaces `path` whole: exclusive temporary file beside it, fsync, rename, fsync of the directory.
// After an error the old content is still there.
Status write_file_durably(const std::string& path, std::string_view bytes, mode_t mode = 0600);
// The same, but fails with `exists` set where something is at `path` already.
Status create_file_durably(const std::string& path, std::string_view bytes, mode_t mode,
                           bool& exists);
// Nothing there is success. fsync of the directory included.
Status remove_file_durably(const std::string& path);

// A regular file of at most `limit` bytes. Follows links (a path that an operator set).
Result<std::string> read_file(const std::string& path, size_t limit);

// A file that holds a secret: opened once, no symbolic link, regular, owned by us or root, mode
// 0600 or less (0640 where it is root's); its directory owned by us or root and not writable for
// group or others.
Result<std::string> read_secret(const std::string& path, size_t limit);
Result<Descriptor> open_secret(const std::string& path);

// What is left to read of an open file; `path` is for the Error.
Result<std::string> read_descriptor(const Descriptor& file, const std::string& path, size_t limit);

// Nothing at all at `path`, not even a dangling link.
bool is_absent(const std::string& path);

}  // namespace pganalytics::host
