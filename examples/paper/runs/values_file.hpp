#pragma once

#include <filesystem>
#include <vector>

#include "runs/results.hpp"

// Values to be kept and given away: a compressed file of text, without the states that runs continue from.
// Results opens such a file to read as it opens SQLite.
//
// gzip of JSON, a line each. First {"format": "sagitta-paper values", "version": 1, "runs": N, "makers":
// [{"commit": ...}, ...]}, then a line a run: {"run": name, "tasks": done, "fields": [[name, value], ...],
// "made": [[first task, number of the maker], ...], "values": {metric: {"task": [...], "step": [...],
// "value":
// [...]}, ...}}, null for NaN. The same runs give the same bytes.
namespace paper {

// whether the file begins as gzip does
bool is_values_file(const std::filesystem::path& file);

// std::runtime_error naming the file: one that cannot be read, is cut short, or is not as above
std::vector<StoredRun> read_values(const std::filesystem::path& file);

// Beside the file, then renamed. std::runtime_error where it cannot be written.
void write_values(const std::filesystem::path& file, const std::vector<StoredRun>& runs);

}  // namespace paper
