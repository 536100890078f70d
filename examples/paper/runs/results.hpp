#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/index.hpp"
#include "runs/file_lock.hpp"
#include "runs/maker.hpp"

struct sqlite3;

// What runs leave behind: one SQLite file with every value, and the state from which each run continues.
namespace paper {

struct RunRecord {
  std::string run;  // names the whole configuration
  Fields fields;
};

struct Value {
  Index task;
  Index step;  // within the task
  std::string metric;
  double value;
};

// What a run brings home from one task: its values, and the state from which the next continues.
struct FinishedTask {
  std::string run;
  Index task;
  std::vector<Value> values;
  std::vector<std::byte> checkpoint;
};

// All that is kept of a run for good.
struct StoredRun {
  RunRecord record;
  Index tasks_done;
  std::vector<std::pair<Index, Fields>> makers;  // from which task on which program; empty: not recorded
  std::vector<Value> values;                     // by task, step, metric
};

struct Checkpoint {
  Index tasks_done;
  std::vector<std::byte> state;
};

// One connection to one file. Every member may be called from several threads. What SQLite reports (a full
// disk, a folder without permission) is a std::runtime_error that names the file and what was being done;
// what was committed before stays readable.
class Results {
 public:
  enum class Access { read, write };

  // read: SQLite, or the values that write_values wrote (values_file.hpp).
  // write: creates the file and its tables, and excludes other programs that write, by an advisory lock on
  // FILE.lock that ends with the process. read: the file must be there and is never changed; a program may
  // write it at the same time. std::runtime_error for a file that is absent (read), is not SQLite, holds
  // something else, has another version, or is being written by another program (write).
  Results(std::filesystem::path file, Access access);
  ~Results();  // a writer leaves one file that needs no other beside it, where nobody else has it open

  void add_run(const RunRecord& record);  // keeps what is there
  void made_by(Fields maker);             // what makes the tasks that are written from now on
  void forget_run(const std::string& run);

  // All of one task or nothing: its values, and the checkpoint that replaces the earlier one.
  // std::logic_error when the run was not added, when task is not the next one, or when a value belongs to
  // another task.
  void commit_task(const std::string& run, Index task, std::span<const Value> values,
                   std::span<const std::byte> checkpoint);
  // The same for several runs and tasks, all of them or none. Of several tasks of a run, in their order, the
  // last has the checkpoint that stays.
  void commit(std::span<const FinishedTask> tasks);

  Index tasks_done(const std::string& run) const;  // 0 for a run that is not there
  // from which task on which program made the values; empty where that was not recorded
  std::vector<std::pair<Index, Fields>> makers(const std::string& run) const;
  StoredRun stored(const RunRecord& run) const;
  std::optional<Checkpoint> checkpoint(
      const std::string& run) const;                        // nothing before the first task is done
  std::vector<RunRecord> runs() const;                      // by name
  std::vector<Value> values(const std::string& run) const;  // by task, step, metric

  std::vector<Value> rows(const std::string& run, const std::string& metric) const;  // of it, by task, step

  // A value a task for tasks 0 to tasks-1, that of the last step of each; it ends with the last task that has
  // the metric, and is NaN where a task before has not. Bit for bit what was committed (but for the payload
  // of NaN).
  std::vector<double> curve(const std::string& run, const std::string& metric, Index tasks) const;

  // by run, task, step, metric; a run is read at once, and the function may use these results
  void for_each_value(const std::function<void(const std::string& run, const Value&)>& function) const;

  const std::filesystem::path& file() const { return file_; }

 private:
  class Statement;
  struct Close {
    void operator()(sqlite3* database) const;
  };

  void open(const std::string& name, int flags);
  void open_to_read();
  void open_values();
  void check_kind() const;
  void execute(const char* sql, const std::string& doing) const;
  Index number(const char* sql, const std::string& doing) const;
  void transaction(const std::string& doing, const std::function<void()>& body);
  void write_task(const std::string& run, Index task, std::span<const Value> values,
                  std::span<const std::byte> checkpoint);
  void write_values(Index id, std::span<const Value> values, const std::string& doing);
  void write_maker(Index id, Index task, const std::string& maker, const std::string& doing);
  std::optional<Index> find(const std::string& run) const;
  [[noreturn]] void fail(const std::string& doing) const;

  std::filesystem::path file_;
  Access access_;
  std::string maker_;               // of what is written, as text
  bool has_makers_ = true;          // files of before have no record of them
  std::unique_ptr<FileLock> lock_;  // before the database: released after it is closed
  std::unique_ptr<sqlite3, Close> database_;
  mutable std::mutex mutex_;
};

// CSV with the header run,problem,network,activation,regularizer,strength,seed,task,step,metric,value and a
// row a value; the words in the middle are the run's fields of these names. Values are the shortest text that
// reads back as the same double, "nan" for NaN. A run in several files is taken once, from the first file
// that has the most tasks of it. std::runtime_error when the stream fails.
void export_csv(std::ostream& out, std::span<const Results* const> files);
void export_csv(std::ostream& out, const Results& file);

// CSV with a row a run: run, then all fields of all runs in the order in which they first appear. Empty where
// a run lacks a field.
void export_runs_csv(std::ostream& out, std::span<const Results* const> files);
void export_runs_csv(std::ostream& out, const Results& file);

}  // namespace paper
