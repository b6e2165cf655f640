// Any files, on a volume that hangs when it is told to: a call does not return before it is let go.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pganalytics/ship/spool_files.hpp"

namespace pganalytics::ship {

class HangingFiles final : public SpoolFiles {
  public:
    // Used by the test and by the thread that hangs.
    class Gate {
      public:
        // The next such call hangs; "": none any more.
        void hang_at(std::string call) {
            const std::lock_guard lock(mutex_);
            call_ = std::move(call);
            changed_.notify_all();
        }
        bool holds() {
            const std::lock_guard lock(mutex_);
            return held_ > 0;
        }
        void pass(std::string_view call) {
            std::unique_lock lock(mutex_);
            if (call_ != call) return;
            ++held_;
            changed_.wait(lock, [&] { return call_ != call; });
            --held_;
        }

      private:
        std::mutex mutex_;
        std::condition_variable changed_;
        std::string call_;
        int held_ = 0;
    };

    HangingFiles(std::unique_ptr<SpoolFiles> files, std::shared_ptr<Gate> gate)
        : files_(std::move(files)), gate_(std::move(gate)) {}

    Result<std::vector<Entry>> list() override {
        gate_->pass("list");
        return files_->list();
    }
    Status create(const std::string& name) override {
        gate_->pass("create");
        return files_->create(name);
    }
    Status append(const std::string& name, std::string_view bytes) override {
        gate_->pass("append");
        return files_->append(name, bytes);
    }
    Status truncate(const std::string& name, uint64_t bytes) override {
        gate_->pass("truncate");
        return files_->truncate(name, bytes);
    }
    Status sync(const std::string& name) override {
        gate_->pass("sync");
        return files_->sync(name);
    }
    Result<std::string> read(const std::string& name, uint64_t offset, size_t bytes) override {
        gate_->pass("read");
        return files_->read(name, offset, bytes);
    }
    Status rename(const std::string& from, const std::string& to) override {
        gate_->pass("rename");
        return files_->rename(from, to);
    }
    Status remove(const std::string& name) override {
        gate_->pass("remove");
        return files_->remove(name);
    }
    Status sync_directory() override {
        gate_->pass("sync_directory");
        return files_->sync_directory();
    }
    Result<SpoolSpace> space() override {
        gate_->pass("space");
        return files_->space();
    }

  private:
    std::unique_ptr<SpoolFiles> files_;
    std::shared_ptr<Gate> gate_;
};

}  // namespace pganalytics::ship
