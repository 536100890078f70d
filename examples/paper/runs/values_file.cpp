#include "runs/values_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace paper {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* format = "sagitta-paper values";
constexpr int version = 1;

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
  throw std::runtime_error(file.string() + ": " + what +
                           ", expected values as sagitta-paper publish writes them");
}

std::string unpack(const std::filesystem::path& file) {
  const gzFile stream = gzopen(file.c_str(), "rb");
  if (stream == nullptr) fail(file, "cannot be opened");
  std::string text;
  char buffer[1 << 16];
  int count = 0;
  while ((count = gzread(stream, buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<std::size_t>(count));
  int code = Z_OK;
  const std::string message = gzerror(stream, &code);
  const bool whole = gzclose_r(stream) == Z_OK && count == 0 && code == Z_OK;
  if (!whole) fail(file, "is damaged or cut short (" + message + ")");
  return text;
}

Json pairs(const Fields& fields) {
  Json result = Json::array();
  for (const auto& [name, value] : fields) result.push_back({name, value});
  return result;
}

Fields fields_of(const Json& pairs) {
  Fields fields;
  for (const Json& pair : pairs)
    fields.emplace_back(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
  return fields;
}

Json line_of(const StoredRun& run, const std::vector<Fields>& makers) {
  Json line{{"run", run.record.run}, {"tasks", run.tasks_done}, {"fields", pairs(run.record.fields)}};
  line["made"] = Json::array();
  for (const auto& [task, maker] : run.makers)
    line["made"].push_back({task, std::find(makers.begin(), makers.end(), maker) - makers.begin()});
  std::map<std::string, Json> values;
  for (const Value& value : run.values) {
    Json& columns = values[value.metric];
    columns["task"].push_back(value.task);
    columns["step"].push_back(value.step);
    columns["value"].push_back(std::isfinite(value.value) ? Json(value.value) : Json(nullptr));
  }
  line["values"] = Json::object();
  for (auto& [metric, columns] : values) line["values"][metric] = std::move(columns);
  return line;
}

StoredRun run_of(const Json& line, const std::vector<Fields>& makers) {
  StoredRun run{{line.at("run").get<std::string>(), fields_of(line.at("fields"))},
                line.at("tasks").get<Index>(),
                {},
                {}};
  for (const Json& made : line.at("made"))
    run.makers.emplace_back(made.at(0).get<Index>(), makers.at(made.at(1).get<std::size_t>()));
  for (const auto& [metric, columns] : line.at("values").items()) {
    const Json &task = columns.at("task"), &step = columns.at("step"), &value = columns.at("value");
    if (step.size() != task.size() || value.size() != task.size())
      throw std::runtime_error("the columns of " + metric + " are not equally long");
    for (std::size_t i = 0; i < task.size(); ++i)
      run.values.push_back(
          {task[i].get<Index>(), step[i].get<Index>(), metric,
           value[i].is_null() ? std::numeric_limits<double>::quiet_NaN() : value[i].get<double>()});
  }
  return run;
}

}  // namespace

bool is_values_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return stream.get() == 0x1f && stream.get() == 0x8b;
}

std::vector<StoredRun> read_values(const std::filesystem::path& file) {
  const std::string text = unpack(file);
  std::vector<StoredRun> runs;
  try {
    std::size_t start = text.find('\n');
    const Json head = Json::parse(text.begin(), start == std::string::npos
                                                    ? text.end()
                                                    : text.begin() + static_cast<std::ptrdiff_t>(start));
    if (head.at("format") != format || head.at("version") != version)
      throw std::runtime_error("format " + head.at("format").dump() + " of version " +
                               head.at("version").dump());
    std::vector<Fields> makers;
    for (const Json& maker : head.at("makers")) makers.push_back(fields_of(maker));
    while (start != std::string::npos && start + 1 < text.size()) {
      const std::size_t end = text.find('\n', start + 1);
      const auto at = [&](std::size_t i) {
        return text.begin() + static_cast<std::ptrdiff_t>(std::min(i, text.size()));
      };
      runs.push_back(run_of(Json::parse(at(start + 1), at(end)), makers));
      start = end;
    }
    if (runs.size() != head.at("runs").get<std::size_t>())
      throw std::runtime_error(std::to_string(runs.size()) + " of " + head.at("runs").dump() + " runs");
  } catch (const std::exception& error) {
    fail(file, std::string("holds ") + error.what());
  }
  return runs;
}

void write_values(const std::filesystem::path& file, const std::vector<StoredRun>& runs) {
  std::vector<Fields> makers;
  for (const StoredRun& run : runs)
    for (const auto& [task, maker] : run.makers)
      if (std::find(makers.begin(), makers.end(), maker) == makers.end()) makers.push_back(maker);
  Json head{{"format", format}, {"version", version}, {"runs", runs.size()}};
  head["makers"] = Json::array();
  for (const Fields& maker : makers) head["makers"].push_back(pairs(maker));
  std::string text = head.dump() + "\n";
  for (const StoredRun& run : runs) text += line_of(run, makers).dump() + "\n";
  const std::string beside = file.string() + ".new";
  const gzFile stream = gzopen(beside.c_str(), "wb9");
  bool good = stream != nullptr && gzwrite(stream, text.data(), static_cast<unsigned>(text.size())) ==
                                       static_cast<int>(text.size());
  if (stream != nullptr) good = gzclose_w(stream) == Z_OK && good;
  std::error_code error;
  if (good) std::filesystem::rename(beside, file, error);
  if (!good || error) {
    std::filesystem::remove(beside, error);
    throw std::runtime_error(file.string() + ": cannot be written");
  }
}

}  // namespace paper
