#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <set>
#include <thread>

#include "data/find_data.hpp"
#include "figures/report.hpp"
#include "learners/learner.hpp"
#include "runs/training_threads.hpp"

// sagitta-paper: the paper's experiments from the command line. See `sagitta-paper --help`.
namespace {

using namespace paper;

// the status of a run that --max-hours ended: EX_TEMPFAIL of sysexits.h, "try again"
constexpr int more_to_train = 75;

std::atomic<bool> stop{false};
std::atomic<int> stop_signal{0};

void on_signal(int number) {
  stop = true;
  stop_signal = number;
}

struct Options {
  Choice choice;
  std::vector<std::string> figures;
  std::vector<std::string> results{"results.sqlite"};
  std::string data, output = ".";
  std::string learner = "auto", device = "cpu";
  double max_hours = 0;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  bool resume = true, dry_run = false, runs = false;
  std::map<std::string, std::string> overrides;
};

std::vector<const Figure*> chosen(const Options& options) {
  std::vector<const Figure*> result;
  for (const std::string& name : options.figures)
    if (name == "all")
      for (const Figure& figure : figures()) result.push_back(&figure);
    else
      result.push_back(&find_figure(name));
  return result;
}

bool named_all(const Options& options) {
  return std::find(options.figures.begin(), options.figures.end(), "all") != options.figures.end();
}

// The settings of figures that can be run: reason(setting) says why one cannot, or nothing. What is left out
// is said, and is an error where a figure that was named has nothing else.
template <class Reason>
std::vector<PlannedSetting> runnable(const std::vector<const Figure*>& figures, const Options& options,
                                     const DataOf& data, Reason reason, bool say) {
  std::vector<PlannedSetting> all;
  std::set<std::string> reasons;
  bool any = false;
  for (const Figure* figure : figures) {
    std::string why;
    std::size_t kept = 0, planned = 0;
    for (PlannedSetting& setting : plan(*figure, options.choice, data)) {
      ++planned;
      const std::string problem = reason(setting);
      if (problem.empty()) {
        ++kept;
        all.push_back(std::move(setting));
        continue;
      }
      why = problem;
      if (say)
        std::cerr << figure->name << ", " << setting.setting.title << ": left out: " << problem << '\n';
    }
    any = any || planned > 0;
    if (kept == 0 && planned > 0 && !named_all(options)) throw std::runtime_error(figure->name + ": " + why);
  }
  if (!any) throw std::invalid_argument("no figure has the problem that is asked for");
  return all;
}

// "" where this program has a learner for the runs of a setting
std::string no_learner(const PlannedSetting& setting) {
  const std::string& architecture = setting.series.front().runs.front().configuration.architecture;
  if (has_learner(architecture)) return "";
  return architecture +
         " needs the LibTorch learner, which this program was built without; build with "
         "-DSAGITTA_WITH_LIBTORCH=ON "
         "and LibTorch on CMAKE_PREFIX_PATH";
}

int run(const Options& options) {
  const std::vector<const Figure*> wanted = chosen(options);
  // a first plan checks the words of the command line before data is looked for
  std::set<std::string> problems;
  const auto any_data = [](const std::string&) { return std::string("any"); };
  for (const PlannedSetting& setting : runnable(wanted, options, any_data, no_learner, false))
    problems.insert(setting.setting.problem);
  const FoundData found = find_data(options.data, problems, std::cerr);
  DataLibrary data(found.folders);
  const auto no_learner_or_data = [&](const PlannedSetting& setting) {
    const auto missing = found.missing.find(setting.setting.problem);
    return missing == found.missing.end() ? no_learner(setting) : missing->second;
  };
  const auto data_of = [&](const std::string& problem) {
    return found.missing.contains(problem) || !problems.contains(problem) ? "any" : data.identity(problem);
  };
  const std::vector<PlannedSetting> settings = runnable(wanted, options, data_of, no_learner_or_data, true);
  std::set<std::string> said;
  for (const PlannedSetting& setting : settings)
    for (const std::string& remark :
         remarks(setting.series.front().runs.front().configuration, setting.tasks, data))
      if (said.insert(remark).second) std::cerr << remark << '\n';
  const std::vector<PlannedRun> runs = all_runs(settings);
  const Share share = share_of_environment();
  const std::vector<PlannedRun> mine = part(runs, share);
  const RunnerOptions how{options.threads, isatty(STDERR_FILENO) == 1, options.learner, options.device,
                          options.max_hours};
  if (share.size > 1)
    std::cerr << "rank " << share.rank << " of " << share.size << ": " << mine.size() << " of " << runs.size()
              << " runs\n";
  if (options.dry_run) {
    const Estimate cost = estimate(mine, data, how);
    std::cout << cost.runs << " runs, " << cost.tasks << " tasks, " << cost.updates << " updates, "
              << cost.flops << " floating-point operations of training; about " << duration(cost.seconds)
              << " on " << options.device << " with " << options.threads << " threads\n";
    return 0;
  }
  groups_of(mine, how);  // its errors come before there is a file of results
  const std::string file = file_of_rank(options.results.front(), share);
  Results results(file, Results::Access::write);
  if (!options.resume)
    for (const PlannedRun& one : mine) results.forget_run(run_name(one.configuration));
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  const bool complete = run_all(mine, data, results, how, std::cerr, stop);
  std::cerr << "results: " << file << '\n';
  return stop ? 128 + stop_signal.load() : complete ? 0 : more_to_train;
}

Archive open_archive(const Options& options) {
  std::vector<std::unique_ptr<Results>> files;
  for (const std::string& file : options.results)
    files.push_back(std::make_unique<Results>(file, Results::Access::read));
  return Archive(std::move(files));
}

// Calls work(figure, settings) for each figure with the data set of its runs chosen.
template <class Work>
void for_each_figure(const Options& options, Archive& archive, Work work) {
  for (const Figure* figure : chosen(options)) {
    const std::vector<PlannedSetting> settings = plan(*figure, options.choice, "any");
    if (settings.empty()) continue;
    if (!archive.choose_data(all_runs(settings))) {
      if (named_all(options)) {
        std::cerr << figure->name << ": no results yet\n";
        continue;
      }
      throw std::runtime_error(figure->name + " has no results yet at profile " + options.choice.profile +
                               " in " + options.results.front() + "; first: sagitta-paper run " +
                               figure->name);
    }
    work(*figure, settings);
  }
}

int list() {
  for (const Figure& figure : figures()) {
    std::cout << figure.name << ": " << figure.title << '\n';
    for (const Setting& setting : figure.settings)
      std::cout << "    problem " << setting.problem << ", " << setting.title << '\n';
    std::cout << "    conditions";
    for (const Condition& condition : figure.conditions)
      std::cout << (&condition == figure.conditions.data() ? " " : ", ") << label(condition);
    std::cout << "\n    panels";
    for (const Panel& panel : figure.panels)
      std::cout << (&panel == figure.panels.data() ? " " : ", ") << panel.metric;
    std::cout << '\n';
  }
  return 0;
}

int export_values(const Options& options) {
  const Archive archive = open_archive(options);
  std::vector<const Results*> files;
  for (const auto& file : archive.files()) files.push_back(file.get());
  if (options.runs)
    export_runs_csv(std::cout, files);
  else
    export_csv(std::cout, files);
  return 0;
}

void add_choice(CLI::App& command, Options& options) {
  command.add_option("--profile", options.choice.profile, "smoke, demo, medium or paper")
      ->capture_default_str();
  command.add_option("--tasks", options.choice.tasks, "number of tasks, else the profile's")
      ->check(CLI::PositiveNumber);
  command.add_option("--seeds", options.choice.seeds, "number of seeds, else the profile's")
      ->check(CLI::PositiveNumber);
  command.add_option("--problem", options.choice.problems, "only these problems of the figures");
  // what a figure varies itself is not for the command line
  for (const std::string& name : field_names()) {
    if (name == "problem" || name == "activation" || name == "regularizer" || name == "strength" ||
        name == "seed")
      continue;
    std::string option = "--" + name;
    std::replace(option.begin(), option.end(), '_', '-');
    command.add_option(option, options.overrides[name], "instead of the profile's")->group("Configuration");
  }
}

CLI::App* add_figures(CLI::App& app, Options& options, const std::string& name,
                      const std::string& description, bool required = true) {
  CLI::App* command = app.add_subcommand(name, description);
  command
      ->add_option("figures", options.figures, required ? "fig1, ... or all" : "fig1, ...; else all there is")
      ->required(required);
  add_choice(*command, options);
  return command;
}

// What the results hold of every figure, at the profile that is asked for or at all of them.
int status_of_all(Options options, Archive& archive, bool any_profile) {
  bool any = false;
  for (const std::string& profile : any_profile ? profile_names : std::vector{options.choice.profile}) {
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

int main_(int count, char** arguments) {
  Options options;
  CLI::App app{"The experiments of \"Directions of Curvature as an Explanation for Loss of Plasticity\""};
  app.require_subcommand(1);
  const auto results = [&](CLI::App* command, bool several) {
    auto* option = command->add_option("--results", options.results, "SQLite file of the results")
                       ->capture_default_str();
    if (!several) option->expected(1);
    return command;
  };
  CLI::App* list_command = app.add_subcommand("list", "List the figures");
  CLI::App* run_command = results(add_figures(app, options, "run", "Train the networks of figures"), false);
  run_command->footer(
      "Exit status: 0 when all is trained, " + std::to_string(more_to_train) +
      " when --max-hours ended it before (submit the same command again), 128 + n when signal n did, else an "
      "error.");
  run_command->add_option("--data", options.data,
                          "folder with mnist/, cifar10/, imagenet32/, or \"synthetic\"; else SAGITTA_DATA, a "
                          "download, pictures of our own");
  run_command
      ->add_option("--learner", options.learner,
                   "eigen (CPU, fully connected), torch (batched networks), or auto: the faster one")
      ->capture_default_str();
  run_command->add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str();
  run_command->add_option("--max-hours", options.max_hours, "stop after so long; the same command continues")
      ->check(CLI::PositiveNumber);
  run_command->add_option("--threads", options.threads, "runs at a time; the numbers do not depend on it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  run_command->add_flag("--resume,!--no-resume", options.resume, "continue what was begun, or train it anew");
  run_command->add_flag("--dry-run", options.dry_run, "only say how much would be run");
  CLI::App* status_command =
      results(add_figures(app, options, "status", "Say which runs are complete", false), true);
  CLI::App* plot_command = results(add_figures(app, options, "plot", "Draw figures as PNG and SVG"), true);
  plot_command->add_option("--output", options.output, "folder for the pictures")->capture_default_str();
  CLI::App* check_command = results(add_figures(app, options, "check", "Judge the paper's claims"), true);
  CLI::App* export_command =
      results(app.add_subcommand("export", "Write all values as CSV to standard output"), true);
  export_command->add_flag("--runs", options.runs, "the runs' configurations instead");
  CLI11_PARSE(app, count, arguments);
  for (const auto& [name, text] : options.overrides)
    if (!text.empty()) options.choice.overrides.emplace_back(name, text);

  if (*list_command) return list();
  if (*run_command) return run(options);
  if (*export_command) return export_values(options);
  Archive archive = open_archive(options);
  if (*status_command && options.figures.empty())
    return status_of_all(options, archive, status_command->count("--profile") == 0);
  bool judged = true;
  for_each_figure(options, archive, [&](const Figure& figure, const std::vector<PlannedSetting>& settings) {
    if (*status_command) status(figure, settings, archive, std::cout);
    if (*plot_command)
      std::cout << draw(figure, options.choice, settings, archive, options.output).string() << '\n';
    if (*check_command) judged = check(figure, settings, archive, std::cout) && judged;
  });
  return judged ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file at the limit of its size is an error of writing it, no sudden end
  try {
    const int status = main_(count, arguments);
    if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
    return status;
  } catch (const std::exception& error) {
    std::cerr << "sagitta-paper: " << error.what() << '\n';
    return 1;
  }
}
