#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <ostream>
#include <stdexcept>
#include <string_view>

#include "runs/results.hpp"

namespace paper {
namespace {

constexpr std::array<std::string_view, 6> words = {"problem",     "network",  "activation",
                                                   "regularizer", "strength", "seed"};

struct Source {  // a run, and the file that it is taken from
  RunRecord record;
  const Results* file;
  Index tasks;
};

// the run's fields, the tasks that are done, and what made them
Fields described(const Source& source) {
  Fields all = source.record.fields;
  const auto makers = source.file->makers(source.record.run);
  if (makers.empty()) return all;
  all.emplace_back("tasks", std::to_string(source.tasks));
  Fields joined;
  for (const auto& [task, maker] : makers)
    for (const auto& [name, value] : maker) {
      const auto place = std::find_if(joined.begin(), joined.end(),
                                      [&, name = name](const auto& entry) { return entry.first == name; });
      if (place == joined.end())
        joined.emplace_back(name, value);
      else if (place->second != value && !place->second.ends_with(" | " + value))
        place->second += " | " + value;  // continued by another
    }
  all.insert(all.end(), joined.begin(), joined.end());
  return all;
}

std::vector<Source> sources(std::span<const Results* const> files) {  // by name
  std::map<std::string, Source> found;
  for (const Results* file : files) {
    for (RunRecord& record : file->runs()) {
      const Index tasks = file->tasks_done(record.run);
      const std::string run = record.run;
      const auto place = found.find(run);
      if (place == found.end() || place->second.tasks < tasks)
        found.insert_or_assign(run, Source{std::move(record), file, tasks});
    }
  }
  std::vector<Source> result;
  result.reserve(found.size());
  for (auto& [run, source] : found) result.push_back(std::move(source));
  return result;
}

std::string csv_word(std::string_view text) {  // RFC 4180
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string result = "\"";
  for (const char c : text) result.append(c == '"' ? 2 : 1, c);
  return result + '"';
}

std::string shortest(double value) {    // reads back as the same double
  if (std::isnan(value)) return "nan";  // to_chars knows a -nan too
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string_view field(const RunRecord& record, std::string_view name) {
  const auto found = std::find_if(record.fields.begin(), record.fields.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == record.fields.end() ? std::string_view() : found->second;
}

void write(std::ostream& out, const std::string& text, const char* caller) {
  if (!out.write(text.data(), static_cast<std::streamsize>(text.size())).flush())
    throw std::runtime_error(std::string(caller) + ": cannot write to the output");
}

}  // namespace

void export_csv(std::ostream& out, std::span<const Results* const> files) {
  std::string text = "run";
  for (const auto word : words) text += "," + std::string(word);
  write(out, text + ",task,step,metric,value\n", "export_csv");
  for (const Source& source : sources(files)) {
    std::string begin = csv_word(source.record.run);
    for (const auto word : words) begin += "," + csv_word(field(source.record, word));
    text.clear();
    for (const Value& value : source.file->values(source.record.run))
      text += begin + "," + std::to_string(value.task) + "," + std::to_string(value.step) + "," +
              csv_word(value.metric) + "," + shortest(value.value) + "\n";
    write(out, text, "export_csv");
  }
}

void export_runs_csv(std::ostream& out, std::span<const Results* const> files) {
  auto all = sources(files);
  for (Source& source : all) source.record.fields = described(source);
  std::vector<std::string> names;
  for (const Source& source : all)
    for (const auto& [name, value] : source.record.fields)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::string text = "run";
  for (const auto& name : names) text += "," + csv_word(name);
  text += "\n";
  for (const Source& source : all) {
    text += csv_word(source.record.run);
    for (const auto& name : names) text += "," + csv_word(field(source.record, name));
    text += "\n";
  }
  write(out, text, "export_runs_csv");
}

void export_csv(std::ostream& out, const Results& file) {
  const Results* const files[] = {&file};
  export_csv(out, files);
}

void export_runs_csv(std::ostream& out, const Results& file) {
  const Results* const files[] = {&file};
  export_runs_csv(out, files);
}

}  // namespace paper
