#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace paper {

// Images class by class, for problems that look at a few of many classes at a time.
struct ImageClasses {
  std::string name;               // "imagenet32", "synthetic"
  ImageShape shape{3, 32, 32};    // of each image
  Index classes = 0, images = 0;  // of each class; where they differ, of the smallest
  std::uint32_t fingerprint = 0;
  // the pixels of a class, an image after the other; read anew at each call, from any thread
  std::function<std::vector<std::uint8_t>(Index)> read;
};

// Continual ImageNet's layout (Dohare et al.): a file classes/<number>.npy a class, in the order of their
// numbers, uint8 (images, channels, height, width) or (images, height, width), in folder or folder/name. With
// `shape` every image has it and every class as many images; without, the first file's shape counts. Every
// file is read once, for the fingerprint and so that a bad one is told before anything is trained. Throws
// std::runtime_error naming the file that is damaged or has another shape, or the folder without classes.
ImageClasses open_image_classes(const std::filesystem::path& folder, const std::string& name,
                                const std::optional<ImageShape>& shape = {});
// whether there is any such file
bool has_image_classes(const std::filesystem::path& folder, const std::string& name);

// The images of all classes, each with its class for a label; 256 classes at most.
Dataset all_images(const ImageClasses& classes);

// Colour textures for machines without CIFAR-10 and ImageNet: waves of a direction, wavelength and pair of
// colours that belong to the class, at a place, contrast and noise that belong to the image. They are
// correlated images and nothing more.
ImageClasses synthetic_textures(Index classes, Index images);
// the same as a data set: images of 10 classes in turn
Dataset synthetic_textures(Index images);

}  // namespace paper
