// A spool, looked at (see the header). Runs in `pganalytics ledger`.
#include "pganalytics/ship/spool_contents.hpp"

#include <memory>
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/ship/spool.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMostWaiting = 5'000'000;
constexpr int kMostReadErrors = 5;

// Says of everything that would change something that it could not be done.
class LookOnly final : public SpoolFiles {
  public:
    explicit LookOnly(SpoolFiles& files) : files_(files) {}

    Result<std::vector<Entry>> list() override { return files_.list(); }
    Status create(const std::string&) override { return refused(); }
    Status append(const std::string&, std::string_view) override { return refused(); }
    Status truncate(const std::string&, uint64_t) override { return refused(); }
    Status sync(const std::string&) override { return refused(); }
    Result<std::string> read(const std::string& name, uint64_t offset, size_t bytes) override {
        return files_.read(name, offset, bytes);
    }
    Status rename(const std::string&, const std::string&) override { return refused(); }
    Status remove(const std::string&) override { return refused(); }
    Status sync_directory() override { return refused(); }
    Result<SpoolSpace> space() override { return files_.space(); }

  private:
    static Status refused() { return make_error(sqlstate::kInternal, "the spool is only read"); }

    SpoolFiles& files_;
};

}  // namespace

Result<SpoolContents> read_spool(SpoolFiles& files) {
    LookOnly look(files);
    SpoolOptions options;
    options.random = [] { return 0U; };
    Spool spool(look, std::move(options));
    if (const Status opened = spool.open(0); !opened) return opened.error();
    const uint64_t damaged = spool.losses().total(LossReason::kDamaged).snapshots;
    SpoolContents contents;
    for (int errors = 0;;) {
        Result<std::optional<Spool::Stored>> next = spool.next(0);
        if (!next) {
            if (++errors >= kMostReadErrors) return next.error();
            continue;
        }
        if (!*next) break;
        if (contents.waiting.size() >= kMostWaiting)
            return make_error(sqlstate::kProgramLimit, "the spool holds too many snapshots");
        contents.waiting.push_back((*next)->snapshot.snapshot_id);
        spool.finish((*next)->number);
    }
    contents.losses = spool.losses();
    contents.found_damaged = contents.losses.total(LossReason::kDamaged).snapshots - damaged;
    return contents;
}

Result<SpoolContents> read_spool_directory(const std::string& directory) {
    if (host::is_absent(directory)) return SpoolContents();
    Result<std::unique_ptr<SpoolFiles>> files = open_spool_files(directory);
    if (!files) return files.error();
    return read_spool(**files);
}

}  // namespace pganalytics::ship
