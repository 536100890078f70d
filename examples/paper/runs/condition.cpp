#include "runs/condition.hpp"

#include <sstream>

#include "learners/activation.hpp"
#include "learners/regularizer.hpp"

namespace paper {

std::string label(const Condition& condition) {
  std::string text = activations().at(condition.activation).label;
  if (condition.is_regularized()) text += " + " + regularizers().at(condition.regularizer).label;
  if (condition.sweep.empty()) return text;
  const double value = condition.value;
  if (value == every) return text + " over " + condition.sweep;
  if (value == smallest) return text + ", smallest " + condition.sweep;
  if (value == largest) return text + ", largest " + condition.sweep;
  std::ostringstream number;
  number << value;
  return text + ", " + condition.sweep + " " + number.str();
}

}  // namespace paper
