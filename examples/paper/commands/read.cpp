#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>

#include "commands/files.hpp"
#include "figures/experiment.hpp"
#include "figures/report.hpp"

// The commands that read what runs have left behind.
namespace paper {

bool Options::named_all() const { return std::find(figures.begin(), figures.end(), "all") != figures.end(); }

std::vector<const Figure*> chosen(Options& options) {
  std::vector<const Figure*> result;
  for (const std::string& name : options.figures)
    if (name == "all")
      for (const Figure& figure : figures()) result.push_back(&figure);
    else if (name.ends_with(".json"))
      result.push_back(&options.own.emplace_back(read_experiment(name)));
    else
      result.push_back(&find_figure(name));
  return result;
}

std::vector<std::string> files_of_values(const Options& options) {
  std::vector<std::string> files;
  for (const std::string& place : options.values) {
    if (!std::filesystem::is_directory(place)) {
      files.push_back(place);
      continue;
    }
    std::set<std::string> inside;
    for (const auto& entry : std::filesystem::directory_iterator(place))
      if (entry.path().string().ends_with(".json.gz")) inside.insert(entry.path().string());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

Archive open_archive(const Options& options, bool with_values) {
  std::vector<std::unique_ptr<Results>> files;
  const std::vector<std::string> values = with_values ? files_of_values(options) : std::vector<std::string>{};
  for (const std::string& file : options.results)
    if (options.results_given || values.empty() || std::filesystem::exists(file))
      files.push_back(std::make_unique<Results>(file, Results::Access::read));
  for (const std::string& file : values)
    files.push_back(std::make_unique<Results>(file, Results::Access::read));
  return Archive(std::move(files));
}

namespace {

// Without --profile: that of which the results have something of the figure, else the files of values.
// std::runtime_error where there are several; the default where there is none.
std::string profile_for(const Figure& figure, const Options& options, const std::vector<Archive*>& archives) {
  if (options.profile_given || figure.has_own_size()) return options.choice.profile;
  for (Archive* archive : archives) {
    const std::vector<std::string> found = archive->profiles_of(figure, options.choice);
    if (found.size() == 1) return found.front();
    if (found.empty()) continue;
    std::string names;
    for (const std::string& one : found) names += (names.empty() ? "" : ", ") + one;
    throw std::runtime_error(figure.name + " has results at several profiles; --profile is one of " + names);
  }
  return options.choice.profile;
}

// Calls work(figure, choice, settings, archive) for each figure, with the data set of its runs chosen.
template <class Work>
void for_each_figure(Options& options, Work work) {
  Archive archive = open_archive(options, true);
  std::optional<Archive> own;  // the results alone
  if (std::all_of(options.results.begin(), options.results.end(),
                  [](const std::string& file) { return std::filesystem::exists(file); }))
    own.emplace(open_archive(options, false));
  std::vector<Archive*> archives;
  if (own) archives.push_back(&*own);
  archives.push_back(&archive);
  for (const Figure* figure : chosen(options)) {
    Choice choice = options.choice;
    choice.profile = profile_for(*figure, options, archives);
    const std::vector<PlannedSetting> settings = plan(*figure, choice, "any");
    if (settings.empty()) continue;
    if (!archive.choose_data(all_runs(settings))) {
      if (options.named_all()) {
        std::cerr << figure->name << ": no results yet\n";
        continue;
      }
      throw std::runtime_error(figure->name + " has no results yet" +
                               (figure->has_own_size() ? "" : " at profile " + choice.profile) + " in " +
                               options.results.front() + "; first: sagitta-paper run " + figure->name);
    }
    work(*figure, choice, settings, archive);
  }
}

// What the results hold of every figure, at the profile that is asked for or at all of them.
int status_of_all(Options& options) {
  Archive archive = open_archive(options, true);
  bool any = false;
  for (const std::string& profile :
       options.profile_given ? std::vector{options.choice.profile} : profile_names) {
    options.choice.profile = profile;
    for (const Figure& figure : figures()) {
      const std::vector<PlannedSetting> settings = plan(figure, options.choice, "any");
      if (settings.empty() || !archive.choose_data(all_runs(settings))) continue;
      std::cout << "profile " << profile << ", ";
      status(figure, settings, archive, std::cout);
      any = true;
    }
  }
  if (!any) std::cout << "no figure has results yet\n";
  return 0;
}

// "Error at the end of a task (error)"
std::string name_of(const Panel& panel) {
  std::string shown = panel.metric;
  for (const Line& line : panel.lines)
    if (shown.find(line.metric) == std::string::npos) shown += (shown.empty() ? "" : ", ") + line.metric;
  return panel.title + " (" + shown + ")";
}

}  // namespace

int list(Options& options) {
  if (options.figures.empty()) options.figures = {"all"};
  for (const Figure* figure : chosen(options)) {
    std::cout << figure->name << ": " << figure->title << '\n';
    for (const Setting& setting : figure->settings)
      std::cout << "    problem " << setting.problem << ", " << setting.title << '\n';
    std::cout << "    conditions";
    for (const Condition& condition : figure->conditions)
      std::cout << (&condition == figure->conditions.data() ? " " : ", ") << label(condition);
    std::cout << "\n    panels";
    for (const Panel& panel : figure->panels)
      std::cout << (&panel == figure->panels.data() ? " " : "; ") << name_of(panel);
    std::cout << '\n';
  }
  return 0;
}

int show(Options& options) {
  for (const Figure* figure : chosen(options)) std::cout << show(*figure, options.choice.profile);
  return 0;
}

int status(Options& options) {
  if (options.figures.empty()) return status_of_all(options);
  for_each_figure(options, [](const Figure& figure, const Choice&, const auto& settings,
                              const Archive& archive) { status(figure, settings, archive, std::cout); });
  return 0;
}

int plot(Options& options) {
  for_each_figure(
      options, [&](const Figure& figure, const Choice& choice, const auto& settings, const Archive& archive) {
        std::cout << draw(figure, choice, settings, archive, options.output).string() << '\n';
      });
  return 0;
}

int check(Options& options) {
  bool judged = true;
  for_each_figure(options,
                  [&](const Figure& figure, const Choice&, const auto& settings, const Archive& archive) {
                    judged = check(figure, settings, archive, options.verbose, std::cout) && judged;
                  });
  return judged ? 0 : 1;
}

int export_values(Options& options) {
  const Archive archive = open_archive(options, false);
  std::vector<const Results*> files;
  for (const auto& file : archive.files()) files.push_back(file.get());
  if (options.runs)
    export_runs_csv(std::cout, files);
  else
    export_csv(std::cout, files);
  return 0;
}

int publish(Options& options) {
  Fields made_by;
  for (const std::string& text : options.made_by) {
    const std::size_t at = text.find('=');
    if (at == std::string::npos || at == 0)
      throw std::invalid_argument("--made-by is \"" + text + "\", expected name=value");
    made_by.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  std::map<std::string, std::vector<PlannedSetting>> by_profile;
  Archive archive = open_archive(options, false);
  std::set<std::string> written;
  for (const Figure* figure : chosen(options)) {
    std::vector<std::string> profiles{figure->name};
    if (!figure->has_own_size())
      profiles = options.profile_given ? std::vector{options.choice.profile}
                                       : archive.profiles_of(*figure, options.choice);
    for (const std::string& profile : profiles) {
      Choice choice = options.choice;
      if (!figure->has_own_size()) choice.profile = profile;
      const auto settings = plan(*figure, choice, "any");
      if (!archive.choose_data(all_runs(settings))) continue;
      for (const auto& file : publish(profile, settings, archive, made_by, options.output))
        written.insert(file.string());
    }
  }
  if (written.empty()) throw std::runtime_error("publish: no run of these figures is complete");
  for (const std::string& file : written) std::cout << file << '\n';
  return 0;
}

}  // namespace paper
