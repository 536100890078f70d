#include "data/problem.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "catch.hpp"
#include "data/random.hpp"
#include "runs/fields.hpp"

using namespace paper;

namespace {

Configuration of(const std::string& problem) {
  Configuration c;
  c.problem = problem, c.images = 500, c.pool = 2;
  return c;
}

std::vector<int> sorted(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("random labels: the images stay, the labels are dealt out anew", "[paper]") {
  DataLibrary data;
  const auto problem = make_problem(of("random_label_mnist"), data);
  const Task first = problem->task(0), second = problem->task(1), again = problem->task(1);
  CHECK(first.inputs->rows() == 196);
  CHECK(first.size() == 500);
  CHECK(first.classes == 10);
  CHECK(first.inputs == second.inputs);  // one matrix, shared
  CHECK(first.labels != second.labels);
  CHECK(second.labels == again.labels);
  CHECK(sorted(first.labels) == sorted(second.labels));  // class counts are kept

  Configuration unchanged = of("random_label_mnist");
  unchanged.first_task = "unchanged";
  const Task own = make_problem(unchanged, data)->task(0);
  CHECK(own.labels != first.labels);
  CHECK(sorted(own.labels) == sorted(first.labels));
  CHECK(make_problem(unchanged, data)->task(1).labels == second.labels);

  Configuration iid = of("random_label_mnist");
  iid.label_change = "iid";
  const Task drawn = make_problem(iid, data)->task(0);
  CHECK(sorted(drawn.labels) != sorted(first.labels));
  CHECK(*std::max_element(drawn.labels.begin(), drawn.labels.end()) == 9);
  CHECK(*std::min_element(drawn.labels.begin(), drawn.labels.end()) == 0);
}

TEST_CASE("permuted pixels: the labels stay, every image is permuted alike", "[paper]") {
  DataLibrary data;
  const auto problem = make_problem(of("permuted_mnist"), data);
  const Task first = problem->task(0), second = problem->task(1), third = problem->task(2);
  CHECK(first.labels == second.labels);
  const auto pixels_of = [](const Task& task, Index image) {
    std::vector<float> pixels(task.inputs->col(image).begin(), task.inputs->col(image).end());
    std::sort(pixels.begin(), pixels.end());
    return pixels;
  };
  CHECK(*first.inputs != *second.inputs);
  CHECK(*second.inputs != *third.inputs);
  for (const Index image : {Index{0}, Index{499}}) CHECK(pixels_of(first, image) == pixels_of(second, image));
  // one permutation for all: inner products between images do not change
  const Eigen::MatrixXf before = first.inputs->transpose() * *first.inputs;
  const Eigen::MatrixXf after = second.inputs->transpose() * *second.inputs;
  CHECK((before - after).norm() <= 1e-5f * before.norm());
  Configuration changed = of("permuted_mnist");
  changed.first_task = "changed";
  CHECK(*make_problem(changed, data)->task(0).inputs != *first.inputs);
}

TEST_CASE("projected digits: one Gaussian projection to 36 numbers a seed, which keeps lengths", "[paper]") {
  DataLibrary data;
  Configuration configuration = of("projected_mnist");
  CHECK(dimensions(configuration, data).inputs == 36);
  CHECK(dimensions(of("random_label_mnist"), data).inputs == 196);
  const auto problem = make_problem(configuration, data);
  const Task first = problem->task(0), second = problem->task(1);
  CHECK(first.inputs->rows() == 36);
  CHECK(first.inputs == second.inputs);  // the labels change, not the images
  CHECK(first.labels != second.labels);
  const Task plain = make_problem(of("random_label_mnist"), data)->task(0);
  CHECK(first.labels == plain.labels);
  // lengths are about the same: the variance of a squared length is 2/36 of its square, and the images are
  // alike
  const float ratio = first.inputs->squaredNorm() / plain.inputs->squaredNorm();
  CHECK(std::abs(ratio - 1) < .6f);
  configuration.seed = 1;
  CHECK(*make_problem(configuration, data)->task(0).inputs != *first.inputs);
  configuration.seed = 0, configuration.activation = "tanh";
  CHECK(*make_problem(configuration, data)->task(0).inputs == *first.inputs);
}

TEST_CASE("problems: images are drawn without replacement, by seed alone", "[paper]") {
  DataLibrary data;
  Configuration configuration = of("permuted_mnist");
  const Task one = make_problem(configuration, data)->task(0);
  configuration.activation = "tanh";  // another condition of the same seed sees the same data
  CHECK(*make_problem(configuration, data)->task(0).inputs == *one.inputs);
  configuration.seed = 1;
  CHECK(*make_problem(configuration, data)->task(0).inputs != *one.inputs);
  std::set<std::vector<float>> distinct;
  for (Index i = 0; i < one.size(); ++i)
    distinct.emplace(one.inputs->col(i).begin(), one.inputs->col(i).end());
  CHECK(distinct.size() == 500);
  configuration.images = 60001;
  CHECK_THROWS_AS(make_problem(configuration, data), std::invalid_argument);
}

TEST_CASE("random-label CIFAR: all images where there are fewer than asked for, scaled channel by channel",
          "[paper]") {
  DataLibrary data;  // synthetic textures
  Configuration c = of("random_label_cifar");
  c.images = 38400;
  const Task task = make_problem(c, data)->task(0);
  CHECK(task.size() == 4000);
  CHECK(dimensions(c, data).images == 4000);
  CHECK(task.shape == ImageShape{3, 16, 16});
  CHECK(task.inputs->rows() == 3 * 16 * 16);
  CHECK(task.classes == 10);
  bool said = false, loud = false;
  for (const std::string& remark : remarks(c, 40, data)) {
    said = said ||
           remark.find("38400 images a task are asked for, synthetic_textures has 4000") != std::string::npos;
    loud = loud || remark.find("NOT the paper's data") != std::string::npos;
  }
  CHECK((said && loud));
  c.images = 100;
  const Task few = make_problem(c, data)->task(0);
  CHECK(few.size() == 100);
  c.scaling = "unit";
  const Task plain = make_problem(c, data)->task(0);
  const Index plane = 16 * 16;
  const float mean[] = {.4914f, .4822f, .4465f}, deviation[] = {.247f, .243f, .261f};
  for (Index channel = 0; channel < 3; ++channel) {
    const Eigen::MatrixXf expected =
        (plain.inputs->middleRows(channel * plane, plane).array() - mean[channel]) / deviation[channel];
    CHECK((few.inputs->middleRows(channel * plane, plane) - expected).cwiseAbs().maxCoeff() <= 1e-5f);
  }
  CHECK(data.identity(data_set_of("random_label_cifar")).starts_with("synthetic_textures_4000-"));
  c.scaling = "standardized", c.problem = "random_label_mnist";
  const Task digits = make_problem(c, data)->task(0);
  c.scaling = "default";
  const Eigen::MatrixXf expected = (make_problem(c, data)->task(0).inputs->array() - .1307f) / .3081f;
  CHECK((*digits.inputs - expected).cwiseAbs().maxCoeff() <= 1e-5f);
}

TEST_CASE("Continual ImageNet: pairs of classes, none of them twice before all were there", "[paper]") {
  DataLibrary data;  // 100 synthetic classes of 256 textures
  Configuration c = of("continual_imagenet");
  c.images = 8;
  const auto problem = make_problem(c, data);
  const Task first = problem->task(0);
  CHECK(first.classes == 2);
  CHECK(first.shape == ImageShape{3, 16, 16});
  CHECK(first.labels == std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1});
  CHECK(first.inputs->minCoeff() >= -1);
  CHECK(first.inputs->maxCoeff() <= 1);
  CHECK(*problem->task(0).inputs == *first.inputs);
  // a task's first image of either label tells which class it is of
  std::set<std::vector<float>> seen;
  for (Index number = 0; number < 50; ++number) {
    const Task task = problem->task(number);
    for (const Index image : {Index{0}, Index{4}})
      CHECK(seen.emplace(task.inputs->col(image).begin(), task.inputs->col(image).end()).second);
  }
  const Task again = problem->task(50);
  const std::vector<float> image(again.inputs->col(0).begin(), again.inputs->col(0).end());
  CHECK(seen.contains(image));            // the classes come again,
  CHECK(*again.inputs != *first.inputs);  // in other pairs
  bool said = false;
  for (const std::string& remark : remarks(c, 51, data))
    said = said || remark.find("100 classes give 50 disjoint pairs for 51 tasks") != std::string::npos;
  CHECK(said);
  for (const std::string& remark : remarks(c, 50, data)) CHECK(remark.find("disjoint") == std::string::npos);
  c.seed = 1;
  CHECK(*make_problem(c, data)->task(0).inputs != *first.inputs);
  // six sevenths of 256 images, two classes; the rest is kept apart
  c.images = 1200;
  CHECK(make_problem(c, data)->task(3).size() == 2 * 219);
  CHECK(dimensions(c, data).images == 2 * 219);
  CHECK(data.identity(data_set_of("continual_imagenet")).starts_with("synthetic_textures_100x256-"));
}

TEST_CASE("problems: what a network is told of its inputs is what it gets", "[paper]") {
  DataLibrary data;
  for (const std::string problem : {"random_label_mnist", "permuted_mnist", "projected_mnist",
                                    "random_label_cifar", "continual_imagenet"}) {
    Configuration c = of(problem);
    c.images = 40;
    const Dimensions expected = dimensions(c, data);
    const Task task = make_problem(c, data)->task(1);
    CHECK(task.inputs->rows() == expected.inputs);
    CHECK(task.size() == expected.images);
    CHECK(task.classes == expected.classes);
    CHECK(task.shape == expected.shape);
    CHECK(task.inputs->allFinite());
    c.architecture = "cnn";
    if (problem == "projected_mnist") CHECK_THROWS_AS(validate(c), std::invalid_argument);
  }
}

TEST_CASE("streams: each name, seed and index has its own numbers, the same everywhere", "[paper]") {
  CHECK(stream(1, "a")() == stream(1, "a")());
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const std::string_view name : {"labels", "pixels", "batches"})
      for (std::uint64_t index = 0; index < 20; ++index) first.insert(stream(seed, name, index)());
  CHECK(first.size() == 20 * 3 * 20);
  Generator generator = stream(5, "below");
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[below(generator, 7)];
  for (const int count : counts)
    CHECK(std::abs(count - 10000) < 500);  // 5 standard deviations, about 93 each
  double sum = 0, squares = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = normal(generator);
    sum += x, squares += x * x;
  }
  CHECK(std::abs(sum / 100000) < 5 / std::sqrt(100000.0));
  CHECK(std::abs(squares / 100000 - 1) < 5 * std::sqrt(2 / 100000.0));
}
