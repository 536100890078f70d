#define CATCH_CONFIG_MAIN  // version 2 has no library with a main of its own
#include <catch2/catch.hpp>
