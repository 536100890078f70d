#include "data/data_library.hpp"

#include <cstdio>

namespace paper {

namespace {

// as many as the training images of MNIST, so that every profile finds enough
constexpr Index synthetic_images = 60000;
constexpr Index synthetic_pictures = 4000;                          // in place of CIFAR-10
constexpr Index synthetic_classes = 100, synthetic_of_class = 256;  // in place of ImageNet

}  // namespace

const Dataset& DataLibrary::images(const std::string& problem, Index pool) {
  const std::scoped_lock lock(mutex_);
  const bool cifar = problem == "random_label_cifar";
  const auto whole = std::pair{cifar, Index{1}}, wanted = std::pair{cifar, pool};
  if (!images_.contains(whole))
    images_.emplace(whole, cifar ? folders_.cifar10.empty() ? synthetic_textures(synthetic_pictures)
                                                            : load_cifar10(folders_.cifar10)
                           : folders_.mnist.empty() ? synthetic_digits(synthetic_images, 0)
                                                    : load_mnist(folders_.mnist));
  if (!images_.contains(wanted)) images_.emplace(wanted, pooled(images_.at(whole), pool));
  return images_.at(wanted);
}

const ImageClasses& DataLibrary::classes() {
  const std::scoped_lock lock(mutex_);
  if (!classes_)
    classes_ = folders_.imagenet.empty() ? synthetic_textures(synthetic_classes, synthetic_of_class)
                                         : open_image_classes(folders_.imagenet);
  return *classes_;
}

std::string DataLibrary::identity(const std::string& problem) {
  const auto with = [](const std::string& name, std::uint32_t fingerprint) {
    char text[16];
    std::snprintf(text, sizeof text, "-%08x", static_cast<unsigned>(fingerprint));
    return name + text;
  };
  if (problem == "continual_imagenet") {
    const ImageClasses& all = classes();
    return with(all.name + "_" + std::to_string(all.classes) + "x" + std::to_string(all.images),
                all.fingerprint);
  }
  const Dataset& data = images(problem, 1);
  const bool partial = problem == "random_label_cifar";
  return with(partial ? data.name + "_" + std::to_string(data.labels.size()) : data.name, data.fingerprint);
}

}  // namespace paper
