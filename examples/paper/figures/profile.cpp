#include <algorithm>
#include <stdexcept>

#include "figures/figure.hpp"

// The sizes. Costs at the profile `demo` are of one core with AVX-512: measured for fully connected networks;
// estimated for the others, from the time of one network's update in LibTorch (convolutional at batch 64 of
// 16 x 16 pixels 5.2 ms, ResNet18 at batch 64 of 32 x 32 .30 s, a sort of 170,000 parameters 15 ms, of 11
// million 1 s), without what batching several networks may save.
//
//   network                      seconds a run: no sort   Wasserstein   all figures' runs   together
//   fully connected                                 2       5 (a)             180 (b)        12 min
//   convolutional                                  19      73                  96            52 min
//   ResNet18                                      180     240                   4            14 min
//   (a) 6 with the penalty of the feature rank   (b) and 45 of Figure 7, 6 min; 10 with exact Hessians
//
// `run all --profile demo` is so expected to take about 45 minutes on two cores.
namespace paper {

namespace {

enum class Size { smoke, demo, medium, paper };  // in the order of profile_names

// Fully connected networks on MNIST. The paper's own sizes: section 3, appendices B.1, B.2, C.9.
void mlp(Size size, const Setting& setting, Profile& profile) {
  Configuration& c = profile.configuration;
  profile.sweeps["depth"] = {{2, 4, 6, 8}, {{"width", "800"}}};
  profile.sweeps["width"] = {{100, 200, 400, 800, 1600}, {{"depth", "4"}}};
  profile.sweeps["epochs"] = {{25, 50, 100, 200, 400}};
  if (size == Size::smoke) {
    c.pool = 2, c.images = 128, c.width = 32, c.batch = 32, c.learning_rate = 2e-3, c.epochs = 80;
    profile.tasks = 30;
    profile.sweeps["width"].values = {8, 16, 32, 64};
    profile.sweeps["depth"].fixed = {{"width", "32"}};
    profile.sweeps["epochs"].values = {20, 40, 80, 160};
  } else if (size == Size::demo) {
    c.pool = 2, c.images = 192, c.width = 64, c.batch = 64, c.epochs = 120;
    profile.sweeps["width"].values = {16, 32, 64, 128, 256};
    profile.sweeps["depth"].fixed = {{"width", "128"}};
    profile.sweeps["epochs"].values = {15, 30, 60, 120, 240};
  } else if (size == Size::medium) {
    c.pool = 2, c.images = 512, c.width = 128, c.batch = 128, c.epochs = 200;
    profile.strengths = {.001, .005}, profile.tasks = 36, profile.seeds = 3;
    profile.sweeps["width"].values = {32, 64, 128, 256, 512};
    profile.sweeps["depth"].fixed = {{"width", "256"}};
  } else {
    profile.seeds = 30;
    profile.strengths = {.005, .001, .0005};
    if (!setting.subset) c.images = 51200, profile.tasks = 50;
    if (setting.problem == "permuted_mnist") profile.strengths = {.01, .005, .001, .0005};
  }
  if (setting.problem == "projected_mnist") {  // appendix C.2: every matrix over the whole subset
    c.pool = 1, c.curvature = "exact", c.rank_samples = c.images;
    c.width = size == Size::smoke ? 8 : size == Size::demo ? 16 : size == Size::medium ? 24 : 32;
  }
}

// The paper's convolutional network (appendix B.3). For random labels 38400 images of CIFAR-10, for Continual
// ImageNet 600 of each of two classes (Dohare et al.).
void cnn(Size size, const Setting& setting, Profile& profile) {
  Configuration& c = profile.configuration;
  const bool imagenet = setting.problem == "continual_imagenet";
  if (size == Size::smoke) {
    c.pool = 2, c.images = 32, c.batch = 16, c.epochs = 3, c.rank_samples = 16;
    profile.tasks = 6, profile.seeds = 2;
  } else if (size == Size::demo) {
    c.pool = 2, c.images = 192, c.batch = 64, c.epochs = 60, c.rank_samples = 192;
    profile.tasks = 20, profile.seeds = 3;
  } else if (size == Size::medium) {
    c.images = imagenet ? 400 : 512, c.batch = 128, c.epochs = 100;
    profile.strengths = {.001, .005}, profile.tasks = 30, profile.seeds = 3;
  } else {
    c.images = imagenet ? 1200 : 38400, c.epochs = imagenet ? 250 : 200;
    profile.strengths = {.01, .005, .001, .0005};
    profile.tasks = imagenet ? 500 : 50, profile.seeds = 30;
  }
}

// Figure 8: 20 epochs a task. 11 million parameters are sorted at every update of the Wasserstein
// regulariser; below the profile `paper` at every tenth only.
void resnet(Size size, const Setting&, Profile& profile) {
  Configuration& c = profile.configuration;
  c.epochs = 20;
  if (size == Size::smoke) {
    c.pool = 2, c.images = 16, c.batch = 8, c.epochs = 2, c.rank_samples = 8, c.resort_every = 10;
    profile.tasks = 6, profile.seeds = 1;
  } else if (size == Size::demo) {
    c.images = 128, c.batch = 64, c.rank_samples = 128, c.resort_every = 10;
    profile.tasks = 15, profile.seeds = 2;
  } else if (size == Size::medium) {
    c.images = 256, c.batch = 64, c.resort_every = 10;
    profile.tasks = 25, profile.seeds = 3;
  } else {
    c.images = 38400;
    profile.tasks = 50, profile.seeds = 30;
  }
}

}  // namespace

Profile profile_of(const std::string& name, const Setting& setting) {
  if (setting.own) return *setting.own;
  const auto place = std::find(profile_names.begin(), profile_names.end(), name);
  if (place == profile_names.end())
    throw std::invalid_argument("profile \"" + name + "\", expected one of smoke, demo, medium, paper");
  const auto size = static_cast<Size>(place - profile_names.begin());
  static const std::map<std::string, void (*)(Size, const Setting&, Profile&)> of_networks{
      {"mlp", mlp}, {"cnn", cnn}, {"resnet18", resnet}};
  Profile profile{.configuration = {}, .strengths = {.005}, .tasks = 40, .seeds = 5, .sweeps = {}};
  profile.configuration.problem = setting.problem;
  profile.configuration.architecture = setting.architecture;
  of_networks.at(setting.architecture)(size, setting, profile);
  // appendices B.1 to B.4; Figure 2 has no strengths in the paper
  const bool labels = setting.problem == "random_label_mnist";
  profile.sweeps["strength"].values =
      labels ? std::vector{.0005, .001, .005} : std::vector{.0005, .001, .005, .01};
  profile.sweeps["feature_rank"].values = {.001, .01, .1};
  profile.tasks *= setting.longer;
  return profile;
}

}  // namespace paper
