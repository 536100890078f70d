#include "runs/results.hpp"

#include <sqlite3.h>

#include <cstring>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "runs/values_file.hpp"

namespace paper {
namespace {

constexpr Index application_id = 0x53414749;  // "SAGI"
constexpr Index version = 2;                  // 2: with epoch_error
constexpr int patience = 10000;               // ms to wait for another connection
constexpr const char* opening = "cannot open it";

// `value` has no type: a column of type REAL keeps whole numbers as integers, and -0 is not one.
// Words are kept once; the key of `value` lets a curve be read without the run's other metrics.
constexpr const char* schema = R"(
  CREATE TABLE run(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, tasks_done INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE field(run INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
                     PRIMARY KEY(run, position)) WITHOUT ROWID;
  CREATE TABLE metric(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE value(run INTEGER NOT NULL, metric INTEGER NOT NULL, task INTEGER NOT NULL,
                     step INTEGER NOT NULL, value, PRIMARY KEY(run, metric, task, step)) WITHOUT ROWID;
  CREATE TABLE checkpoint(run INTEGER PRIMARY KEY, state BLOB);
  CREATE VIEW result AS SELECT run.name AS run, value.task, value.step, metric.name AS metric, value.value
    FROM value JOIN run ON run.id = value.run JOIN metric ON metric.id = value.metric;
  PRAGMA application_id = 1396787017;
  PRAGMA user_version = 2;
)";
static_assert(application_id == 1396787017 && version == 2, "as the schema says");

// later than the rest, and written into files that are there: programs of before leave them alone
constexpr const char* schema_of_makers = R"(
  CREATE TABLE IF NOT EXISTS maker(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS made(run INTEGER NOT NULL, task INTEGER NOT NULL, maker INTEGER NOT NULL,
                                  PRIMARY KEY(run, task)) WITHOUT ROWID;
)";

// a maker as text, a line a field
std::string text_of(const Fields& maker) {
  std::string text;
  for (const auto& [name, value] : maker) text += name + "=" + value + "\n";
  return text;
}

Fields maker_of(const std::string& text) {
  Fields maker;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const std::size_t at = line.find('='); at != std::string::npos)
      maker.emplace_back(line.substr(0, at), line.substr(at + 1));
  return maker;
}

}  // namespace

// A prepared statement; every failure is an error that says what was being done.
class Results::Statement {
 public:
  Statement(const Results& results, const char* sql, const std::string& doing)
      : results_(results), doing_(doing) {
    if (sqlite3_prepare_v2(results.database_.get(), sql, -1, &statement_, nullptr) != SQLITE_OK)
      results.fail(doing);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // the next parameters, from the first on after construction and after finish()
  Statement& bind(Index value) { return check(sqlite3_bind_int64(statement_, ++bound_, value)); }
  Statement& bind(double value) {  // SQLite has no NaN: it becomes NULL
    return check(sqlite3_bind_double(statement_, ++bound_, value));
  }
  Statement& bind(const std::string& value) {
    return check(
        sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  Statement& bind(std::span<const std::byte> value) {
    return check(sqlite3_bind_blob64(statement_, ++bound_, value.data(), value.size(), SQLITE_STATIC));
  }

  bool row() {  // steps to the next row; false when there is none
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) results_.fail(doing_);
    return code == SQLITE_ROW;
  }
  void finish() {  // runs a statement without rows, and makes it ready for other parameters
    row();
    sqlite3_reset(statement_);
    bound_ = 0;
  }

  Index integer(int column) const { return sqlite3_column_int64(statement_, column); }
  bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  double real(int column) const {
    return null(column) ? std::numeric_limits<double>::quiet_NaN()
                        : sqlite3_column_double(statement_, column);
  }
  std::string text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return data ? std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))) : "";
  }
  std::vector<std::byte> blob(int column) const {
    const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
    if (data == nullptr) return {};
    return {data, data + sqlite3_column_bytes(statement_, column)};
  }

 private:
  Statement& check(int code) {
    if (code != SQLITE_OK) results_.fail(doing_);
    return *this;
  }

  const Results& results_;
  std::string doing_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

void Results::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

Results::Results(std::filesystem::path file, Access access) : file_(std::move(file)), access_(access) {
  const auto kind = std::filesystem::status(file_).type();
  if (access == Access::read && kind == std::filesystem::file_type::not_found)
    throw std::runtime_error(file_.string() + ": not found, expected a file of results");
  if (kind == std::filesystem::file_type::directory)
    throw std::runtime_error(file_.string() + ": is a folder, expected a file of results");
  const bool values_alone = is_values_file(file_);
  if (access == Access::read) {
    values_alone ? open_values() : open_to_read();
    check_kind();
    has_makers_ = number("SELECT count(*) FROM sqlite_master WHERE name = 'made'", opening) > 0;
    return;
  }
  if (values_alone)
    throw std::runtime_error(file_.string() + ": holds values alone, to be read; runs need another file");
  lock_ = std::make_unique<FileLock>(file_);
  open(std::filesystem::absolute(file_).string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (number("SELECT count(*) FROM sqlite_master", opening) == 0 &&
      number("PRAGMA application_id", opening) == 0)
    transaction("cannot create its tables", [&] { execute(schema, "cannot create its tables"); });
  check_kind();
  execute(schema_of_makers, "cannot create its tables");
  // readers go on while a task is written; where the file system cannot do that, SQLite keeps its own mode
  execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", opening);
}

Results::~Results() {
  if (access_ != Access::write) return;
  sqlite3_busy_timeout(database_.get(), 1000);  // where a reader stays, its file's companions stay too
  sqlite3_exec(database_.get(), "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr);
  sqlite3_exec(database_.get(), "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr);
}

void Results::open(const std::string& name, int flags) {
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &database, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  database_.reset(database);  // also after a failure, for its message
  if (code != SQLITE_OK) fail(opening);
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_timeout(database, patience);
}

// A killed writer leaves FILE-wal, which SQLite reads with a FILE-shm that it may have to create. When there
// is nothing in FILE-wal, a file in a folder without permission can be read as it is.
void Results::open_to_read() {
  const std::string path = std::filesystem::absolute(file_).string();  // never a name that SQLite interprets
  open(path, SQLITE_OPEN_READONLY);
  if (sqlite3_exec(database_.get(), "SELECT 1 FROM sqlite_master", nullptr, nullptr, nullptr) == SQLITE_OK)
    return;
  const int code = sqlite3_errcode(database_.get()) & 0xff;
  std::error_code absent;
  auto log = file_;
  const auto size = std::filesystem::file_size(log += "-wal", absent);
  if ((code != SQLITE_CANTOPEN && code != SQLITE_READONLY) || (!absent && size > 0))
    return;  // told by check_kind
  std::string name = "file:";
  for (const char c : path)
    name += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
  open(name + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

// in memory, as if SQLite had written them
void Results::open_values() {
  const std::vector<StoredRun> runs = read_values(file_);
  open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  execute(schema, opening);
  execute(schema_of_makers, opening);
  for (const StoredRun& run : runs) {
    add_run(run.record);
    const Index id = find(run.record.run).value();
    transaction(opening, [&] {
      for (const auto& [task, maker] : run.makers) write_maker(id, task, text_of(maker), opening);
      write_values(id, run.values, opening);
      Statement(*this, "UPDATE run SET tasks_done = ? WHERE id = ?", opening)
          .bind(run.tasks_done)
          .bind(id)
          .finish();
    });
  }
}

void Results::check_kind() const {
  const Index kind = number("PRAGMA application_id", opening);
  const Index found = number("PRAGMA user_version", opening);
  if (kind != application_id)
    throw std::runtime_error(file_.string() + ": not a file of results: its application_id is " +
                             std::to_string(kind) + ", expected " + std::to_string(application_id));
  if (found != version)
    throw std::runtime_error(file_.string() + ": results of version " + std::to_string(found) +
                             ", expected version " + std::to_string(version) +
                             "; another version of this program wrote it: name another file");
}

void Results::fail(const std::string& doing) const {
  std::string message = file_.string() + ": " + doing + ": " + sqlite3_errmsg(database_.get());
  const int code = sqlite3_errcode(database_.get()) & 0xff;
  const int system = sqlite3_system_errno(database_.get());
  if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && system != 0)
    message += std::string(" (") + std::strerror(system) + ")";
  if (code == SQLITE_NOTADB) message += ", expected an SQLite file of results";
  throw std::runtime_error(message);
}

void Results::execute(const char* sql, const std::string& doing) const {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(doing);
}

Index Results::number(const char* sql, const std::string& doing) const {
  Statement statement(*this, sql, doing);
  return statement.row() ? statement.integer(0) : 0;
}

void Results::transaction(const std::string& doing, const std::function<void()>& body) {
  execute("BEGIN IMMEDIATE", doing);
  try {
    body();
    execute("COMMIT", doing);
  } catch (...) {  // some failures have rolled back already
    if (!sqlite3_get_autocommit(database_.get()))
      sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

std::optional<Index> Results::find(const std::string& run) const {
  Statement statement(*this, "SELECT id FROM run WHERE name = ?", "cannot read run " + run);
  if (!statement.bind(run).row()) return std::nullopt;
  return statement.integer(0);
}

void Results::add_run(const RunRecord& record) {
  const std::lock_guard guard(mutex_);
  const std::string doing = "cannot add run " + record.run;
  if (find(record.run)) return;
  transaction(doing, [&] {
    Statement(*this, "INSERT INTO run(name) VALUES(?)", doing).bind(record.run).finish();
    const Index id = sqlite3_last_insert_rowid(database_.get());
    Statement insert(*this, "INSERT INTO field VALUES(?, ?, ?, ?)", doing);
    Index position = 0;
    for (const auto& [name, value] : record.fields)
      insert.bind(id).bind(position++).bind(name).bind(value).finish();
  });
}

void Results::forget_run(const std::string& run) {
  const std::lock_guard guard(mutex_);
  const std::string doing = "cannot forget run " + run;
  const auto id = find(run);
  if (!id) return;
  transaction(doing, [&] {
    for (const char* sql : {"DELETE FROM value WHERE run = ?", "DELETE FROM field WHERE run = ?",
                            "DELETE FROM checkpoint WHERE run = ?", "DELETE FROM made WHERE run = ?",
                            "DELETE FROM run WHERE id = ?"})
      Statement(*this, sql, doing).bind(*id).finish();
  });
}

void Results::commit_task(const std::string& run, Index task, std::span<const Value> values,
                          std::span<const std::byte> checkpoint) {
  const std::lock_guard guard(mutex_);
  transaction("cannot write task " + std::to_string(task) + " of run " + run,
              [&] { write_task(run, task, values, checkpoint); });
}

void Results::commit(std::span<const FinishedTask> tasks) {
  if (tasks.empty()) return;
  const std::lock_guard guard(mutex_);
  const FinishedTask& first = tasks[0];
  const std::string others = tasks.size() > 1 ? " and of others" : "";
  transaction("cannot write task " + std::to_string(first.task) + " of run " + first.run + others, [&] {
    for (const FinishedTask& one : tasks) write_task(one.run, one.task, one.values, one.checkpoint);
  });
}

void Results::write_task(const std::string& run, Index task, std::span<const Value> values,
                         std::span<const std::byte> checkpoint) {
  const std::string what = "task " + std::to_string(task) + " of run " + run;
  const std::string doing = "cannot write " + what;
  Statement select(*this, "SELECT id, tasks_done FROM run WHERE name = ?", doing);
  if (!select.bind(run).row()) throw std::logic_error("Results::commit_task: run " + run + " was not added");
  const Index id = select.integer(0), next = select.integer(1);
  if (task != next)
    throw std::logic_error("Results::commit_task: " + what + ", expected task " + std::to_string(next));
  for (const Value& value : values)
    if (value.task != task)
      throw std::logic_error("Results::commit_task: " + what + " has a value of " + value.metric +
                             " of task " + std::to_string(value.task));
  write_values(id, values, doing);
  write_maker(id, task, maker_, doing);
  Statement(*this, "INSERT OR REPLACE INTO checkpoint VALUES(?, ?)", doing)
      .bind(id)
      .bind(checkpoint)
      .finish();
  Statement(*this, "UPDATE run SET tasks_done = ? WHERE id = ?", doing).bind(task + 1).bind(id).finish();
}

void Results::write_values(Index id, std::span<const Value> values, const std::string& doing) {
  Statement name(*this, "INSERT OR IGNORE INTO metric(name) VALUES(?)", doing);
  Statement insert(*this, "INSERT INTO value VALUES(?, (SELECT id FROM metric WHERE name = ?), ?, ?, ?)",
                   doing);
  for (const Value& value : values) {
    name.bind(value.metric).finish();
    insert.bind(id).bind(value.metric).bind(value.task).bind(value.step).bind(value.value).finish();
  }
}

// only where it differs from that of the task before
void Results::write_maker(Index id, Index task, const std::string& maker, const std::string& doing) {
  Statement last(*this,
                 "SELECT maker.text FROM made JOIN maker ON maker.id = made.maker WHERE run = ? "
                 "ORDER BY task DESC LIMIT 1",
                 doing);
  if (last.bind(id).row() ? last.text(0) == maker : maker.empty()) return;
  Statement(*this, "INSERT OR IGNORE INTO maker(text) VALUES(?)", doing).bind(maker).finish();
  Statement(*this, "INSERT INTO made VALUES(?, ?, (SELECT id FROM maker WHERE text = ?))", doing)
      .bind(id)
      .bind(task)
      .bind(maker)
      .finish();
}

void Results::made_by(Fields maker) {
  const std::lock_guard guard(mutex_);
  maker_ = text_of(maker);
}

std::vector<std::pair<Index, Fields>> Results::makers(const std::string& run) const {
  if (!has_makers_) return {};
  const std::lock_guard guard(mutex_);
  Statement select(
      *this,
      "SELECT task, text FROM made JOIN maker ON maker.id = made.maker JOIN run ON run.id = made.run "
      "WHERE run.name = ? ORDER BY task",
      "cannot read run " + run);
  select.bind(run);
  std::vector<std::pair<Index, Fields>> makers;
  while (select.row()) makers.emplace_back(select.integer(0), maker_of(select.text(1)));
  return makers;
}

StoredRun Results::stored(const RunRecord& run) const {
  return {run, tasks_done(run.run), makers(run.run), values(run.run)};
}

Index Results::tasks_done(const std::string& run) const {
  const std::lock_guard guard(mutex_);
  Statement select(*this, "SELECT tasks_done FROM run WHERE name = ?", "cannot read run " + run);
  return select.bind(run).row() ? select.integer(0) : 0;
}

std::optional<Checkpoint> Results::checkpoint(const std::string& run) const {
  const std::lock_guard guard(mutex_);
  Statement select(
      *this, "SELECT tasks_done, state FROM run JOIN checkpoint ON checkpoint.run = run.id WHERE name = ?",
      "cannot read the checkpoint of run " + run);
  if (!select.bind(run).row()) return std::nullopt;
  return Checkpoint{select.integer(0), select.blob(1)};
}

std::vector<RunRecord> Results::runs() const {
  const std::lock_guard guard(mutex_);
  Statement select(*this,
                   "SELECT run.name, field.name, field.value FROM run LEFT JOIN field ON field.run = run.id "
                   "ORDER BY run.name, field.position",
                   "cannot read its runs");
  std::vector<RunRecord> records;
  while (select.row()) {
    const std::string run = select.text(0);
    if (records.empty() || records.back().run != run) records.push_back({run, {}});
    if (!select.null(1)) records.back().fields.emplace_back(select.text(1), select.text(2));
  }
  return records;
}

std::vector<Value> Results::values(const std::string& run) const {
  const std::lock_guard guard(mutex_);
  Statement select(*this,
                   "SELECT task, step, metric, value FROM result WHERE run = ? ORDER BY task, step, metric",
                   "cannot read the values of run " + run);
  select.bind(run);
  std::vector<Value> values;
  while (select.row())
    values.push_back({select.integer(0), select.integer(1), select.text(2), select.real(3)});
  return values;
}

std::vector<Value> Results::rows(const std::string& run, const std::string& metric) const {
  const std::lock_guard guard(mutex_);
  Statement select(*this,
                   "SELECT task, step, value FROM value WHERE run = (SELECT id FROM run WHERE name = ?) AND "
                   "metric = (SELECT id FROM metric WHERE name = ?) ORDER BY task, step",
                   "cannot read " + metric + " of run " + run);
  select.bind(run).bind(metric);
  std::vector<Value> rows;
  while (select.row()) rows.push_back({select.integer(0), select.integer(1), metric, select.real(2)});
  return rows;
}

std::vector<double> Results::curve(const std::string& run, const std::string& metric, Index tasks) const {
  const std::lock_guard guard(mutex_);
  Statement select(*this,
                   "SELECT task, value FROM value WHERE run = (SELECT id FROM run WHERE name = ?) AND "
                   "metric = (SELECT id FROM metric WHERE name = ?) AND task < ? ORDER BY task, step",
                   "cannot read " + metric + " of run " + run);
  select.bind(run).bind(metric).bind(tasks);
  std::vector<double> curve;
  while (select.row()) {
    curve.resize(static_cast<std::size_t>(select.integer(0)) + 1, std::numeric_limits<double>::quiet_NaN());
    curve.back() = select.real(1);  // a later step of the task takes the place of an earlier one
  }
  return curve;
}

void Results::for_each_value(
    const std::function<void(const std::string& run, const Value&)>& function) const {
  for (const RunRecord& record : runs())
    for (const Value& value : values(record.run)) function(record.run, value);
}

}  // namespace paper
