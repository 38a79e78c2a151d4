// A depth network in a file that kdcli exported, whatever runs it.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using Size = std::array<int, 2>;  // height, width

struct Map {
    Size size{};
    std::vector<float> values;  // row by row
};

struct Network {
    std::map<std::string, std::string> about;  // what the file says of itself
    std::optional<Size> fixed;                 // the size that it takes, where it takes one alone
    bool bytes = false;                        // takes 1 x H x W x 3 bytes; else 1 x 3 x H x W floats in 0..1, RGB

    virtual ~Network() = default;

    // Return the depth of a picture of a size; one of floats and bytes holds it, as `bytes` says.
    virtual Map run(const std::vector<float>& floats, const std::vector<unsigned char>& bytes, Size size) = 0;
};

// Open a file; throws std::exception where it cannot be. threads 0: as many as the runtime likes.
std::unique_ptr<Network> open_network(const std::string& path, int threads);
