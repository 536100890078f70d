#include "data/data_set.hpp"

namespace paper {

namespace {

// as many as the training images of MNIST, so that every profile finds enough
constexpr Index synthetic_images = 60000;
constexpr Index synthetic_pictures = 4000;                          // in place of CIFAR-10
constexpr Index synthetic_classes = 100, synthetic_of_class = 256;  // in place of ImageNet

DataSet mnist() {
  return {.name = "mnist",
          .label = "MNIST",
          .files = "MNIST training files",
          .downloads = true,
          .stand_in = "synthetic digits",
          .is_there = has_mnist,
          .images =
              [](const std::filesystem::path& folder) {
                return folder.empty() ? synthetic_digits(synthetic_images, 0) : load_mnist(folder);
              },
          .standardized = {{.1307f, .3081f}}};
}

DataSet cifar10() {
  const std::vector<DataSet::Channel> channels{{.4914f, .247f}, {.4822f, .243f}, {.4465f, .261f}};
  return {.name = "cifar10",
          .label = "CIFAR-10",
          .files = "data_batch_1.bin of CIFAR-10's binary version",
          .downloads = true,
          .stand_in = "synthetic colour textures",
          .is_there = has_cifar10,
          .images =
              [](const std::filesystem::path& folder) {
                return folder.empty() ? synthetic_textures(synthetic_pictures) : load_cifar10(folder);
              },
          .partial = true,
          .scaling = channels,
          .standardized = channels};
}

DataSet imagenet32() {
  const std::string name = "imagenet32";
  return {.name = name,
          .label = "ImageNet",
          .files = "classes/<number>.npy, uint8 (images, 3, 32, 32), as Continual ImageNet has them",
          .downloads = false,
          .stand_in = "synthetic colour textures",
          .is_there = [name](const std::filesystem::path& folder) { return has_image_classes(folder, name); },
          .classes =
              [name](const std::filesystem::path& folder) {
                return folder.empty() ? synthetic_textures(synthetic_classes, synthetic_of_class)
                                      : open_image_classes(folder, name, ImageShape{3, 32, 32});
              },
          .scaling = {{.5f, .5f}},
          .standardized = {{.5f, .5f}}};
}

// images and labels of one's own: a file classes/<label>.npy a class
DataSet own() {
  const std::string name = "own";
  return {.name = name,
          .label = "own images",
          .files = "classes/<label>.npy, uint8 (images, channels, height, width) or (images, height, width)",
          .downloads = false,
          .stand_in = "",
          .is_there = [name](const std::filesystem::path& folder) { return has_image_classes(folder, name); },
          .images =
              [name](const std::filesystem::path& folder) {
                return all_images(open_image_classes(folder, name));
              },
          .classes = [name](const std::filesystem::path& folder) { return open_image_classes(folder, name); },
          .partial = true,
          .standardized = {{.5f, .5f}}};
}

}  // namespace

Registry<DataSet>& data_sets() {
  static Registry<DataSet> all("data set", {mnist(), cifar10(), imagenet32(), own()});
  return all;
}

}  // namespace paper
