#include <algorithm>
#include <stdexcept>
#include <string>

#include "data/image_classes.hpp"
#include "data/random.hpp"

namespace paper {
namespace {

constexpr Index side = 32, pixels = 3 * side * side;

// Integers of a fixed point sine, so that the bytes are the same with every library and processor.
int sine(unsigned phase) {  // of 256 steps a turn; -127 to 127, a parabola in place of each half
  const int x = static_cast<int>(phase & 127u);
  const int value = x * (128 - x) * 127 / 4096;
  return (phase & 128u) != 0 ? -value : value;
}

void texture(Index number, Index image, std::uint8_t* out) {
  Generator of_class = stream(0, "texture", static_cast<std::uint64_t>(number));
  const auto draw = [](Generator& generator, std::uint64_t count) {
    return static_cast<int>(below(generator, count));
  };
  int colour[2][3], wave[2][2];
  for (auto& one : colour)
    for (int& part : one) part = draw(of_class, 256);
  for (auto& one : wave)
    for (int& part : one)
      part = draw(of_class, 41) - 20;  // steps of phase a pixel: wavelengths from 9 pixels on
  Generator of_image = stream(1, "texture", static_cast<std::uint64_t>(number * 1000003 + image));
  const unsigned phase[2] = {static_cast<unsigned>(draw(of_image, 256)),
                             static_cast<unsigned>(draw(of_image, 256))};
  const int contrast = 64 + draw(of_image, 65);
  for (Index y = 0; y < side; ++y)
    for (Index x = 0; x < side; ++x) {
      int level = 0;
      for (std::size_t k = 0; k < 2; ++k)
        level += sine(phase[k] + static_cast<unsigned>(wave[k][0] * static_cast<int>(x) +
                                                       wave[k][1] * static_cast<int>(y)));
      const int mix = 128 + level * contrast / 256;  // 0 to 255
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const int value =
            (colour[0][channel] * (255 - mix) + colour[1][channel] * mix) / 255 + draw(of_image, 17) - 8;
        out[static_cast<Index>(channel) * side * side + y * side + x] =
            static_cast<std::uint8_t>(std::clamp(value, 0, 255));
      }
    }
}

}  // namespace

ImageClasses synthetic_textures(Index classes, Index images) {
  if (classes < 1 || images < 1)
    throw std::invalid_argument("synthetic_textures: classes and images are " + std::to_string(classes) +
                                " and " + std::to_string(images) + ", expected at least 1");
  return {.name = "synthetic_textures",
          .classes = classes,
          .images = images,
          .fingerprint = 1,
          .read = [images](Index number) {
            std::vector<std::uint8_t> bytes(static_cast<std::size_t>(images * pixels));
            for (Index i = 0; i < images; ++i) texture(number, i, bytes.data() + i * pixels);
            return bytes;
          }};
}

Dataset synthetic_textures(Index images) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(images * pixels)), labels;
  for (Index i = 0; i < images; ++i) {
    texture(i % 10, i / 10, bytes.data() + i * pixels);
    labels.push_back(static_cast<std::uint8_t>(i % 10));
  }
  return make_dataset("synthetic_textures", 3, side, side, 10, bytes, labels);
}

}  // namespace paper
