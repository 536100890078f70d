#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/random.hpp"

// Digits drawn as a pen would: strokes through jittered points, slanted, turned and scaled as a whole.
// A stand-in for MNIST has to be images whose pixels hang together; independent sparse pixels are too easy to
// memorise, and no plasticity is lost on them.
namespace paper {
namespace {

constexpr Index side = 28;           // pixels
constexpr double box = 20;           // pixels: the digit before its transform, as in MNIST
constexpr double jitter = 0.03;      // standard deviation of a point, in boxes
constexpr int curve_steps = 5;       // straight pieces between two points of a curve
constexpr std::int64_t unit = 4096;  // grid lines a pixel, see draw()

struct Point {
  double x, y;
};

// Points in the unit square, y downwards, and strokes through them by number. A stroke is a smooth curve
// (Catmull and Rom), closed if it ends where it begins; two points make a straight line. Strokes that share a
// point stay joined when it moves, so that a corner is two strokes.
struct Shape {
  std::vector<Point> points;
  std::vector<std::vector<std::size_t>> strokes;
};

// how people write each digit; every way is as likely as the others
const std::array<std::vector<Shape>, 10>& shapes() {
  // a shape on few lines:
  // clang-format off
  static const std::array<std::vector<Shape>, 10> all = {{
      // 0: an oval; a narrow one
      {{{{.50, .02}, {.26, .15}, {.17, .50}, {.26, .85}, {.50, .98}, {.74, .85}, {.83, .50}, {.74, .15}},
        {{0, 1, 2, 3, 4, 5, 6, 7, 0}}},
       {{{.54, .02}, {.33, .22}, {.26, .55}, {.35, .88}, {.52, .98}, {.69, .80}, {.76, .48}, {.70, .14}},
        {{0, 1, 2, 3, 4, 5, 6, 7, 0}}}},
      // 1: a bar; with a flag; with a flag and a foot
      {{{{.52, .00}, {.50, .50}, {.48, 1.0}}, {{0, 1, 2}}},
       {{{.32, .24}, {.54, .00}, {.53, .50}, {.52, 1.0}}, {{0, 1}, {1, 2, 3}}},
       {{{.30, .22}, {.52, .02}, {.52, .96}, {.28, .97}, {.76, .97}}, {{0, 1}, {1, 2}, {3, 2}, {2, 4}}}},
      // 2: with a corner; with a loop
      {{{{.20, .26}, {.32, .07}, {.55, .02}, {.76, .15}, {.74, .38}, {.50, .65}, {.17, .95}, {.84, .95}},
        {{0, 1, 2, 3, 4, 5, 6}, {6, 7}}},
       {{{.20, .22}, {.45, .03}, {.72, .13}, {.74, .36}, {.55, .64}, {.32, .90}, {.14, .90}, {.22, .76},
         {.48, .85}, {.66, .95}, {.88, .86}},
        {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}}},
      // 3: round; with a flat top
      {{{{.20, .15}, {.46, .01}, {.73, .14}, {.70, .36}, {.42, .47}, {.74, .56}, {.82, .77}, {.54, .98},
         {.17, .86}},
        {{0, 1, 2, 3, 4}, {4, 5, 6, 7, 8}}},
       {{{.20, .04}, {.76, .04}, {.44, .42}, {.73, .52}, {.81, .75}, {.55, .97}, {.18, .87}},
        {{0, 1}, {1, 2}, {2, 3, 4, 5, 6}}}},
      // 4: open; closed
      {{{{.28, .04}, {.19, .36}, {.20, .56}, {.84, .54}, {.74, .02}, {.70, .50}, {.66, 1.0}},
        {{0, 1, 2}, {2, 3}, {4, 5, 6}}},
       {{{.62, .02}, {.14, .64}, {.90, .64}, {.63, .50}, {.62, 1.0}}, {{0, 1}, {1, 2}, {0, 3, 4}}}},
      // 5: with a straight back; with a slanted one and a small belly
      {{{{.80, .04}, {.30, .04}, {.25, .45}, {.52, .37}, {.79, .52}, {.79, .78}, {.52, .98}, {.18, .87}},
        {{1, 0}, {1, 2}, {2, 3, 4, 5, 6, 7}}},
       {{{.84, .02}, {.40, .06}, {.28, .46}, {.56, .50}, {.72, .68}, {.62, .90}, {.40, .98}, {.16, .90}},
        {{1, 0}, {1, 2}, {2, 3, 4, 5, 6, 7}}}},
      // 6: bent; straight
      {{{{.70, .04}, {.44, .16}, {.25, .45}, {.23, .76}, {.46, .98}, {.74, .84}, {.72, .60}, {.48, .52},
         {.25, .70}},
        {{0, 1, 2, 3, 4, 5, 6, 7, 8}}},
       {{{.52, .00}, {.34, .32}, {.24, .68}, {.36, .94}, {.62, .96}, {.76, .76}, {.62, .58}, {.38, .64},
         {.25, .78}},
        {{0, 1, 2, 3, 4, 5, 6, 7, 8}}}},
      // 7: plain; with a bar
      {{{{.16, .08}, {.82, .06}, {.60, .46}, {.44, 1.0}}, {{0, 1}, {1, 2, 3}}},
       {{{.18, .07}, {.82, .07}, {.60, .48}, {.42, 1.0}, {.32, .52}, {.80, .48}},
        {{0, 1}, {1, 2, 3}, {4, 2, 5}}}},
      // 8: one line that crosses itself; two rings
      {{{{.50, .47}, {.74, .25}, {.52, .01}, {.28, .23}, {.76, .74}, {.49, .99}, {.23, .74}},
        {{0, 1, 2, 3, 0, 4, 5, 6, 0}}},
       {{{.50, .47}, {.71, .36}, {.70, .12}, {.50, .01}, {.30, .12}, {.29, .36}, {.76, .60}, {.75, .88},
         {.50, .99}, {.25, .88}, {.24, .60}},
        {{0, 1, 2, 3, 4, 5, 0}, {0, 6, 7, 8, 9, 10, 0}}}},
      // 9: with a straight tail; with a hook
      {{{{.75, .24}, {.52, .03}, {.26, .20}, {.30, .44}, {.54, .46}, {.72, .60}, {.64, 1.0}},
        {{0, 1, 2, 3, 4, 0}, {0, 5, 6}}},
       {{{.76, .26}, {.52, .02}, {.25, .22}, {.34, .46}, {.60, .44}, {.76, .66}, {.58, .96}, {.26, .92}},
        {{0, 1, 2, 3, 4, 0}, {0, 5, 6, 7}}}},
  }};
  // clang-format on
  return all;
}

// Points on the grid. From here on everything is integers, or doubles rounded once to integers: which
// instructions a compiler picks (fused multiply-add, another library's sine) moves a coordinate by about
// 1e-15 pixels, and that changes a byte only where the coordinate lies that near to the middle between two
// grid lines: once in some 10^10 coordinates.
struct GridPoint {
  std::int64_t x, y;
};

std::uint8_t ink(
    std::int64_t depth) {  // depth: how far inside the outer edge, in grid lines; edge 1 pixel wide
  return static_cast<std::uint8_t>((std::min(depth, unit) * 255 + unit / 2) / unit);
}

// the straight piece of a pen line, `reach` from its middle to its outer edge, over what is there already
void draw(std::vector<std::uint8_t>::iterator image, GridPoint from, GridPoint to, std::int64_t reach) {
  const std::int64_t dx = to.x - from.x, dy = to.y - from.y, squared = dx * dx + dy * dy;
  const double length = std::sqrt(static_cast<double>(squared));
  // pixel (x, y) has its middle at (x, y) * unit; only those that the piece can reach. Division truncates
  // towards 0, which below 0 gives one pixel too many: ink() is not asked for it, it lies too far out.
  const auto first = [&](std::int64_t a, std::int64_t b) {
    return std::max<std::int64_t>(0, (std::min(a, b) - reach) / unit);
  };
  const auto last = [&](std::int64_t a, std::int64_t b) {
    return std::min<std::int64_t>(side - 1, (std::max(a, b) + reach) / unit);
  };
  for (std::int64_t y = first(from.y, to.y); y <= last(from.y, to.y); ++y) {
    for (std::int64_t x = first(from.x, to.x); x <= last(from.x, to.x); ++x) {
      const std::int64_t px = x * unit - from.x, py = y * unit - from.y;
      const std::int64_t along = px * dx + py * dy;
      double distance = 0;
      if (along <= 0) {
        distance = std::sqrt(static_cast<double>(px * px + py * py));
      } else if (along >= squared) {
        distance = std::sqrt(static_cast<double>((px - dx) * (px - dx) + (py - dy) * (py - dy)));
      } else {
        distance = std::abs(static_cast<double>(px * dy - py * dx)) / length;
      }
      const std::int64_t depth = reach - std::llround(distance);
      if (depth <= 0) continue;
      std::uint8_t& pixel = image[y * side + x];
      pixel = std::max(pixel, ink(depth));
    }
  }
}

// the curve between b and c of a stroke that comes from a and goes on to d, t in [0, 1]
double catmull_rom(double a, double b, double c, double d, double t) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

void draw_stroke(std::vector<std::uint8_t>::iterator image, const std::vector<Point>& points,
                 const std::vector<std::size_t>& stroke, std::int64_t reach) {
  const auto grid = [](double x, double y) {
    return GridPoint{std::llround(x * static_cast<double>(unit)),
                     std::llround(y * static_cast<double>(unit))};
  };
  const std::size_t spans = stroke.size() - 1;
  const bool closed = stroke.front() == stroke.back();
  const int steps = spans == 1 ? 1 : curve_steps;
  GridPoint pen = grid(points[stroke[0]].x, points[stroke[0]].y);
  for (std::size_t k = 0; k < spans; ++k) {
    const Point b = points[stroke[k]], c = points[stroke[k + 1]];
    const Point before{2 * b.x - c.x, 2 * b.y - c.y}, after{2 * c.x - b.x, 2 * c.y - b.y};  // straight ends
    const Point a = k > 0 ? points[stroke[k - 1]] : closed ? points[stroke[spans - 1]] : before;
    const Point d = k + 1 < spans ? points[stroke[k + 2]] : closed ? points[stroke[1]] : after;
    for (int step = 1; step <= steps; ++step) {
      const double t = static_cast<double>(step) / steps;
      const GridPoint next = grid(catmull_rom(a.x, b.x, c.x, d.x, t), catmull_rom(a.y, b.y, c.y, d.y, t));
      draw(image, pen, next, reach);
      pen = next;
    }
  }
}

void draw_digit(std::vector<std::uint8_t>::iterator image, std::size_t digit, Generator& generator) {
  const std::vector<Shape>& ways = shapes()[digit];
  const Shape& shape = ways[below(generator, ways.size())];
  // one draw a statement: the order in which a compiler takes arguments is its own
  const double size = box * uniform(generator, 0.85, 1.08);
  const double stretch = uniform(generator, 0.85, 1.18);  // width over height
  const double slant = uniform(generator, -0.12, 0.40);   // mostly to the right, as people write
  const double angle = uniform(generator, -0.15, 0.15);   // radians
  const double middle = 0.5 * static_cast<double>(side - 1);
  const double shift_x = middle + uniform(generator, -1.5, 1.5);  // pixels
  const double shift_y = middle + uniform(generator, -1.5, 1.5);
  const double pen = uniform(generator, 0.75, 1.65);  // pixels, half the width of the line

  const double cosine = std::cos(angle), sine = std::sin(angle);
  std::vector<Point> points = shape.points;
  for (Point& point : points) {
    const double u = point.x - 0.5 + jitter * normal(generator);
    const double v = point.y - 0.5 + jitter * normal(generator);
    const double x = size * stretch * (u - slant * v), y = size * v;
    point = {shift_x + cosine * x - sine * y, shift_y + sine * x + cosine * y};
  }
  const std::int64_t reach = std::llround((pen + 0.5) * static_cast<double>(unit));
  for (const auto& stroke : shape.strokes) draw_stroke(image, points, stroke, reach);
}

}  // namespace

Dataset synthetic_digits(Index count, std::uint64_t seed) {
  if (count < 0 || count > std::numeric_limits<Index>::max() / (side * side))
    throw std::invalid_argument("synthetic_digits: count is " + std::to_string(count) +
                                ", expected at least 0 and as many as memory holds");
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * side * side), 0);
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) {
    const auto digit = static_cast<std::size_t>(i % 10);
    Generator generator = stream(seed, "digits", static_cast<std::uint64_t>(i));
    draw_digit(pixels.begin() + i * side * side, digit, generator);
    labels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(digit);
  }
  return make_dataset("synthetic", 1, side, side, 10, pixels, labels);
}

}  // namespace paper
